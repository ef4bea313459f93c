"""Gzip and zlib, faster than zlib: read by libdeflate (imagecodecs) in a third of the time, written by ISA-L (isal) in
a sixth. zlib does what is too large to be in memory at once, and all where they are not installed."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

AT_ONCE: Final = 1 << 28
"""Bytes: libdeflate needs them all in memory, packed and not, where zlib streams."""
_LEVEL: Final = 1
"""nibabel's: Python's, 9, takes five times as long for a fiftieth of the size."""
_LEVEL_OF_ISAL: Final = 2
"""As fast as 1. A slice takes 3 % more bytes than by zlib's 1."""


def inflate_quickly(packed: bytes, size: int) -> NDArray[np.uint8] | None:
    """The first ``size`` bytes of what ``packed`` holds; None for what zlib has to look at, and to complain of."""
    data = np.empty(size, np.uint8)
    try:
        import imagecodecs

        decode: Any = imagecodecs.gzip_decode  # whose stubs know no arrays
        return data if len(decode(packed, out=data)) == size else None
    except Exception:  # whatever it raises: not installed, damaged, longer than its header says, several streams
        return None


def inflate_into(packed: memoryview, out: NDArray[np.uint8]) -> bool:
    """Whether a zlib stream holds just as many bytes as ``out``, where they are then; others have to look else."""
    try:
        import imagecodecs

        decode: Any = imagecodecs.deflate_decode
        return len(decode(packed, out=out)) == out.size
    except Exception:  # as above
        return False


def deflate(write: Callable[[Any], object], file: IO[bytes]) -> None:
    """Write to ``file``, packed, what ``write`` writes. There is no time stamp among it."""
    with _packing(file) as packed:
        write(packed)


def _packing(file: IO[bytes]) -> Any:
    try:
        from isal import igzip
    except ImportError:
        return gzip.GzipFile(fileobj=file, mode="wb", compresslevel=_LEVEL, mtime=0, filename="")
    packing: Any = igzip.IGzipFile  # which has no types
    return packing(fileobj=file, mode="wb", compresslevel=_LEVEL_OF_ISAL, mtime=0, filename="")
