"""What pixel values are, and whether values that are called HU can be.

Units are ``"hu"``, ``"stored"`` (numbers as stored, no unit known), ``"display"`` (brightness of a picture, after a
window that nobody knows), ``"unknown"``, or another Rescale Type by its DICOM
name, such as ``"Z_EFF"``, ``"MGML"`` or ``"US"`` (unspecified).

Headers lie in a few well-known ways (values that wrapped around, signed pixels tagged as unsigned, a rescale that was
applied before the file was written). The shares below are far outside what a CT slice shows, with metal or without a
patient in it, so a doubt means that the numbers are not to be taken as HU.

Source: DICOM PS3.3 C.11.1.1.2 (Rescale Type); -1000 HU is air and 0 HU water by definition, dense bone ends near 2000.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Final

import numpy as np

from ctfast.errors import FileFormatError
from ctfast.files.image import Image

PLAIN: Final = ("hu", "stored", "display", "unknown")
UNSPECIFIED: Final = "US"
_NAME: Final = re.compile(r"[A-Z0-9_ ]{1,16}")
_SIDE: Final = 40
_FEWEST: Final = 1000
_DENSEST_HU, _MOST_DENSE = 2500, 0.2
_LOWEST_HU, _MOST_LOW, _TISSUE_HU = -1100, 0.02, -200
_AIR_HU, _BONE_HU, _MOST_BONE = -200, 700, 0.25


def is_unit(text: str) -> bool:
    """Whether a text is one of the units above."""
    return text in PLAIN or _NAME.fullmatch(text) is not None


def is_another_unit(units: str) -> bool:
    """Whether the file itself names a unit that is not HU, which no caller can make HU."""
    return units not in (*PLAIN, UNSPECIFIED)


def check_display(image: Image, expects_hu: bool) -> None:
    """Refuse brightness where HU are needed; nothing is left of them after an unknown window.

    Raises:
        FileFormatError: With the ways out.
    """
    if expects_hu and image.units == "display":
        raise FileFormatError(
            f"{image.source}: the brightness of a picture, not HU, which a window or tissue of this pipeline needs",
            "--units hu (units='hu') if its values are HU, else steps that name no HU",
        )


def doubt(image: Image) -> str:
    """Why the values of an image cannot be HU, as far as their distribution tells; empty where they can."""
    values = _sample(image)
    if values.size < _FEWEST:
        return ""
    dense = float(np.count_nonzero(values > _DENSEST_HU)) / values.size
    if dense > _MOST_DENSE:
        return f"{dense:.0%} of the pixels are above {_DENSEST_HU} HU (wrapped, or signed values read as unsigned?)"
    low = values[values < _LOWEST_HU]
    # One constant value down there is padding that nobody declared; tissue and air there are values moved down.
    if low.size and np.count_nonzero(low != low.min()) > _MOST_LOW * values.size:
        highest = np.partition(values, -1 - values.size // 100)[-1 - values.size // 100]
        if highest < _TISSUE_HU:
            return f"air lies at {np.median(low):.0f} HU and nothing above {highest:.0f} HU (rescaled twice?)"
    bone = float(np.count_nonzero(values > _BONE_HU)) / values.size
    if bone > _MOST_BONE and values.min() > _AIR_HU:
        return f"nothing is air and {bone:.0%} of the pixels are above {_BONE_HU} HU (an intercept that is missing?)"
    return ""


def is_above_doubt(image: Image, shares: Callable[..., tuple[int, int, int, int]]) -> bool:
    """Whether ``doubt`` has nothing to say of an image ``(H, W)``, by a quicker look; False does not say that it has.

    ``shares`` is ``ctkernels.stored.pixels.shares``.
    """
    _, rows, columns = _steps((1, *image.pixels.shape))
    padding = math.nan if image.padding is None else image.padding
    if image.pixels.dtype.kind == "f":  # as NumPy compares
        padding = float(image.pixels.dtype.type(padding))
    count, low, bone, dense = shares(image.pixels, rows, columns, _LOWEST_HU, _BONE_HU, _DENSEST_HU, padding)
    return count < _FEWEST or (dense < _MOST_DENSE * count and low < _MOST_LOW * count and bone < _MOST_BONE * count)


def _steps(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """A part of each side is enough for shares, and costs next to nothing."""
    frames, rows, columns = shape
    return max(1, frames * 8 // _SIDE), max(1, rows // _SIDE), max(1, columns // _SIDE)


def _sample(image: Image) -> np.ndarray:
    """Some hundred values without padding."""
    pixels = image.pixels
    steps = tuple(slice(None, None, step) for step in _steps((1, *pixels.shape)[-3:]))
    values = pixels[steps[-pixels.ndim :]].ravel()
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
    return values if image.padding is None else values[values != image.padding]
