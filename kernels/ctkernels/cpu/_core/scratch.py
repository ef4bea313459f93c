"""Scratch memory that a thread keeps between calls.

Fresh pages fault in at some 2.5 GB/s, slower than most kernels here run, so no kernel allocates per image.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_local = threading.local()
_KEEP_BYTES = 64 << 20
"""A thread keeps no single buffer larger than this; larger ones are made anew for each call."""


def scratch(name: str, size: int, dtype: DTypeLike) -> NDArray[Any]:
    """A 1-D buffer of ``size`` elements, 64-byte aligned, contents arbitrary, this thread's own under ``name``."""
    dtype = np.dtype(dtype)
    nbytes = size * dtype.itemsize
    buffers: dict[str, NDArray[np.uint8]] = _local.__dict__.setdefault("buffers", {})
    raw = buffers.get(name)
    if raw is None or raw.size < nbytes:
        padded = np.empty(nbytes + 64, np.uint8)
        start = -padded.ctypes.data % 64
        raw = padded[start : start + nbytes]
        if nbytes <= _KEEP_BYTES:
            buffers[name] = raw
    return raw[:nbytes].view(dtype)
