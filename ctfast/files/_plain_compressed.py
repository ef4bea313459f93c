"""Compressed slices for the reader of plain ones: the file as it would be, had it been written uncompressed.

Compressed syntaxes have explicit value representations (PS3.5 A.4), so what comes before the pixels is the same but for
the transfer syntax.
"""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ctfast.errors import FileFormatError
from ctfast.files._dicom_scan import transfer_syntax
from ctfast.files._fast_decoders import LOSSLESS, decode_quickly
from ctfast.files._jpeg_header import declared_size, is_cut, loss_of

_PIXELS: Final = b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff"
_EXPLICIT: Final = b"1.2.840.10008.1.2.1"
_ROWS: Final = b"\x28\0\x10\0US\2\0"
_COLUMNS: Final = b"\x28\0\x11\0US\2\0"
_MOST_PIXELS: Final = 1 << 22
_MOST_TIMES: Final = 64
"""How many times as many bytes the pixels may be as the file."""


def uncompressed(view: memoryview) -> NDArray[np.uint8] | None:
    """The bytes of a file of one slice of 16 bits, decoded; None for all that the ordinary reader has to look at.

    The reader of plain files walks over the result as over any file, so that what was taken for an element here and is
    part of another one ends there, as does a header that says anything else than what was decoded.
    """
    data = bytes(view)
    syntax, start = transfer_syntax(data)
    at = data.find(_PIXELS)
    if syntax.decode("ascii", "replace") not in LOSSLESS or at < 0 or data.find(_PIXELS, at + 1) >= 0:
        return None
    shape = _number(data, _ROWS, at), _number(data, _COLUMNS, at)
    nbytes = 2 * shape[0] * shape[1]
    if not 0 < nbytes <= min(2 * _MOST_PIXELS, _MOST_TIMES * len(data)):
        return None
    stream = _only_frame(data[at + len(_PIXELS) :])
    if stream is None or is_cut(stream) or loss_of(stream) or declared_size(stream) not in (None, shape):
        return None
    try:
        pixels = decode_quickly([stream], syntax.decode(), shape, np.dtype("<u2"))
    except FileFormatError:  # the ordinary reader says it, with the file's name
        return None
    if pixels is None:
        return None
    file = np.empty(at + 12 + nbytes, np.uint8)
    file[:at] = view[:at]
    file[start : start + len(syntax)] = np.frombuffer(_EXPLICIT.ljust(len(syntax), b"\0"), np.uint8)
    file[at : at + 12] = np.frombuffer(_PIXELS[:4] + b"OW\0\0" + struct.pack("<I", nbytes), np.uint8)
    file[at + 12 :] = pixels.view(np.uint8)
    return file


def _number(data: bytes, element: bytes, before: int) -> int:
    at = data.rfind(element, 0, before)
    return struct.unpack_from("<H", data, at + len(element))[0] if at >= 0 else 0


def _only_frame(data: bytes) -> bytes | None:
    from pydicom.encaps import generate_frames

    try:
        frames = list(generate_frames(data, number_of_frames=1))
    except Exception:  # of fragments that are damaged: the ordinary reader says how
        return None
    return frames[0] if len(frames) == 1 else None
