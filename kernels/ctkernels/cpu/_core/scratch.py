"""Scratch memory that a thread keeps between calls.

Fresh pages fault in at some 2.5 GB/s, slower than most kernels here run, so no kernel allocates per image.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_KEEP_BYTES = 64 << 20
"""A thread keeps no single buffer larger than this; larger ones are made anew for each call."""


class _Local(threading.local):
    def __init__(self) -> None:
        self.buffers: dict[str, NDArray[np.uint8]] = {}
        self.last: dict[str, tuple[int, DTypeLike, NDArray[Any]]] = {}
        """What was given out last: most calls ask for the same again, and need no new view."""


_local = _Local()


def scratch(name: str, size: int, dtype: DTypeLike) -> NDArray[Any]:
    """A 1-D buffer of ``size`` elements, 64-byte aligned, contents arbitrary, this thread's own under ``name``."""
    last = _local.last.get(name)
    if last is not None and last[0] == size and last[1] is dtype:
        return last[2]
    kind = np.dtype(dtype)
    nbytes = size * kind.itemsize
    buffers = _local.buffers
    raw = buffers.get(name)
    if raw is None or raw.size < nbytes:
        padded = np.empty(nbytes + 64, np.uint8)
        start = -padded.ctypes.data % 64
        raw = padded[start : start + nbytes]
        if nbytes <= _KEEP_BYTES:
            buffers[name] = raw
    view = raw[:nbytes].view(kind)
    if nbytes <= _KEEP_BYTES:
        _local.last[name] = (size, dtype, view)
    return view
