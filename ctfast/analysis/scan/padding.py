"""Padding that a file declares, and the image without its brightness: it is no tissue, no metal and no body."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

LOWEST_HU: Final = -1024
"""Lowest HU of 12-bit CT with the usual intercept; whatever lies below is padding."""

Padding = tuple[float, float] | None
"""Lowest and highest value of padding pixels, where a file declares it."""


def is_padding(pixels: NDArray[Any], padding: tuple[float, float]) -> NDArray[np.bool_]:
    """Which pixels are padding."""
    low, high = padding
    if pixels.dtype.kind == "f":  # the header's number, rounded as the pixels were
        low, high = float(pixels.dtype.type(low)), float(pixels.dtype.type(high))
    return np.asarray((pixels >= low) & (pixels <= high))


def darkened(pixels: NDArray[Any], padding: Padding, *, is_hu: bool) -> NDArray[Any]:
    """The image with padding below the scale of HU, or as dark as the darkest other pixel of other values.

    Padding that lies there already stays.
    """
    if padding is None:
        return pixels
    held = is_padding(pixels, padding)
    others = pixels[~held]
    low = LOWEST_HU - 1 if is_hu or not others.size else others.min()
    bright = held & (pixels > low)
    if not bright.any():
        return pixels
    wide = pixels
    if pixels.dtype.kind == "u" and low < 0:
        wide = pixels.astype(np.int16 if pixels.max() <= np.iinfo(np.int16).max else np.float32)
    return np.where(bright, wide.dtype.type(low), wide)
