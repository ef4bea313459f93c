"""Geometry of a DICOM image: of one slice by its plane, of frames by their functional groups.

Source: DICOM PS3.3 C.7.6.2 (image plane), C.7.6.16.2.1, .3 and .4 (pixel measures, plane position and orientation).
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from ctfast.files._dicom_tags import has, number_or_none, numbers
from ctfast.files.geometry import Geometry, from_plane

_UNEQUAL: Final = 0.01
"""mm by which steps between frames may differ: positions are decimal text, rounded by some writers."""
BY_PLACE: Final = "--series (read_series) takes them by their places"
_SPACINGS: Final = {
    "PixelSpacing": "",
    "ImagerPixelSpacing": "Imager Pixel Spacing (0018,1164): at the detector, not in the patient",
    "NominalScannedPixelSpacing": "Nominal Scanned Pixel Spacing (0018,2010)",
}


def spacing(ds: Any) -> tuple[tuple[float, float] | None, str]:
    """Row and column spacing in mm, and the name of the element where it is another than Pixel Spacing.

    None where frames differ in it.
    """
    items = [ds, *_group_items(ds, "PixelMeasuresSequence")]
    for keyword, source in _SPACINGS.items():
        sizes = {
            (values[0], values[1])
            for values in (numbers(item, keyword) for item in items)
            if len(values) == 2 and min(values) > 0
        }
        if sizes:
            return (sizes.pop(), source) if len(sizes) == 1 else (None, "")
    return None, ""


def geometry(ds: Any, frames: int, size: tuple[float, float] | None) -> tuple[Geometry | None, str]:
    """The affine of the file's frames, and why there is none where frames have places that one affine can't say.

    None without a reason where the file does not say it.
    """
    if frames > 1 or has(ds, "PerFrameFunctionalGroupsSequence"):
        return _of_frames(ds, frames, size)
    orientation, position = numbers(ds, "ImageOrientationPatient"), numbers(ds, "ImagePositionPatient")
    if size is None or len(orientation) != 6 or len(position) != 3:
        return None, ""
    return from_plane(orientation, position, size, thickness(ds)), ""


def _of_frames(ds: Any, frames: int, size: tuple[float, float] | None) -> tuple[Geometry | None, str]:
    orientations = {numbers(item, "ImageOrientationPatient") for item in _group_items(ds, "PlaneOrientationSequence")}
    positions = [numbers(item, "ImagePositionPatient") for item in _group_items(ds, "PlanePositionSequence")]
    if not orientations or len(positions) != frames or any(len(position) != 3 for position in positions):
        return None, ""
    if len(orientations) > 1:
        return None, f"frames differ in orientation: {BY_PLACE}"
    orientation = orientations.pop()
    if size is None and any(numbers(item, "PixelSpacing") for item in _group_items(ds, "PixelMeasuresSequence")):
        return None, f"frames differ in pixel spacing: {BY_PLACE}"
    if size is None or len(orientation) != 6:
        return None, ""
    if frames == 1:
        return from_plane(orientation, positions[0], size, thickness(ds)), ""
    steps = np.diff(np.array(positions), axis=0)
    mean = steps.mean(axis=0)
    if np.abs(steps - mean).max() > _UNEQUAL:
        return None, f"frames are out of order, or at unequal distances: {BY_PLACE}"
    return from_plane(orientation, positions[0], size, mean.tolist()), ""


def thickness(ds: Any) -> float:
    """Extent of a single slice along its normal, which has no neighbour to be measured to."""
    for item in (ds, *_group_items(ds, "PixelMeasuresSequence")):
        for keyword in ("SliceThickness", "SpacingBetweenSlices"):
            value = number_or_none(item, keyword)
            if value is not None and math.isfinite(value) and value > 0:
                return value
    return 1.0


def _group_items(ds: Any, keyword: str) -> list[Any]:
    """Items of one functional group: the shared ones, then those of the frames in order."""
    items: list[Any] = []
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        if has(ds, groups):
            for group in ds.get(groups) or []:
                items.extend(group.get(keyword) or [])
    return items
