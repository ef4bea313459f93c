"""JPEG XL: the size that a stream declares, and decoding by imagecodecs after it was held against the file's.

Source: ISO/IEC 18181-1 (SizeHeader, bits from the lowest), 18181-2 (boxes); DICOM PS3.5 A.4.14 (no signed pixels).
"""

from __future__ import annotations

from typing import Any, Final

from ctfast.errors import FileFormatError, missing_extra

_CODESTREAM: Final = b"\xff\x0a"
_CONTAINER: Final = b"\0\0\0\x0cJXL \r\n\x87\n"
_BOXES: Final = ((b"jxlc", 4), (b"jxlp", 8))  # a box of all of it, or of a part behind its number
_SEARCH: Final = 1 << 16
_HEADER: Final = 12  # bytes that hold the longest SizeHeader
_BITS: Final = (9, 13, 18, 30)
_RATIOS: Final = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
"""Columns to rows."""


def declared_size(stream: bytes) -> tuple[int, int] | None:
    """``(rows, columns)`` of a stream; None where it is no JPEG XL.

    Raises:
        FileFormatError: for boxes without a size among their first 64 KiB, which nobody can hold against a limit.
    """
    start = 0 if stream.startswith(_CODESTREAM) else -1
    if stream.startswith(_CONTAINER):
        places = (stream.find(name, 0, _SEARCH) + ahead for name, ahead in _BOXES)
        start = next((place for place in places if stream[place : place + 2] == _CODESTREAM), -1)
        if start < 0:
            raise FileFormatError(
                "JPEG XL boxes that do not begin with the image are not read", "save it without boxes"
            )
    if start < 0:
        return None
    bits = _Bits(stream[start + 2 : start + 2 + _HEADER])
    small = bits.take(1) == 1
    rows = _length(bits, small)
    ratio = bits.take(3)
    if ratio == 0:
        return rows, _length(bits, small)
    columns, to_rows = _RATIOS[ratio - 1]
    return rows, rows * columns // to_rows


def decode(stream: bytes) -> Any:
    """The pixels of a stream whose size is known to be harmless.

    Raises:
        MissingDependencyError: without imagecodecs, or where it was built without JPEG XL.
    """
    return codec("JPEGXL", "JPEG XL").jpegxl_decode(stream)


def codec(name: str, title: str) -> Any:
    """imagecodecs, where it has this codec.

    Raises:
        MissingDependencyError: with the pip command.
    """
    try:
        import imagecodecs
    except ImportError as error:
        raise missing_extra(f"{title} needs imagecodecs", "codecs") from error
    if not getattr(imagecodecs, name).available:
        raise missing_extra(f"{title} needs an imagecodecs that was built with it", "codecs")
    return imagecodecs


def refuse_signed(signed: bool) -> None:
    """Refuse what the format can't hold.

    Raises:
        FileFormatError: if the header says signed.
    """
    if signed:
        raise FileFormatError(
            "Pixel Representation says signed, and JPEG XL has no signed pixels",
            "rewrite the file uncompressed or as JPEG 2000 with the software that wrote it",
        )


class _Bits:
    """Bits of bytes, the lowest first."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "little")

    def take(self, count: int) -> int:
        value = self._value & ((1 << count) - 1)
        self._value >>= count
        return value


def _length(bits: _Bits, small: bool) -> int:
    return 8 * (1 + bits.take(5)) if small else 1 + bits.take(_BITS[bits.take(2)])
