"""Gzip and zlib by libdeflate, through imagecodecs where it is there: a third of zlib's time, if all fits in memory."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

AT_ONCE: Final = 1 << 28
"""Bytes: libdeflate needs them all in memory, packed and not, where zlib streams."""
_LEVEL: Final = 1
"""nibabel's: Python's, 9, takes five times as long for a fiftieth of the size."""


def inflate_quickly(packed: bytes, size: int) -> bytes | None:
    """The first ``size`` bytes of what ``packed`` holds; None for what zlib has to look at, and to complain of."""
    try:
        import imagecodecs

        data = bytes(imagecodecs.gzip_decode(packed, out=size))
    except Exception:  # whatever it raises: not installed, damaged, longer than its header says, several streams
        return None
    return data if len(data) == size else None


def inflate_into(packed: memoryview, out: NDArray[np.uint8]) -> bool:
    """Whether a zlib stream holds just as many bytes as ``out``, where they are then; others have to look else."""
    try:
        import imagecodecs

        decode: Any = imagecodecs.deflate_decode  # whose stubs know no arrays
        return len(decode(packed, out=out)) == out.size
    except Exception:  # as above
        return False


def deflate(write: Callable[[Any], object], size: int, file: IO[bytes]) -> None:
    """Write to ``file``, packed, what ``write`` writes, some ``size`` bytes. There is no time stamp among them."""
    try:
        import imagecodecs
    except ImportError:
        size = AT_ONCE + 1
    if size > AT_ONCE:
        with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=_LEVEL, mtime=0, filename="") as packed:
            write(packed)
        return
    whole = io.BytesIO()
    write(whole)
    file.write(imagecodecs.gzip_encode(whole.getvalue(), level=_LEVEL))
