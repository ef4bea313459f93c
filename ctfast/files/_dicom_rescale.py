"""From stored values to the values of the modality: rescale, per frame or for all, or a look-up table.

Source: DICOM PS3.3 C.11.1 (Modality LUT), C.7.6.16.2.9 (Pixel Value Transformation of multi-frame images).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ctfast.errors import FileFormatError
from ctfast.files._convert import integers_to_supported, linear, put
from ctfast.files._dicom_tags import has, number, text
from ctfast.files.image import Allocate, Units
from ctfast.files.next_steps import WRITE_AGAIN
from ctfast.files.units import is_unit

_CT_CLASSES: Final = tuple(f"1.2.840.10008.5.1.4.1.1.{number}" for number in ("2", "2.1", "2.2"))
"""CT, enhanced CT, legacy converted enhanced CT."""
_CAPTURES: Final = "1.2.840.10008.5.1.4.1.1.7"
_OTHER_QUANTITIES: Final = frozenset(
    {"EFF_ATOMIC_NUM", "ELECTRON_DENSITY"}
    | {f"MAT_{word}" for word in ("SPECIFIC", "REMOVED", "FRACTIONAL", "MODIFIED", "VALUE_BASED")}
)
"""Image Type, value 4, of multi-energy CT results that are no HU (C.8.15.2.1.1.4)."""


@dataclass(frozen=True, slots=True)
class Rescale:
    """Slope, intercept and type (``"HU"``, ``"US"``, ...; empty where the file names none)."""

    slope: float
    intercept: float
    kind: str

    @property
    def is_identity(self) -> bool:
        """Whether values stay what they are."""
        return self.slope == 1 and self.intercept == 0


def rescales(ds: Any, frames: int) -> list[Rescale]:
    """The rescale of every frame, one entry where all are the same, none where the file has none.

    Raises:
        FileFormatError: For a slope of 0, values that are no finite numbers, or too few frame groups.
    """
    groups = has(ds, "PerFrameFunctionalGroupsSequence") or has(ds, "SharedFunctionalGroupsSequence")
    per_frame = ds.get("PerFrameFunctionalGroupsSequence") or [] if groups else []
    shared = ds.get("SharedFunctionalGroupsSequence") or [] if groups else []
    by_frame = [_of_group(group) for group in per_frame]
    given = [item for item in by_frame if item is not None]
    if given:
        if not len(given) == len(by_frame) == frames:
            raise FileFormatError(
                f"{len(given)} of {len(by_frame)} frame groups have a rescale, for {frames} frames", WRITE_AGAIN
            )
        return given[:1] if all(item == given[0] for item in given) else given
    for group in shared:
        item = _of_group(group)
        if item is not None:
            return [item]
    item = _of_item(ds)
    return [] if item is None else [item]


def apply(stored: np.ndarray, rescales: list[Rescale], allocate: Allocate | None = None) -> np.ndarray:
    """Rescaled pixels in a dtype that is exact for whole numbers (see ``linear``)."""
    if not rescales:
        return _integers(stored, allocate)
    if len(rescales) == 1:
        return linear(stored, rescales[0].slope, rescales[0].intercept, allocate)
    # Each frame alone may fit a smaller dtype than its neighbours; the stack takes what holds them all.
    frames = [linear(frame, item.slope, item.intercept) for frame, item in zip(stored, rescales, strict=True)]
    stack = np.stack([frame.astype(np.result_type(*frames), copy=False) for frame in frames])
    return _integers(stack, allocate)


def apply_lut(stored: np.ndarray, ds: Any, allocate: Allocate | None) -> np.ndarray:
    """Pixels through the Modality LUT sequence."""
    from pydicom.pixels import apply_modality_lut

    return _integers(np.asarray(apply_modality_lut(stored, ds)), allocate)


def lut_kind(ds: Any) -> str:
    """Modality LUT Type, such as ``"HU"`` or ``"OD"``."""
    return str(ds.ModalityLUTSequence[0].get("ModalityLUTType", "")).strip()


def units(ds: Any, rescales: list[Rescale]) -> Units:
    """What the rescaled values are.

    HU where the rescale type says so, or where there is none in an image of the CT classes (PS3.3 C.8.2.1.1.3: then the
    type is HU) that shows no other quantity. Never for localizers and secondary captures, whatever their type says.
    Other types by their name; untouched values of other modalities are ``"stored"``.
    """
    if not rescales:
        return "stored"
    kinds = {item.kind for item in rescales}
    image_type = set(text(ds, "ImageType").upper().split("/"))
    class_uid = text(ds, "SOPClassUID")
    is_ct = text(ds, "Modality").upper() == "CT"
    if all(item.is_identity for item in rescales) and kinds <= {"", "US"} and not is_ct:
        return "stored"
    if len(kinds) > 1 or (kinds <= {"", "HU"} and ("LOCALIZER" in image_type or class_uid.startswith(_CAPTURES))):
        return "unknown"
    kind = kinds.pop()
    if kind == "HU":
        return "hu"
    if kind:
        return kind if is_unit(kind) else "unknown"
    implied = is_ct and (not class_uid or class_uid in _CT_CLASSES) and not image_type & _OTHER_QUANTITIES
    return "hu" if implied else "unknown"


def _of_group(group: Any) -> Rescale | None:
    sequence = group.get("PixelValueTransformationSequence") or []
    return _of_item(sequence[0]) if len(sequence) else None


def _of_item(item: Any) -> Rescale | None:
    slope, intercept = number(item, "RescaleSlope"), number(item, "RescaleIntercept")
    if slope is None and intercept is None:
        return None
    if slope == 0:
        raise FileFormatError(
            "rescale slope 0 leaves no image",
            "correct Rescale Slope, or take the numbers as stored (--units stored, units='stored')",
        )
    return Rescale(1.0 if slope is None else slope, intercept or 0.0, _kind(text(item, "RescaleType")))


def _kind(term: str) -> str:
    """A Rescale Type as the standard spells it."""
    term = term.upper()
    return "HU" if term in ("HOUNSFIELD", "HOUNSFIELD UNITS") else term


def _integers(pixels: np.ndarray, allocate: Allocate | None) -> np.ndarray:
    if pixels.dtype.kind in "iu" and pixels.dtype.name not in ("uint8", "int16", "uint16"):
        return integers_to_supported(pixels, allocate)
    return put(pixels, pixels.dtype, allocate)
