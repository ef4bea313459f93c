"""What XLA calls inside jitted programs on a CPU: one function for all operations, on XLA's own memory.

XLA hands over the addresses of its buffers and the operation as text; the pixels are read and the results written where
they are, by the kernels that every other call runs. Python's lock is held between kernels only. Layouts are those of
xla/ffi/api/c_api.h, whose fields keep their places.
"""

from __future__ import annotations

import ctypes
import json
import threading
from functools import lru_cache
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ctfast.dispatch.arrays import known_axes
from ctfast.dispatch.call import call
from ctfast.dispatch.plain import plain_call
from ctfast.dispatch.statistics import statistic
from ctfast.dispatch.steps import from_plain, plain
from ctkernels.contract import OPERATIONS

Array = NDArray[Any]
_DTYPES: Final = {
    number: np.dtype(name)
    for number, name in (
        (3, "int16"), (4, "int32"), (5, "int64"), (6, "uint8"), (7, "uint16"), (11, "float32"), (12, "float64")
    )
}  # fmt: skip
"""Of XLA_FFI_DataType, those that operations take and give."""
_METADATA_EXTENSION: Final = 1
_INVALID_ARGUMENT: Final = 3


def described(name: str, params: dict[str, Any], dtype: str | None, backend: str | None) -> str:
    """An operation as text, the same for equal calls."""
    return json.dumps([name, params, dtype, backend], sort_keys=True, default=plain)


@lru_cache(maxsize=512)
def _read(text: bytes) -> tuple[str, dict[str, Any], str | None, str | None]:
    name, params, dtype, backend = json.loads(text)
    return name, {k: from_plain(v) for k, v in params.items()}, dtype, backend


def compute(text: bytes, x: Array, results: list[Array]) -> None:
    """Run the operation that ``text`` describes on ``x``; an image, counts, or the fields of a summary are results."""
    name, params, dtype, backend = _read(text)
    image = OPERATIONS[name].columns is None
    # The short way knows an equal call by the very parameters that the text was read to.
    if image and plain_call(name, x, params, dtype, results[0], backend) is not None:
        return
    with known_axes():  # the shape was checked when the program was traced; vmap may have put axes in front
        if name == "histogram":
            results[0][...] = statistic(name, x, params, backend_name=backend).counts
        elif name == "summary":
            found = statistic(name, x, params, backend_name=backend)
            fields = (found.count, found.mean, found.std, found.min, found.max, found.percentiles)
            for result, field in zip(results, fields, strict=True):
                result[...] = field
        else:
            call(name, x, params, dtype=dtype, out=results[0], backend_name=backend)


@lru_cache(maxsize=256)
def _many(kind: Any, count: int) -> Any:
    """Kept, as ctypes makes the type of an array anew once no array of it is left: 8 us, more than many a kernel."""
    return kind * count


def _words(address: int, count: int) -> Any:
    return _many(ctypes.c_int64, count).from_address(address)


def _int32(address: int) -> Any:
    return ctypes.c_int32.from_address(address)


def _buffer(address: int) -> Array:
    """An ``XLA_FFI_Buffer`` as an array."""
    _, _, _, data, rank, dims = _words(address, 6)
    shape = tuple(_words(dims, rank))
    dtype = _DTYPES[_int32(address + 16).value]
    memory: Any = _many(ctypes.c_byte, prod(shape) * dtype.itemsize).from_address(data)
    return np.ndarray(shape, dtype, memory)


def _attribute(address: int) -> bytes:
    """An ``XLA_FFI_ByteSpan``."""
    pointer, length = _words(address, 2)
    return ctypes.string_at(pointer, length)


def _answer_metadata(frame: Any) -> bool:
    """Whether XLA only asks which version of its interface this is made for; its own is fine."""
    extension = frame[1]
    if not extension or _int32(extension + 8).value != _METADATA_EXTENSION:
        return False
    metadata = _words(extension, 4)[3]
    _int32(metadata + 24).value = 0
    _int32(metadata + 28).value = _int32(frame[2] + 36).value if frame[2] else 1
    _int32(metadata + 32).value = 0
    return True


def _refused(api: int, error: Exception) -> int:
    """An XLA error with this message."""
    text = ctypes.create_string_buffer(f"{type(error).__name__}: {error}".encode())
    request = (ctypes.c_int64 * 4)(28, 0, ctypes.addressof(text), _INVALID_ARGUMENT)
    create = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(_words(api, 7)[6])
    return create(ctypes.addressof(request))  # XLA copies the text


class _Thread(threading.local):
    """Keeps Python's record of a thread of XLA's, which would end with each call, and with it all scratch memory."""

    def __init__(self) -> None:
        ctypes.pythonapi.PyGILState_Ensure()  # never released: the record lives as long as the process


_thread = _Thread()


def _handle(address: int) -> int:
    _thread.__dict__  # noqa: B018  # the first look on a thread makes it
    frame = _words(address, 21)
    try:
        if not _answer_metadata(frame):
            arguments, results = _words(frame[9], frame[7]), _words(frame[14], frame[12])
            compute(_attribute(_words(frame[20], 1)[0]), _buffer(arguments[0]), [_buffer(r) for r in results])
    except Exception as error:
        return _refused(frame[2], error)
    return 0


HANDLER: Final = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(_handle)
"""Kept for as long as the process lives: XLA holds its address."""
