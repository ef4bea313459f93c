"""What a launcher hands to a kernel, packed as CuPy packs it and refused where the kernel would read it differently.

CuPy neither knows the kernel's parameters nor counts them: a Python int goes as 8 bytes, a float as a double, a NumPy
scalar as its own bytes, an array as its address. What the kernel declares differently is garbage on a GPU.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tests.cuda_on_host.runtime import Argument, LaunchError

Alive = Callable[[int], bool]


def pack(kernel: str, wanted: Sequence[Argument], given: Sequence[Any], is_array: Any, alive: Alive) -> list[bytes]:
    """Bytes of every argument; raises LaunchError for a wrong number, size, kind or a pointer to nothing."""
    if len(wanted) != len(given):
        expected = ", ".join(map(str, wanted))
        raise LaunchError(f"{kernel} takes {len(wanted)} arguments ({expected}), {len(given)} came in")
    packed = []
    for i, (want, value) in enumerate(zip(wanted, given, strict=True)):
        where = f"{kernel}, argument {i} ({want})"
        if want.how == "s":
            packed.append(_scalar(where, want, value, is_array))
        elif is_array(value):
            packed.append(_array(where, want, value, alive))
        else:
            packed.append(_address(where, value, alive))
    return packed


def _scalar(where: str, want: Argument, value: Any, is_array: Any) -> bytes:
    if is_array(value) or value is None:
        raise LaunchError(f"{where}: an array or None came in")
    if type(value) in (bool, int, float):
        value = {bool: np.bool_, int: np.int64, float: np.float64}[type(value)](value)
    if not isinstance(value, np.generic):
        raise LaunchError(f"{where}: a {type(value).__name__} came in, which CuPy can't pass")
    kind, size = value.dtype.kind, value.dtype.itemsize
    whole = {"i", "u"}
    same = kind == want.kind or (kind in whole and want.kind in whole and int(value) >= 0)
    if size != want.size or not same:
        raise LaunchError(f"{where}: {value!r} is passed as {kind}{size}; give a NumPy scalar of the right type")
    return value.tobytes()


def _array(where: str, want: Argument, array: Any, alive: Alive) -> bytes:
    kind, size = array.dtype.kind, array.dtype.itemsize
    whole = {"i", "u"}
    if want.kind != "v" and (size != want.size or not (kind == want.kind or {kind, want.kind} <= whole)):
        raise LaunchError(f"{where}: an array of {array.dtype} came in")
    if not array.flags.c_contiguous:
        raise LaunchError(f"{where}: an array that is not C-contiguous came in; the kernel sees only its address")
    return _address(where, array.data.ptr, alive)


def _address(where: str, value: Any, alive: Alive) -> bytes:
    if value is None:
        return struct.pack("<Q", 0)
    pointer = getattr(value, "ptr", value)
    if isinstance(pointer, bool) or not isinstance(pointer, int | np.uint64 | np.int64 | np.uintp):
        raise LaunchError(f"{where}: a {type(value).__name__} came in; an array or an address of 8 bytes is needed")
    if int(pointer) and not alive(int(pointer)):
        raise LaunchError(f"{where}: {int(pointer):#x} lies in no live allocation")
    return struct.pack("<Q", int(pointer))
