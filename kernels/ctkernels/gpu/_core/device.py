"""All that the launchers need of CuPy. The only module of the package that imports it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import cupy as cupy  # the modules that move arrays or record graphs have it from here
import numpy as np
from numpy.typing import NDArray

from ctkernels.gpu._core.errors import GpuError, GpuMemoryError
from ctkernels.gpu._core.geometry import Limits
from ctkernels.gpu._core.source import OPTIONS

DeviceArray = Any
"""``cupy.ndarray``; CuPy has no types."""

_ALIGNMENT = 256
MOST_UPLOADS = 128
"""Tables that stay on the devices."""


def current_device() -> int:
    """Number of the device that work goes to."""
    return int(cupy.cuda.runtime.getDevice())


@lru_cache(maxsize=64)
def _limits_of(device: int) -> Limits:
    gpu = cupy.cuda.Device(device)
    attributes = gpu.attributes
    return Limits(
        int(attributes["MultiProcessorCount"]),
        int(attributes["MaxSharedMemoryPerBlockOptin"]),
        int(gpu.compute_capability),
    )


def device_limits() -> Limits:
    """Of the current device."""
    return _limits_of(current_device())


def empty(shape: int | tuple[int, ...], dtype: Any) -> DeviceArray:
    """Memory of CuPy's pool on the current device, in the order of the current stream.

    Raises:
        GpuMemoryError: there is not enough.
    """
    try:
        return cupy.empty(shape, dtype)
    except cupy.cuda.memory.OutOfMemoryError as error:
        wanted = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        raise out_of_memory(wanted, error) from error


def out_of_memory(wanted: int, error: Exception) -> GpuMemoryError:
    """Our words for CuPy's error."""
    what = f" for {wanted:,} bytes" if wanted else ""
    return GpuMemoryError(
        f"the GPU has no memory left{what} ({error}); give it fewer images at a time, or free memory of other work "
        "(cupy.get_default_memory_pool().free_all_blocks())"
    )


def clear(array: DeviceArray) -> None:
    """Fill with zeros, in the order of the current stream."""
    array.fill(0)


class Scratch:
    """Typed pieces of one block of device memory: the caller's workspace, or one allocation from CuPy's pool."""

    def __init__(self, size: int, workspace: DeviceArray | None) -> None:
        if workspace is None:
            workspace = empty(max(size, 1), np.uint8)
        elif workspace.dtype != np.uint8 or workspace.ndim != 1 or not workspace.flags.c_contiguous:
            raise ValueError("workspace must be a contiguous one-dimensional uint8 array on the device")
        elif workspace.size < size:
            raise ValueError(f"workspace has {workspace.size} bytes; this call needs {size}")
        elif workspace.data.ptr % 16:
            raise ValueError("workspace must begin at a multiple of 16 bytes")
        self._block, self._used = workspace, 0

    def take(self, count: int, dtype: Any) -> DeviceArray:
        """The next ``count`` elements, not initialised."""
        start, size = self._used, count * np.dtype(dtype).itemsize
        self._used = start + padded_bytes(size)
        return self._block[start : start + size].view(dtype)


def padded_bytes(size: int) -> int:
    """What a piece of ``size`` bytes takes of a :class:`Scratch`."""
    return -(-size // _ALIGNMENT) * _ALIGNMENT


Tables = dict[tuple[int, Hashable], DeviceArray]
"""By device and key."""

_uploads: Tables = {}
_uploads_lock = threading.Lock()
_local = threading.local()


@contextmanager
def holding() -> Iterator[Tables]:
    """What this thread asks of :func:`uploaded` inside is in the dictionary too, and found there if asked again."""
    tables: Tables = {}
    _local.tables = tables
    try:
        yield tables
    finally:
        del _local.tables


def uploaded(key: Hashable, make: Callable[[], NDArray[Any]]) -> DeviceArray:
    """A small table on the current device, made and copied there once and kept under ``key``.

    The copy is finished when this returns, so that any stream may read the table. The first call of a key therefore
    waits for that copy (of some kilobytes), later ones do nothing.
    """
    where = (current_device(), key)
    held: Tables = getattr(_local, "tables", {})
    table = held.get(where)
    if table is None:
        table = held[where] = _kept(where, make)
    return table


def _kept(where: tuple[int, Hashable], make: Callable[[], NDArray[Any]]) -> DeviceArray:
    table = _uploads.get(where)
    if table is None:
        with _uploads_lock:
            table = _uploads.get(where)
            if table is None:
                table = _upload(make())
                if len(_uploads) >= MOST_UPLOADS:
                    drop_uploads()
                _uploads[where] = table
    return table


def _upload(values: NDArray[Any]) -> DeviceArray:
    stream = cupy.cuda.get_current_stream()
    table = empty(values.shape, values.dtype)
    table.set(np.ascontiguousarray(values))
    stream.synchronize()
    return table


def drop_uploads() -> None:
    """Only when no kernel reads them any more: CuPy gives freed memory to the stream that it came from at once."""
    for device in {device for device, _ in _uploads}:
        cupy.cuda.Device(device).synchronize()
    _uploads.clear()


def raw_module(code: str) -> Any:
    """One unit, compiled when its first kernel is asked for.

    CuPy adds ``-ftz=true`` by itself: float32 subnormals count as zero in arithmetic and in comparisons, which is why
    kernels that promise exact results compare floats as integers.
    """
    return cupy.RawModule(code=code, options=OPTIONS, backend="nvrtc")


def cuda_errors() -> tuple[type[Exception], ...]:
    """The exceptions by which CuPy says that CUDA or NVRTC failed: those of the runtime, of the driver and of a missing
    NVRTC are all RuntimeErrors."""
    return (RuntimeError, cupy.cuda.compiler.CompileException, cupy.cuda.memory.OutOfMemoryError)


def is_out_of_memory(error: Exception) -> bool:
    """Whether it was memory that lacked."""
    names = ("OUT_OF_MEMORY", "cudaErrorMemoryAllocation")
    return isinstance(error, cupy.cuda.memory.OutOfMemoryError) or any(name in str(error) for name in names)


def is_device_array(x: Any) -> bool:
    """Whether it is an array of CuPy."""
    return isinstance(x, cupy.ndarray)


def check_image_arrays(operation: str, *arrays: DeviceArray) -> None:
    """Refuse what a kernel would misread: host arrays, views that are not contiguous, arrays of another device.

    Raises:
        TypeError: not an array of CuPy.
        ValueError: not C-contiguous.
        GpuError: on another device than the current one.
    """
    here = current_device()
    for array in arrays:
        if not is_device_array(array):
            raise TypeError(f"{operation}: {type(array).__name__} is no array on a GPU; cupy.asarray moves it there")
        if not array.flags.c_contiguous:
            raise ValueError(f"{operation}: the array is not C-contiguous; cupy.ascontiguousarray copies it")
        if array.data.device_id != here:
            raise GpuError(
                f"{operation}: the array is on device {array.data.device_id}, the current device is {here}; "
                f"work under 'with cupy.cuda.Device({array.data.device_id}):'"
            )
