"""Plain TIFFs without tifffile's page objects: one little-endian page, uncompressed or deflated, as most slices are.

tifffile takes .5 ms to open or to write such a file, three times what its bytes take. Reading looks at nothing but a
page whose every tag is an ordinary one; anything else is ``None`` and tifffile's to read or refuse. Written headers are
tifffile's own, made once a shape, with the text and the resolution of the file put in their places.

Source: TIFF 6.0, section 2 (image file directory) and section 8 (baseline tags).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ctfast.files._fast_gzip import inflate_into

MAGIC: Final = b"II*\0"
_LARGEST: Final = 64 << 20
_SHORT, _LONG, _ASCII = 3, 4, 2
_ONLY: Final = {254: 0, 262: 1, 274: 1, 277: 1, 284: 1}
"""Tags and the one value that makes a page plain: subfile, photometric, orientation, samples, planes."""
_STRIPS: Final = frozenset({273, 279})
_READ: Final = frozenset({256, 257, 258, 259, 270, 278, 317, 339}) | _STRIPS
_WITHOUT_MEANING: Final = frozenset({282, 283, 296, 305, 306})
"""Resolution, software and date, which change nothing in the pixels."""
_NEEDED: Final = frozenset({256, 257, 258, 259, 262, 273, 279})
_DTYPES: Final = {
    (1, 8): "u1", (1, 16): "<u2", (1, 32): "<u4", (2, 8): "i1", (2, 16): "<i2", (2, 32): "<i4",
    (3, 32): "<f4", (3, 64): "<f8",
}  # fmt: skip
"""By sample format and bits."""
_COMPRESSIONS: Final = {1: "NONE", 8: "ADOBE_DEFLATE", 32946: "DEFLATE"}
_MOST_STRIPS: Final = 1 << 16
_MOST_TIMES: Final = 64
"""How many times as many bytes the pixels may be as the file."""

Room = Callable[[int], NDArray[np.uint8]]

_entries = struct.Struct("<HHI4s").iter_unpack
_long = struct.Struct("<I").unpack_from
_short = struct.Struct("<H").unpack_from


class PlainPage(NamedTuple):
    """The only page of a plain file.

    Attributes:
        pixels: as stored, a view of the file's bytes where they are not compressed.
        description: of the image.
        start: the byte where pixels begin that are not compressed.
        compression: its name.
    """

    pixels: np.ndarray
    description: str
    start: int
    compression: str


def may_be_plain(head: bytes, size: int) -> bool:
    """Whether a file of these first bytes and this size is worth a look at all of it."""
    return head.startswith(MAGIC) and size <= _LARGEST


def plain_page(data: bytes | memoryview, room: Room | None = None) -> PlainPage | None:
    """The page of a file that is given whole; None for all but plain ones.

    Args:
        data: the file.
        room: gives memory of a size for pixels that are inflated.
    """
    if not may_be_plain(bytes(data[:4]), len(data)) or len(data) < 16:
        return None
    tags = _tags(data, _long(data, 4)[0])
    if tags is None or not tags.keys() >= _NEEDED or any(tags.get(tag, (one,)) != (one,) for tag, one in _ONLY.items()):
        return None
    width, height, rows = tags[256][0], tags[257][0], tags.get(278, tags[257])[0]
    dtype = _DTYPES.get((tags.get(339, (1,))[0], tags[258][0]))
    compression = _COMPRESSIONS.get(tags[259][0])
    if dtype is None or compression is None or min(width, height, rows) < 1:
        return None
    description = tags.get(270, "")
    if not _is_ordinary(description, height, width):
        return None
    strips = list(zip(tags[273], tags[279]))
    if len(tags[273]) != len(tags[279]) or any(
        offset < 8 or not size or offset + size > len(data) for offset, size in strips
    ):
        return None
    pixels: np.ndarray | None = None
    if compression != "NONE":
        pixels = _inflated(
            data, strips, (height, width), min(rows, height), np.dtype(dtype), tags.get(317, (1,))[0], room
        )
    elif rows >= height and 317 not in tags and tags[279] == (width * height * np.dtype(dtype).itemsize,):
        pixels = np.frombuffer(data, dtype, width * height, strips[0][0]).reshape(height, width)
    return None if pixels is None else PlainPage(pixels, description, strips[0][0], compression)


def _inflated(
    data: bytes | memoryview,
    strips: list[tuple[int, int]],
    shape: tuple[int, int],
    rows: int,
    dtype: np.dtype,
    predictor: int,
    room: Room | None,
) -> np.ndarray | None:
    """Pixels of strips that hold just what they should, inflated; differences of neighbours are added up."""
    (height, width), size = shape, shape[0] * shape[1] * dtype.itemsize
    if len(strips) != -(-height // rows) or size > min(_LARGEST, _MOST_TIMES * len(data)):
        return None
    if predictor not in (1, 2) or (predictor == 2 and dtype.kind == "f"):
        return None
    whole = np.empty(size, np.uint8) if room is None else room(size)
    step = rows * width * dtype.itemsize
    for index, (offset, count) in enumerate(strips):
        if not inflate_into(memoryview(data)[offset : offset + count], whole[index * step : (index + 1) * step]):
            return None
    pixels = whole.view(dtype).reshape(shape)
    if predictor == 2:
        import imagecodecs  # which has inflated them

        imagecodecs.delta_decode(pixels, axis=-1, out=pixels)
    return pixels


class PlainPages:
    """Pages of one file after the other, most of which say what the one before says, byte by byte."""

    def __init__(self) -> None:
        self._size, self._head = 0, b""
        self._shape: tuple[int, ...] = ()
        self._dtype, self._description = np.dtype(np.uint8), ""

    def of(self, data: memoryview, room: Room) -> PlainPage | None:
        """As ``plain_page``."""
        start = len(self._head)
        if start and len(data) == self._size and data[:start] == self._head:
            pixels = np.frombuffer(data, self._dtype, self._shape[0] * self._shape[1], start).reshape(self._shape)
            return PlainPage(pixels, self._description, start, "NONE")
        page = plain_page(data, room)
        if page is None or page.compression != "NONE":
            return page
        start = page.start
        # Where nothing is said behind or within the pixels, a file with the same bytes before them says the same.
        ends_with_pixels = start + page.pixels.nbytes == len(data)
        if ends_with_pixels and _tags(data[:start], _long(data, 4)[0]) is not None:
            self._size, self._head = len(data), bytes(data[:start])
            self._shape, self._dtype, self._description = page.pixels.shape, page.pixels.dtype, page.description
        return page


def _tags(data: bytes | memoryview, start: int) -> dict[int, Any] | None:
    """The values of the only directory's tags, tuples and text; None where there is anything unusual in it."""
    count = _short(data, start)[0] if start + 2 <= len(data) else 0
    end = start + 2 + 12 * count
    if not count or end + 4 > len(data) or _long(data, end)[0]:
        return None
    tags: dict[int, Any] = {}
    for tag, kind, number, value in _entries(data[start + 2 : end]):
        if tag in _WITHOUT_MEANING:
            continue
        if tag in tags or (tag not in _READ and tag not in _ONLY):
            return None
        if kind == _ASCII and tag == 270:
            at = _long(value)[0]
            text = bytes(data[at : at + number]) if number > 4 else value[:number]
            if (at + number > len(data) and number > 4) or not text.isascii():
                return None
            tags[tag] = text.rstrip(b"\0").decode()
        elif number == 1 and kind in (_SHORT, _LONG):
            tags[tag] = ((_long if kind == _LONG else _short)(value)[0],)
        elif tag in _STRIPS and 1 < number <= _MOST_STRIPS and kind in (_SHORT, _LONG):
            size = number * (4 if kind == _LONG else 2)
            at = _long(value)[0]
            numbers = value[:size] if size <= 4 else bytes(data[at : at + size])
            if len(numbers) < size:
                return None
            tags[tag] = struct.unpack(f"<{number}{'I' if kind == _LONG else 'H'}", numbers)
        else:
            return None
    return tags


def _is_ordinary(description: str, height: int, width: int) -> bool:
    """Whether a description is ours, or one of tifffile's that says no more than the tags."""
    if '"shape"' in description:
        return description == f'{{"shape": [{height}, {width}]}}'
    return not description or (description.startswith("{") and '"ctfast"' in description)


def plain_header(
    shape: tuple[int, ...], dtype: np.dtype, text: str, resolution: tuple[float, float] | None, common: dict[str, Any]
) -> bytes | None:
    """What tifffile writes in front of the pixels of one page; None where it also writes something behind them.

    Args:
        shape: ``(H, W)``.
        dtype: in native byte order.
        text: the description, ASCII.
        resolution: pixels per centimetre, columns first.
        common: what else ``TiffWriter.write`` is given, plain values.
    """
    made = _header(shape, dtype, len(text), resolution is not None, tuple(common.items()))
    if made is None:
        return None
    header, places = made
    out = bytearray(header)
    out[places[270] : places[270] + len(text)] = text.encode("ascii")
    if resolution is not None:
        numbers = _rationals(resolution)
        out[places[282] : places[282] + 8], out[places[283] : places[283] + 8] = numbers[:8], numbers[8:]
    return bytes(out)


@lru_cache(maxsize=1024)
def _header(
    shape: tuple[int, ...], dtype: np.dtype, length: int, resolved: bool, common: tuple[tuple[str, Any], ...]
) -> tuple[bytes, dict[int, int]] | None:
    """A header with a description of this length, and where the values of some tags lie in it."""
    resolution = (1.0, 1.0) if resolved else None
    file = _written(np.zeros(shape, dtype), "x" * length, resolution, dict(common))
    values, start = _places(file)
    size = int(np.prod(shape)) * dtype.itemsize
    whole = file.getvalue()
    return (whole[:start], values) if len(whole) == start + size else None


@lru_cache(maxsize=1024)
def _rationals(resolution: tuple[float, float]) -> bytes:
    """How tifffile writes these two numbers."""
    data = _smallest(resolution).getvalue()
    return b"".join(data[place : place + 8] for place in _places_of_rationals())


@lru_cache(maxsize=1)
def _places_of_rationals() -> tuple[int, int]:
    values, _ = _places(_smallest((1.0, 1.0)))
    return values[282], values[283]


def _smallest(resolution: tuple[float, float]) -> io.BytesIO:
    return _written(np.zeros((1, 1), np.uint8), "x" * 8, resolution, {"metadata": None})


def _written(
    pixels: np.ndarray, text: str, resolution: tuple[float, float] | None, common: dict[str, Any]
) -> io.BytesIO:
    import tifffile

    if resolution is not None:
        common = {**common, "resolution": resolution, "resolutionunit": "CENTIMETER"}
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(pixels, description=text, **common)
    return file


def _places(file: io.BytesIO) -> tuple[dict[int, int], int]:
    """Where the values of the tags of the only page begin, and where its pixels do."""
    import tifffile

    file.seek(0)
    with tifffile.TiffFile(file) as tif:
        page = tif.pages[0]
        return {tag.code: int(tag.valueoffset) for tag in page.tags.values()}, int(page.dataoffsets[0])
