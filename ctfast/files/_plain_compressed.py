"""Compressed slices for the reader of plain ones: the file as it would be, had it been written uncompressed.

Compressed syntaxes have explicit value representations (PS3.5 A.4), so what comes before the pixels is the same but for
the transfer syntax.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
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
_SIGNED: Final = b"\x28\0\3\1US\2\0"
_MOST_PIXELS: Final = 1 << 22
_MOST_TIMES: Final = 64
"""How many times as many bytes the pixels may be as the file."""
_ITEM: Final = b"\xfe\xff\0\xe0"
_END: Final = b"\xfe\xff\xdd\xe0\0\0\0\0"

_length = struct.Struct("<I").unpack_from


def uncompressed(view: memoryview, room: Callable[[int], NDArray[np.uint8]]) -> NDArray[np.uint8] | None:
    """The bytes of a file of one slice of 16 bits, decoded; None for all that the ordinary reader has to look at.

    The reader of plain files walks over the result as over any file, so that what was taken for an element here and is
    part of another one ends there, as does a header that says anything else than what was decoded.

    Args:
        view: the file.
        room: gives memory of a size for the result.
    """
    data = bytes(view)
    syntax, start = transfer_syntax(data)
    at = data.find(_PIXELS)
    if syntax.decode("ascii", "replace") not in LOSSLESS or at < 0 or data.find(_PIXELS, at + 1) >= 0:
        return None
    shape = _number(data, _ROWS, at), _number(data, _COLUMNS, at)
    nbytes = 2 * shape[0] * shape[1]
    if not 0 < nbytes <= min(2 * _MOST_PIXELS, _MOST_TIMES * len(data)) or data.count(_SIGNED, 0, at) != 1:
        return None
    stream = _only_frame(data, at + len(_PIXELS))
    if stream is None or is_cut(stream) or loss_of(stream) or declared_size(stream) not in (None, shape):
        return None
    begin = at + 12
    file = room(begin + nbytes)
    dtype = np.dtype("i2" if _number(data, _SIGNED, at) else "u2")
    try:
        pixels = decode_quickly([stream], syntax.decode(), shape, dtype, file[begin:].view(dtype).reshape(shape))
    except FileFormatError:  # the ordinary reader says it, with the file's name
        return None
    if pixels is None:
        return None
    if not np.shares_memory(pixels, file):
        file[begin:] = pixels.view(np.uint8)
    file[:at] = view[:at]
    file[start : start + len(syntax)] = np.frombuffer(_EXPLICIT.ljust(len(syntax), b"\0"), np.uint8)
    file[at:begin] = np.frombuffer(_PIXELS[:4] + b"OW\0\0" + struct.pack("<I", nbytes), np.uint8)
    return file


def _number(data: bytes, element: bytes, before: int) -> int:
    at = data.rfind(element, 0, before)
    return struct.unpack_from("<H", data, at + len(element))[0] if at >= 0 else 0


def _only_frame(data: bytes, start: int) -> bytes | None:
    """The stream of the only frame, from the item of offsets on (PS3.5 A.4)."""
    if len(data) >= start + 16 and data[start : start + 4] == _ITEM:
        first = start + 8 + _length(data, start + 4)[0]
        ordinary = data[start + 8 : first] in (b"", b"\0\0\0\0")
        if ordinary and data[first : first + 4] == _ITEM and len(data) >= first + 8:
            end = first + 8 + _length(data, first + 4)[0]
            if data[end : end + 8] == _END:  # one fragment, as nearly always
                return data[first + 8 : end]
    return _joined_frame(data[start:])


def _joined_frame(data: bytes) -> bytes | None:
    from pydicom.encaps import generate_frames

    try:
        frames = list(generate_frames(data, number_of_frames=1))
    except Exception:  # of fragments that are damaged: the ordinary reader says how
        return None
    return frames[0] if len(frames) == 1 else None
