"""CLAHE's first passes: the range an image spans, the bin of each pixel.

Bins are uint16 (65,536 at most). Integer bins are exact: a float32 quotient is at most one beside them, which what it
leaves of the dividend tells. In float64 (4 lanes instead of 8, and LLVM converts them one by one) that took .97 ns
a pixel (AVX2), so .25.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._core.jit import jit
from ctkernels.cpu._core.spread import in_bands
from ctkernels.shared.clahe_tiles import Pair, known_range

Array = NDArray[Any]
_LANES = 64


@jit
def _finite_range(image, low, high):
    """Lane-wise minimum and maximum of the finite pixels of a flat float image, into ``low`` and ``high``.

    Lanes, because LLVM vectorises a float minimum over one variable only where it may assume that there is no NaN.
    """
    zero = image.dtype.type(0)
    whole = image.size // _LANES * _LANES
    for start in range(0, whole, _LANES):
        part = image[start : start + _LANES]
        for k in range(_LANES):
            v = part[k]
            finite = v - v == zero
            low[k] = v if finite and v < low[k] else low[k]
            high[k] = v if finite and v > high[k] else high[k]
    for k in range(whole, image.size):
        v = image[k]
        if v - v == zero:
            low[0] = min(low[0], v)
            high[0] = max(high[0], v)


@jit
def _whole_range(image):
    """Minimum and maximum of a flat integer image."""
    low = image[0]
    high = image[0]
    for v in image:
        low = v if v < low else low
        high = v if v > high else high
    return low, high


@jit
def _bins_of_integers(image, bins, low, high, nbins):
    """Bin of each pixel of a flat integer image, range ends included."""
    lo = np.int32(low)
    hi = np.int32(high)
    n = np.int32(nbins)
    width = np.int32(high - low + 1)
    scale = np.float32(n) / np.float32(width)
    for k in range(image.size):
        v = np.int32(image[k])
        v = v if v > lo else lo
        v = v if v < hi else hi
        offset = np.int32(v - lo)
        near = np.int32(np.float32(offset) * scale)
        # Products wrap around at 32 bits, what is left does not: it lies between -width and 2 * width.
        left = np.int32(np.int32(offset * n) - np.int32(near * width))
        near -= np.int32(left < 0)
        near += np.int32(left >= width)
        bins[k] = np.uint16(near)


@jit
def _bins_of_floats(image, bins, low, high, scale, last):
    """Bin of each pixel of a flat float image; NaN and everything below ``low`` fall into bin 0."""
    half = image.dtype.type(0.5)
    low_half = low * half
    for k in range(image.size):
        v = image[k]
        v = v if v > low else low
        v = v if v < high else high
        t = (v * half - low_half) * scale
        bins[k] = np.uint16(np.int32(t if t < last else last))


def pixel_range(image: Array, value_range: Pair | None) -> tuple[Any, Any]:
    """What the bins of an image span: ints for integer images, else numbers of the image's type."""
    number: Any = int if image.dtype.kind != "f" else image.dtype.type
    low, high = known_range(image.dtype, value_range) or _extent_of(image) or (0, 0)
    return number(low), number(high)


def _extent_of(image: Array) -> tuple[Any, Any] | None:
    """The extent of an image or volume, in bands where threads pay."""
    if image.ndim < 3 or image.shape[0] == 1:
        return _extent(image.reshape(-1))
    parts = in_bands(image.reshape(1, -1, image.shape[-1]), 0.15, lambda band: _extent(band.reshape(-1)))
    ends = [part for part in parts if part is not None]
    return (min(low for low, _ in ends), max(high for _, high in ends)) if ends else None


def _extent(image: Array) -> tuple[Any, Any] | None:
    """Minimum and maximum of the finite pixels of a flat image; None where there is none."""
    if image.dtype.kind != "f":
        return _whole_range(image)
    lanes = np.full((2, _LANES), np.inf, image.dtype)
    lanes[1] = -np.inf
    _finite_range(image, lanes[0], lanes[1])
    low, high = lanes[0].min(), lanes[1].max()
    return (low, high) if low <= high else None


@jit
def bin_part(image, bins, low, high, scale, last):
    """Bin of each pixel of a flat part of an image; the rest is ``binning``'s. Which kind is decided by types."""
    if low is None:
        for i in range(bins.size):  # bins[:] = image would bring the words of an error along: 5 s of compiling
            bins[i] = image[i]
    elif scale is None:
        _bins_of_integers(image, bins, low, high, last)
    else:
        _bins_of_floats(image, bins, low, high, scale, last)


OWN_BINS = (None, None, None, None)
"""As ``binning``, for images that are their own bins."""


def binning(dtype: np.dtype[Any], low: Any, high: Any, nbins: int) -> tuple[Any, Any, Any, Any]:
    """What ``bin_part`` needs for ``nbins`` bins from ``low`` to ``high``; ``low < high``."""
    if dtype.kind != "f":
        return low, high, None, nbins
    t = dtype.type
    half = t(0.5)
    with np.errstate(over="ignore", divide="ignore"):
        return low, high, t(nbins) / (high * half - low * half), t(nbins - 1)


def bin_pixels(image: Array, bins: Array, low, high, nbins: int) -> None:
    """Bin of each pixel of a contiguous image to ``bins``, uint16; ``low < high``."""
    bin_part(image.reshape(-1), bins.reshape(-1), *binning(image.dtype, low, high, nbins))
