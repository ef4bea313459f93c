"""scikit-image's arguments as those of our operations: what ``skimage`` and ``cucim`` share.

Each function gives the result, or None for what is left to the original. ``home``: where arrays are.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from ctfast import ops
from ctfast.compat._homes import HOST, Home
from ctkernels.contract import IMAGE_DTYPES

Array = Any
_MOST_BINS: Final = 1 << 16
_DTYPES: Final = frozenset(map(np.dtype, IMAGE_DTYPES))
"""Of this machine's byte order; a dtype's name has none, and takes NumPy some microseconds to make."""


def rescaled(image: Any, in_range: Any, out_range: Any, home: Home = HOST) -> Array | None:
    """``rescale_intensity``: of float32, to float32."""
    if type(image) is not home.xp.ndarray or image.dtype != np.float32 or not image.ndim or not image.size:
        return None
    least, most = float(image.min()), float(image.max())
    if not (math.isfinite(least) and math.isfinite(most)):
        return None
    low = (least, most) if isinstance(in_range, str) and in_range == "image" else _pair(in_range)
    whole = isinstance(out_range, str) and out_range == "dtype"
    high = (0.0 if low and low[0] >= 0 else -1.0, 1.0) if whole else _pair(out_range)
    if not low or not high or low[0] == low[1]:
        return None
    flat = home.xp.ascontiguousarray(image).reshape(1, -1)
    return ops.normalize(flat, in_range=low, out_range=high).reshape(image.shape)


def _pair(given: Any) -> tuple[float, float] | None:
    """Two rising finite numbers, or None."""
    numbers = int | float | np.integer | np.floating
    if isinstance(given, tuple | list) and len(given) == 2 and all(isinstance(end, numbers) for end in given):
        low, high = float(given[0]), float(given[1])
        if math.isfinite(low) and math.isfinite(high) and low < high:
            return low, high
    return None


def counted(
    image: Any, nbins: Any, source_range: Any, normalize: Any, channel_axis: Any, home: Home = HOST
) -> tuple[Array, Array] | None:
    """``histogram``: counts and bin centres."""
    plain = type(image) is home.xp.ndarray and image.size and image.dtype.name in IMAGE_DTYPES and channel_axis is None
    if not plain or (image.ndim == 3 and image.shape[-1] < 4):  # colour: the original warns of it
        return None
    if source_range != "image" or type(nbins) is not int or not 1 <= nbins <= _MOST_BINS:
        return None
    low, high = image.min().item(), image.max().item()
    if not (math.isfinite(low) and math.isfinite(high)):
        return None
    whole = image.dtype.kind != "f"
    bins, value_range = (high - low + 1, (low - 0.5, high + 0.5)) if whole else (int(nbins), None)
    flat = home.xp.ascontiguousarray(image).reshape(1, -1)
    counts, edges = ops.histogram(flat, bins, value_range=value_range)
    counts, centers = counts.reshape(-1), np.arange(low, high + 1) if whole else (edges[:-1] + edges[1:]) / 2.0
    return (counts / image.size if normalize else counts), home.xp.asarray(centers)


def matched(image: Any, reference: Any, channel_axis: Any, home: Home = HOST) -> Array | None:
    """``match_histograms``: of arrays that are finite."""
    if not _matches(image, reference, home):
        return None
    if channel_axis is None:
        return _matched(image, reference, np.float32 if image.dtype == np.float32 else np.float64, home)
    if not _channels(image, reference, channel_axis):
        return None
    out = home.xp.empty(image.shape, image.dtype)  # which cuts fractions, as the original does
    order = [channel_axis % image.ndim, *(axis for axis in range(image.ndim) if axis != channel_axis % image.ndim)]
    parts = [x.transpose(order) for x in (image, reference, out)]
    for channel in range(len(parts[0])):
        one, other, result = (part[channel] for part in parts)
        result[...] = _matched(one, other, np.float64, home)
    return out


def _matches(image: Any, reference: Any, home: Home) -> bool:
    """Whether scikit-image would sort both, or count both in bins, and all values are finite."""
    for x in (image, reference):
        if type(x) is not home.xp.ndarray or x.dtype not in _DTYPES or not x.size:
            return False
        if x.dtype.kind == "f" and not max(-float(x.min()), float(x.max())) < 1e290:  # or NaN
            return False
    return bool(image.ndim == reference.ndim > 0 and (image.dtype.kind != "u" or reference.dtype.kind == "u"))


def _channels(image: Array, reference: Array, axis: Any) -> bool:
    inside = isinstance(axis, int) and -image.ndim <= axis < image.ndim and image.ndim > 1
    return inside and bool(image.shape[axis] == reference.shape[axis])


def _matched(image: Array, reference: Array, dtype: Any, home: Home) -> Array:
    # The kernel itself: what a call of the public function is remembered by would keep every reference.
    values, shares = home.knots(reference)
    out = home.empty(image.shape, np.dtype(dtype))
    flat = home.xp.ascontiguousarray(image).reshape(1, 1, -1)
    home.match_histogram(flat, out.reshape(flat.shape), values, shares)
    return out
