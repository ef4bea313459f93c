"""What a LERC stream in a TIFF file must fulfil before it is decoded.

Source: Esri, LERC specification (Lerc2 header): magic, version, checksum from version 3 on, rows, columns, values a
pixel from version 4 on, valid pixels.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from ctfast.errors import FileFormatError

_MAGIC: Final = b"Lerc2 "
_PARAMETERS: Final = 50674  # version, further compression


def check_parameters(page: Any) -> None:
    """Refuse LERC streams that are compressed once more, whose size nobody can look at.

    Raises:
        FileFormatError: with the way out.
    """
    tag = page.tags.get(_PARAMETERS)
    if tag is not None and tuple(tag.value)[1:2] not in ((), (0,)):
        raise FileFormatError(f"page {page.index}: LERC inside deflate or Zstandard is not read", "save it without")


def declared_size(stream: bytes) -> tuple[int, int]:
    """``(rows, columns)`` of a stream.

    Raises:
        FileFormatError: for another version, and for masked pixels, which would become zeros.
    """
    version = int.from_bytes(stream[6:10], "little")
    if not stream.startswith(_MAGIC) or not 2 <= version <= 6 or len(stream) < 40:
        raise FileFormatError("a LERC stream of another version than 2 is not read", "save it as deflate")
    start = 10 + (4 if version >= 3 else 0)
    rows, columns = struct.unpack_from("<2i", stream, start)
    valid: int = struct.unpack_from("<i", stream, start + (12 if version >= 4 else 8))[0]
    if valid != rows * columns:
        raise FileFormatError(f"LERC masks {rows * columns - valid} pixels, which have no value", "fill them and save")
    return rows, columns
