"""What a JPEG, JPEG-LS, JPEG 2000 or JPEG XL stream tells of itself: its size, whether its end is there, and its loss.

The file around it declares a size as well, and limits are checked against that one. A decoder allocates by the
stream's own, so the two must agree before anything is decoded.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from ctfast.files import _jpeg_xl

JPEG_START = b"\xff\xd8"
_J2K_START = b"\xff\x4f\xff\x51"
_JP2_START = b"\0\0\0\x0cjP  "
# Start-of-frame markers: C0 to CF without DHT (C4), JPG (C8) and DAC (CC); F7 is JPEG-LS.
_FRAMES = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
_LOSSLESS_FRAMES = frozenset({0xC3, 0xC7, 0xCB, 0xCF})
_JPEG_LS = 0xF7
_SCAN = 0xDA
_CODING_STYLE = b"\xff\x52"
_SEARCH = 1 << 16
_END = b"\xff\xd9"
_BEHIND = 1024
"""Bytes that may follow the end marker: fragments are of even length, and some writers pad them further."""


def declared_size(stream: bytes) -> tuple[int, int] | None:
    """``(rows, columns)`` of a stream, None where the header does not tell.

    Args:
        stream: The whole stream or its beginning.
    """
    if stream.startswith(JPEG_START):
        return _jpeg(stream)
    start = 0 if stream.startswith(_J2K_START) else -1
    if stream.startswith(_JP2_START):
        start = stream.find(_J2K_START, 0, _SEARCH)
    if start < 0 or len(stream) < start + 24:
        return _jpeg_xl.declared_size(stream)
    width, height, left, top = struct.unpack_from(">4I", stream, start + 8)
    return height - top, width - left


def is_cut(stream: bytes) -> bool:
    """Whether a JPEG, JPEG-LS or JPEG 2000 stream lacks its end marker, as one does whose end is missing.

    The marker can't occur in what comes before (ISO/IEC 10918-1 B.1.1.5, 14495-1 A.1, 15444-1 B.10.1), and decoders
    make up the pixels that are not there.
    """
    return stream.startswith((JPEG_START, _J2K_START, _JP2_START)) and _END not in stream[-_BEHIND:]


def is_signed_jpeg2000(stream: bytes) -> bool:
    """Whether a JPEG 2000 stream says of its first component that it is signed (ISO/IEC 15444-1 A.5.1, Ssiz)."""
    start = stream.find(_J2K_START, 0, _SEARCH) if stream.startswith((_J2K_START, _JP2_START)) else -1
    return start >= 0 and len(stream) > start + 42 and stream[start + 42] >= 128


def jpeg2000_type(stream: bytes) -> str:
    """NumPy's name of the values of a bare JPEG 2000 stream of one component, up to 16 bits; empty for others."""
    if not stream.startswith(_J2K_START) or len(stream) <= 42 or stream[40:42] != b"\0\1":
        return ""
    bits = (stream[42] & 127) + 1
    return f"{'i' if stream[42] >= 128 else 'u'}{1 if bits <= 8 else 2}" if bits <= 16 else ""


def loss_of(stream: bytes) -> str:
    """How a JPEG, JPEG-LS or JPEG 2000 stream changed the values, as far as its header tells; else empty.

    Source: ISO/IEC 10918-1 B.2 (frames, and the point transform of lossless scans), 14495-1 C.2.3 (NEAR), 15444-1
    A.6.1 (wavelet transformations).
    """
    if not stream.startswith(JPEG_START):
        start = stream.find(_J2K_START, 0, _SEARCH) if stream.startswith((_J2K_START, _JP2_START)) else -1
        style = stream.find(_CODING_STYLE, start + 40, _SEARCH) if start >= 0 else -1
        return "JPEG 2000, irreversible wavelets" if 0 <= style < len(stream) - 13 and not stream[style + 13] else ""
    frame = 0
    for marker, at in _segments(stream):
        if marker in _FRAMES:
            frame = marker
        if marker != _SCAN:
            continue
        if frame != _JPEG_LS and frame not in _LOSSLESS_FRAMES:
            return "JPEG" if frame else ""
        near, _, shift = (stream[at + 5 + 2 * stream[at + 4] :] + b"\0\0\0")[:3]  # of lossless JPEG: predictor, end
        if frame == _JPEG_LS:
            return f"JPEG-LS, by up to {near}" if near else ""
        return f"lossless JPEG without its last {shift & 15} bits" if shift & 15 else ""
    return ""


def _jpeg(stream: bytes) -> tuple[int, int] | None:
    for marker, at in _segments(stream):
        if marker in _FRAMES:
            rows, columns = struct.unpack_from(">2H", stream, at + 5)
            return rows, columns
    return None


def _segments(stream: bytes) -> Iterator[tuple[int, int]]:
    """Markers and where they lie, up to the first that is none."""
    offset = 2
    while offset + 9 <= len(stream) and stream[offset] == 0xFF:
        marker = stream[offset + 1]
        if marker == 0xFF:
            offset += 1
            continue
        yield marker, offset
        offset += 2 + struct.unpack_from(">H", stream, offset + 2)[0]
