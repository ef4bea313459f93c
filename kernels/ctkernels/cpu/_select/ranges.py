"""The range of one image that ``normalize`` maps: minimum and maximum, or two percentiles, of the pixels that count."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._core.spread import LARGEST_BAND, in_bands, threads_pay
from ctkernels.cpu._histogram.values import value_counts
from ctkernels.cpu._select.floats import percentiles_of_floats
from ctkernels.cpu._select.keys import key_extent
from ctkernels.cpu._select.percentiles import percentiles_of_counts
from ctkernels.shared.keys import key_bounds, sortable, unkey

Pair = tuple[float, float]


def extremes(image: NDArray[Any], value_range: Pair | None) -> Pair | None:
    """Smallest and largest pixel that counts of one image ``(1, H, W)``; None where no pixel does."""
    if image.size < LARGEST_BAND and not threads_pay(image.size, 0.1):
        return _extremes(image, value_range)
    extents = [part for part in in_bands(image, 0.1, lambda band: _extremes(band, value_range)) if part is not None]
    return (min(low for low, _ in extents), max(high for _, high in extents)) if extents else None


def _extremes(image: NDArray[Any], value_range: Pair | None) -> Pair | None:
    first, last = key_bounds(image.dtype, value_range)
    low, high = key_extent(sortable(image), first, last)
    return (unkey(low, image.dtype), unkey(high, image.dtype)) if low <= high else None


def percentile_range(image: NDArray[Any], value_range: Pair | None, percentiles: Pair) -> Pair | None:
    """Two percentiles of the pixels that count of one image ``(1, H, W)``; None where no pixel does."""
    coded = value_counts(image)
    if coded is None:
        extent = extremes(image, value_range)
        if extent is None:
            return None
        low, high = percentiles_of_floats(image, *extent, percentiles)[1]
        return low, high
    counts, zero = coded
    if value_range is not None:
        first, last = key_bounds(np.dtype(np.int64), value_range)
        begin = min(max(first - zero, 0), counts.size)
        counts, zero = counts[begin : max(last - zero + 1, begin)], zero + begin
        if first > last:
            return None
    count, (low, high) = percentiles_of_counts(counts, zero, percentiles)
    return (low, high) if count else None
