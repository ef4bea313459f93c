"""What a plain DICOM slice's header says, found once for all slices whose header says the same.

The elements that decide what the pixels are, are equal in the slices of a series; the walk over a file gives them as
one key. What they mean is asked of the ordinary reader's functions, once a key. Headers that are out of the ordinary in
any way have no meaning here, and the ordinary reader reads their files.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from ctfast.batch.choices import UnitsChoice
from ctfast.errors import CTFastError
from ctfast.files import _dicom_padding as pad
from ctfast.files import _dicom_rescale as modality
from ctfast.files._dicom_faults import harmless_faults
from ctfast.files._dicom_geometry import spacing, thickness
from ctfast.files._dicom_layout import layout
from ctfast.files._dicom_loss import declared_loss
from ctfast.files._dicom_scan import Element, PlainDataSet, kind_of_wanted
from ctfast.files._dicom_stored_bits import may_be_padding
from ctfast.files._dicom_tags import TAGS, numbers, text
from ctfast.files.geometry import Geometry, from_plane
from ctfast.files.image import Limits, Units

POSITION: Final = "ImagePositionPatient"
_NOT_ASKED: Final = frozenset(
    [
        "SpecificCharacterSet",
        "SOPInstanceUID",
        "Manufacturer",
        "ManufacturerModelName",
        "PatientID",
        "PatientSex",
        "PatientAge",
        "ContrastBolusAgent",
        "BodyPartExamined",
        "KVP",
        "ConvolutionKernel",
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "InstanceNumber",
        "SliceLocation",
        "WindowCenter",
        "WindowWidth",
        "VOILUTFunction",
        "PixelData",
    ]
) | {POSITION}
"""What tells slices apart, or only who and what they show."""
_LARGEST: Final = 1 << 22  # pixels
_MOST_HEADS: Final = 4096


@dataclass(frozen=True, slots=True)
class Head:
    """The meaning of a header.

    Attributes:
        shape: rows and columns.
        dtype: of the stored pixels, 16 bits.
        lowest, highest: of the bits that are stored.
        slope, intercept: of the rescale.
        whole: whether both are whole numbers, so that rescaled pixels are.
        units: of the rescaled pixels, as far as the header tells.
        padding, padding_limit: as declared, rescaled.
        modality: such as ``"CT"``; empty where the file does not say.
        notes: on harmless faults.
        spacing: of rows and columns in mm.
        plane: the place of a slice whose first pixel lies at the origin; None where the file does not say all.
        firsts: stored values that were asked for: ``plain.first_from``.
    """

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    lowest: int
    highest: int
    slope: float
    intercept: float
    whole: bool
    units: Units
    padding: float | None
    padding_limit: float | None
    modality: str
    notes: tuple[str, ...]
    spacing: tuple[float, float] | None
    plane: Geometry | None
    firsts: dict[float, int] = field(default_factory=dict, compare=False)

    @property
    def nbytes(self) -> int:
        """Of the stored pixels."""
        return self.shape[0] * self.shape[1] * 2


class Wanted:
    """The elements that readers look at, as the compiled walk takes them."""

    def __init__(self, odd: int, text_kind: int, binary: int, refused: int, pixels: int) -> None:
        self.names = sorted(TAGS, key=TAGS.__getitem__)
        self.tags = np.array([TAGS[name] for name in self.names], np.int64)
        kinds = {"text": text_kind, "binary": binary, "refused": refused, "pixels": pixels}
        self.kinds = np.array([kinds[kind_of_wanted(TAGS[name])] for name in self.names], np.uint8)
        self.in_key = np.array([name not in _NOT_ASKED for name in self.names])
        self.found = np.empty((len(self.names), 2), np.int64)
        self.key = np.empty(1 << 13, np.uint8)
        self.odd = odd
        self.position, self.pixels = self.names.index(POSITION), self.names.index("PixelData")

    def data_set(self, data: memoryview) -> PlainDataSet:
        """What the walk found in a file, as the ordinary reader has it."""
        elements = {}
        for name, (start, length) in zip(self.names, self.found.tolist(), strict=True):
            if start >= 0:
                value = data[start : start + length]
                elements[TAGS[name]] = Element(value if name == "PixelData" else bytes(value), length)
        return PlainDataSet(bool(self.key[0]), {}, elements)  # nobody asks for its transfer syntax


class Heads:
    """The meanings of headers by their keys; a full memory of them is emptied.

    Args:
        units: as for ``read_image``.
        limits: as for ``read_image``.
    """

    def __init__(self, units: UnitsChoice, limits: Limits) -> None:
        self._units, self._limits = units, limits
        self._known: dict[bytes, Head | None] = {}

    def of(self, key: bytes, wanted: Wanted, data: memoryview) -> Head | None:
        """The meaning of what the walk found; None where the ordinary reader has to look."""
        try:
            return self._known[key]
        except KeyError:
            pass
        if len(self._known) >= _MOST_HEADS:
            self._known.clear()
        try:
            head = _head(wanted.data_set(data), self._units, self._limits)
        except (CTFastError, ValueError):  # the ordinary reader says it, of this file
            head = None
        self._known[key] = head
        return head


def _head(ds: Any, choice: UnitsChoice, limits: Limits) -> Head | None:
    lay = layout(ds, limits)
    padding, limit = (pad.declared(ds, f"PixelPadding{which}", lay) for which in ("Value", "RangeLimit"))
    rescales = modality.rescales(ds, 1)
    plain = lay.frames == 1 and lay.allocated == 16 and lay.keyword == "PixelData" and not lay.white_is_low
    if not plain or choice == "stored" or len(rescales) != 1 or lay.rows * lay.columns > _LARGEST:
        return None
    if lay.high_bit + 1 != lay.stored or (padding is not None and not may_be_padding(padding, lay)):
        return None
    slope, intercept = rescales[0].slope, rescales[0].intercept
    if slope <= 0 or max(slope, abs(intercept)) >= 1 << 20:
        return None
    lowest = -(1 << (lay.stored - 1)) if lay.signed else 0
    size, _ = spacing(ds)
    directions = numbers(ds, "ImageOrientationPatient")
    return Head(
        (lay.rows, lay.columns),
        np.dtype(np.int16 if lay.signed else np.uint16),
        lowest,
        lowest + (1 << lay.stored) - 1,
        slope,
        intercept,
        slope.is_integer() and intercept.is_integer(),
        modality.units(ds, rescales),
        None if padding is None else padding * slope + intercept,
        None if limit is None else limit * slope + intercept,
        text(ds, "Modality"),
        (*harmless_faults(ds), *filter(None, [declared_loss(ds)])),
        size,
        None if size is None or len(directions) != 6 else from_plane(directions, (0.0, 0.0, 0.0), size, thickness(ds)),
    )
