"""Arrays in and out of the GPU: from and to the host, from and to other libraries, on which device and stream."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ctkernels.gpu._core.device import cupy

Array = Any
"""A CuPy array."""


class _Foreign:
    """A stream of another library, as the CUDA stream protocol wants it."""

    def __init__(self, pointer: int) -> None:
        self._pointer = pointer

    def __cuda_stream__(self) -> tuple[int, int]:
        return (0, self._pointer)


def is_current(device: int) -> bool:
    """Whether work asked for now runs on ``device``."""
    return int(cupy.cuda.Device().id) == device


@contextmanager
def current(device: int, stream: int | None = None) -> Iterator[None]:
    """Work inside runs on ``device``, on the stream with address ``stream``, or on the one that is current there.

    CuPy keeps a current stream for each device, so that a stream of one device never gets work of another.
    """
    with cupy.cuda.Device(device):
        if stream is None:
            yield
            return
        with cupy.cuda.Stream.from_external(_Foreign(stream)) if stream else cupy.cuda.Stream.null:
            yield


def synchronize() -> None:
    """Wait for the current stream."""
    cupy.cuda.get_current_stream().synchronize()


def empty(shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """A new array on the current device."""
    return cupy.empty(shape, dtype)


def upload(array: Any) -> Array:
    """A host array on the current device; what is on a device stays as it is."""
    return cupy.asarray(array)


def download(array: Array) -> NDArray[Any]:
    """A device array on the host; waits for the stream."""
    return np.asarray(cupy.asnumpy(array))


def from_dlpack(array: Any) -> Array:
    """Another library's array on a GPU, the same memory; ordered after what that library has asked for."""
    return cupy.from_dlpack(array)


def contiguous(array: Array) -> Array:
    """In C order; a copy only where needed."""
    return array if array.flags.c_contiguous else cupy.ascontiguousarray(array)


def may_share_memory(a: Array, b: Array) -> bool:
    """Whether two arrays may overlap, by their bounds."""
    return bool(cupy.may_share_memory(a, b))
