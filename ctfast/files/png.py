"""Grey PNG of 8 or 16 bits, for pictures in reports; written by the standard library alone.

Source: W3C PNG specification (third edition), sections 5, 9.2 (filter type Up) and 11.2.
"""

from __future__ import annotations

import struct
import zlib
from typing import IO

import numpy as np

from ctfast.errors import DTypeError, ShapeError
from ctfast.files.image import WriteOptions

_UP = 2


def write_png(file: IO[bytes], pixels: np.ndarray, options: WriteOptions) -> None:
    """Write one ``(H, W)`` image of uint8 or uint16.

    Raises:
        DTypeError, ShapeError: For other pixels.
    """
    if pixels.dtype.name not in ("uint8", "uint16"):
        raise DTypeError(f"pixels of {pixels.dtype.name} for PNG; uint8 and uint16 are allowed")
    if pixels.ndim != 2:
        raise ShapeError(f"pixels of shape {pixels.shape} for PNG; one image (H, W) is allowed")
    height, width = pixels.shape
    rows = np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder(">")).view(np.uint8).reshape(height, -1)
    filtered = np.empty((height, rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = _UP
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    header = struct.pack(">2I5B", width, height, 8 * pixels.dtype.itemsize, 0, 0, 0, 0)
    file.write(b"\x89PNG\r\n\x1a\n")
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(filtered.tobytes(), 6)), (b"IEND", b"")):
        file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
