"""Plain DICOM and TIFF slices, many of them one after the other, by compiled code: bytes in, all that a run asks out.
Slices in a lossless syntax that is decoded quickly are plain once they are.

``read_image`` gives the same for the same file; what is unusual about a file, from its header to the values of its
pixels, leaves it to that.
"""

from __future__ import annotations

import io
import math
import struct
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from ctfast.batch.choices import UnitsChoice
from ctfast.errors import FileFormatError
from ctfast.files import _dicom_padding as pad
from ctfast.files._dicom_tags import decimals
from ctfast.files._plain_compressed import uncompressed
from ctfast.files._plain_head import Head, Heads, Wanted
from ctfast.files._tiff_plain import MAGIC as TIFF
from ctfast.files._tiff_plain import PlainPages
from ctfast.files.dicom import noted
from ctfast.files.geometry import Geometry
from ctfast.files.image import Image, Limits, MetaValue
from ctfast.files.kaggle import parse_name
from ctfast.files.reading import with_units
from ctfast.files.recognize import HEAD_BYTES, check_format
from ctfast.files.tiff import plain_image
from ctfast.files.units import is_above_doubt
from ctfast.files.writing import write_image

_ENDS: Final = (".dcm", ".DCM", ".ima", ".IMA", ".dicom")
_TIFF_ENDS: Final = (".tif", ".tiff", ".TIF", ".TIFF")
_MOST_FIRSTS: Final = 64
_INT16: Final = (-32768, 32767)


class PlainSlice(NamedTuple):
    """A slice that was read.

    Attributes:
        image: as ``read_image`` gives it, but for facts in ``meta`` that no run asks for.
        padding: the range of values that are no data, where pixels have one; else None.
        dark: whether no such pixel is brighter than any other.
    """

    image: Image
    padding: tuple[float, float] | None
    dark: bool


class PlainReader:
    """Reads slices into memory of its own, on the thread that makes it.

    Args:
        units: as for ``read_image``.
        limits: as for ``read_image``.
    """

    def __init__(self, units: UnitsChoice, limits: Limits) -> None:
        from ctkernels.stored import elements, pixels

        self._units, self._limits = units, limits
        self._walk: Any = elements.elements
        self._tables, self._compiled = elements.TABLES, cast(Any, pixels)
        kinds = elements.TEXT, elements.BINARY, elements.REFUSED, elements.PIXELS
        self._wanted = Wanted(elements.ODD, *kinds)
        self._heads = Heads(units, limits)
        self._values = self._decoded = np.empty(0, np.uint8)
        self._pages = PlainPages()
        self.before = 0
        """Bytes that a file is best read behind, from a multiple of 8 on: then its pixels lie as numbers should, if it
        is like the last one. TIFFs begin their pixels anywhere."""

    def read(self, path: str, data: NDArray[np.uint8], size: int) -> PlainSlice | None:
        """The slice of a file whose bytes are the first ``size`` of ``data``; None for all that is not plain.

        Its pixels lie in ``data`` or in memory that the next one takes; the bytes of ``data`` are the file's no more.
        """
        wanted, view = self._wanted, data.data
        if size > 4 and bytes(view[:4]) == TIFF:
            return self._tiff(path, view[:size])
        length = self._elements(data, size)
        if length < 0 and (decoded := uncompressed(view[:size], self._room_of_file)) is not None:
            data, size, view = decoded, decoded.size, decoded.data
            length = self._elements(data, size)
        if length < 0 or not _is_named_so(path, view[: min(size, HEAD_BYTES)], _ENDS, "dicom"):
            return None
        head = self._heads.of(wanted.key[:length].tobytes(), wanted, view)
        if head is None:
            return None
        start, there = wanted.found[wanted.pixels].tolist()
        # As much as one slice needs, and less than two; shorter and longer ones are refused by name.
        if not head.nbytes <= min(there, size - start) or there >= 2 * head.nbytes or start % 2:
            return None
        stored = np.frombuffer(data, head.dtype, head.nbytes // 2, start)
        at, count = wanted.found[wanted.position].tolist()
        return self._slice(path, head, stored, bytes(view[at : at + count]) if at >= 0 else b"")

    def _elements(self, data: NDArray[np.uint8], size: int) -> int:
        wanted = self._wanted
        length: int = self._walk(
            data, size, wanted.tags, wanted.kinds, wanted.in_key, wanted.found, wanted.key, *self._tables
        )
        return length

    def _slice(self, path: str, head: Head, stored: NDArray[Any], position: bytes) -> PlainSlice | None:
        low, high = self._compiled.extent(stored)
        if low < head.lowest or high > head.highest or b"," in position:
            return None
        ends = _value_of(low, head), _value_of(high, head)
        if head.whole:
            if not (_INT16[0] <= ends[0] and ends[1] <= _INT16[1]):
                return None
            pixels = stored.view(np.int16)
        else:
            pixels = self._room(stored.size, np.float32)
        meta: dict[str, MetaValue] = {}
        if head.modality:
            meta["modality"] = head.modality
        meta["padding_range_limit"] = head.padding_limit
        affine = _affine(head, position)
        if affine is not None:
            meta["orientation"] = affine.orientation
        if head.notes:
            meta["notes"] = "; ".join(head.notes)
        looks = _Looks(self._compiled.split, head, stored, (low, high))
        image = Image(
            pixels.reshape(head.shape), head.units, Path(path), "dicom", head.padding, head.spacing, meta, affine
        )
        found = looks.lost(image.padding_range) if head.units in ("hu", "US") else None
        image = noted(image, self._units, found)
        padding, dark = looks.padding(image.padding_range)
        if padding is not None and not looks.some_data:
            return None
        # Nobody asks for the stored numbers any more.
        if not head.whole:
            self._compiled.real_line(stored, head.slope, head.intercept, pixels)
        elif (head.slope, head.intercept) != (1.0, 0.0) or stored.dtype != np.int16:
            self._compiled.whole_line(stored.view(np.uint16), int(head.slope), int(head.intercept))
        image = with_units(image, self._units, trusted=is_above_doubt(image, self._compiled.shares))
        return PlainSlice(image, padding, dark)

    def _tiff(self, path: str, view: memoryview) -> PlainSlice | None:
        """Of int16, or of float64 whose values are whole, as in the Kaggle set; without padding."""
        page = self._pages.of(view, self._room_of_file)
        if page is None or page.pixels.nbytes > self._limits.max_bytes:
            return None
        stored = page.pixels
        if page.compression == "NONE":
            self.before = -page.start % 8
        if not stored.flags.aligned:
            return None
        if not _is_named_so(path, view[:HEAD_BYTES], _TIFF_ENDS, "tiff"):
            return None
        if stored.dtype == np.float64:
            pixels = self._room(stored.size, np.int16)
            if not self._compiled.whole_floats(stored.reshape(-1), pixels):
                return None
        elif stored.dtype == np.int16:
            pixels = stored
        else:
            return None
        image = plain_image(Path(path), page, pixels.reshape(stored.shape))
        image = with_units(image, self._units, trusted=is_above_doubt(image, self._compiled.shares))
        return PlainSlice(image, None, True) if image.padding is None else None

    def _room_of_file(self, size: int) -> NDArray[np.uint8]:
        if self._decoded.size < size:
            self._decoded = np.empty(2 * size, np.uint8)
        return self._decoded[:size]

    def _room(self, size: int, dtype: Any) -> NDArray[Any]:
        if self._values.size < 4 * size:
            self._values = np.empty(4 * size, np.uint8)
        return self._values[: size * np.dtype(dtype).itemsize].view(dtype)


class _Looks:
    """Questions about rescaled pixels, answered by the stored ones: rescaling keeps their order."""

    def __init__(self, split: Any, head: Head, stored: NDArray[Any], extent: tuple[int, int]) -> None:
        self._split, self._head, self._stored, self._extent = split, head, stored, extent
        self.some_data = True

    def lost(self, padding: tuple[float, float] | None) -> float | None:
        """As ``_dicom_padding.lost``."""
        if padding is None or padding[0] <= _value_of(int(self._stored[0]), self._head) <= padding[1]:
            return None
        low, high = self._extent
        first, last = self._stored_range(*padding)
        if first <= last and self._split(self._stored, first, last)[0]:
            return None
        below = self._first_from(pad.LOWEST_HU) - 1
        if below < low:
            return None
        count, least, most, *_ = self._split(self._stored, low, min(below, high))
        one = _value_of(least, self._head)
        return float(one) if count > pad.FEWEST * self._stored.size and one == _value_of(most, self._head) else None

    def padding(self, values: tuple[float, float] | None) -> tuple[tuple[float, float] | None, bool]:
        """The range, where any pixel lies in it, and whether these are the darkest."""
        if values is None:
            return None, True
        first, last = self._stored_range(*values)
        if first > last:
            return None, True
        count, _, brightest, darkest, _ = self._split(self._stored, first, last)
        self.some_data = count < self._stored.size
        return (values if count else None), brightest <= darkest

    def _stored_range(self, low: float, high: float) -> tuple[int, int]:
        """The stored values, as far as there are pixels, whose rescaled ones lie in a range."""
        if not self._head.whole:  # as ``padded.held_pixels`` compares
            low, high = float(np.float32(low)), float(np.float32(high))
        return max(self._first_from(low), self._extent[0]), min(
            self._first_from(math.nextafter(high, math.inf)) - 1, self._extent[1]
        )

    def _first_from(self, value: float) -> int:
        known = self._head.firsts
        if value not in known:
            if len(known) >= _MOST_FIRSTS:
                known.clear()
            known[value] = first_from(value, self._head)
        return known[value]


def first_from(value: float, head: Head) -> int:
    """The least stored value whose rescaled one is not below ``value``."""
    guess = math.floor((value - head.intercept) / head.slope)
    guess = min(max(guess, -(1 << 17)), 1 << 17)
    while guess > -(1 << 17) and _value_of(guess, head) >= value:
        guess -= 1
    while guess < 1 << 17 and _value_of(guess, head) < value:
        guess += 1
    return guess


def _value_of(stored: int, head: Head) -> float:
    """As the compiled line gives it."""
    value = stored * head.slope + head.intercept
    return value if head.whole else float(np.float32(value))


def _affine(head: Head, position: bytes) -> Geometry | None:
    place = decimals(position)
    if head.plane is None or len(place) != 3 or not all(map(math.isfinite, place)):
        return None
    return Geometry(tuple((*row[:3], start) for row, start in zip(head.plane.affine, place)))


def _is_named_so(path: str, first: memoryview, ends: tuple[str, ...], kind: str) -> bool:
    """Whether the name of a file with these first bytes does not speak against its format."""
    try:
        name = path.rpartition("/")[2]
        if name.startswith(("ID_", "id_", "Id_", "iD_")):
            parse_name(name)
        return path.endswith(ends) or check_format(Path(path), bytes(first)).name == kind
    except FileFormatError:  # the ordinary reader says it
        return False


def compile_reader(side: int = 16) -> None:
    """Compile all that reading plain files takes, by reading some that are made up."""
    reader, file = PlainReader("auto", Limits()), io.BytesIO()
    write_image("made_up.tif", np.zeros((side, side)), into=file)
    slices = [made_up_slice(side, signed=signed, slope=slope) for signed in (True, False) for slope in (b"1 ", b"1.5 ")]
    for name, data in [("made_up.tif", file.getvalue()), *(("made_up.dcm", one) for one in slices)]:
        if reader.read(name, np.frombuffer(bytearray(data), np.uint8), len(data)) is None:
            raise AssertionError(f"a made-up {name} is not plain")


def made_up_slice(side: int, *, signed: bool = True, slope: bytes = b"1 ") -> bytes:
    """A plain DICOM file of a square slice, some of whose pixels are padding: for trying whether slices can be read."""
    half = struct.pack(f"<{side * side // 2}h", *range(side * side // 2))
    elements = (
        *(
            (0x0002, 0x0010, b"UI", b"1.2.840.10008.1.2.1\0"),
            (0x0008, 0x0060, b"CS", b"CT"),
            (0x0020, 0x0032, b"DS", b""),
        ),
        *((0x0028, number, b"US", struct.pack("<H", side)) for number in (0x10, 0x11)),
        *(
            (0x0028, number, b"US", struct.pack("<H", value))
            for number, value in ((0x100, 16), (0x101, 16), (0x102, 15))
        ),
        *((0x0028, 0x0103, b"US", bytes([signed, 0])), (0x0028, 0x0120, b"SS", b"\0\0")),
        *((0x0028, 0x1052, b"DS", b"0 "), (0x0028, 0x1053, b"DS", slope)),
    )
    head = b"".join(
        struct.pack("<HH2sH", group, number, vr, len(value)) + value for group, number, vr, value in elements
    )
    pixels = half + bytes(side * side * 2 - len(half))
    return bytes(128) + b"DICM" + head + struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, len(pixels)) + pixels
