"""Page-locked memory of the host, whose values are read when a copy runs, not when it is asked for."""

from __future__ import annotations

import ctypes
import weakref
from typing import Any, Final

import numpy as np

_buffers: Final[dict[int, int]] = {}
"""First address -> the one behind the last."""


def alloc_pinned_memory(size: int) -> Any:
    """Supports the buffer protocol."""
    buffer = (ctypes.c_char * max(int(size), 1))()
    start = ctypes.addressof(buffer)
    _buffers[start] = start + len(buffer)
    weakref.finalize(buffer, _buffers.pop, start, None)
    return buffer


def is_pinned(array: np.ndarray) -> bool:
    """Whether the array lies in such memory."""
    address = int(array.__array_interface__["data"][0])
    return any(low <= address < high for low, high in _buffers.items())


def forget() -> None:
    """For the next test."""
    _buffers.clear()
