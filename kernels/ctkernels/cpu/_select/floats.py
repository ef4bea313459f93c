"""Percentiles of float images that are not whole numbers: exact, by buckets of equal width.

Which bucket a pixel falls into is a monotone function of its value (a difference, a product, a cut), so all pixels of
one bucket come before all of the next whatever the rounding. Counting the buckets says which one holds a rank; only its
pixels, one in thousands as a rule, are then partitioned. Images whose values crowd in one bucket (outliers of 1e30)
fall back to partitioning most of the image, which is slower and as exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._core.jit import jit
from ctkernels.cpu._core.scratch import scratch
from ctkernels.cpu._core.viewed import flat
from ctkernels.cpu._histogram.codes import counts_of
from ctkernels.cpu._select.percentiles import between, percentile_ranks

_BUCKETS = 16382
"""With the one for pixels that do not count, so few that their counters stay in the second-level cache."""


@jit
def bucket_codes(x, low, high, buckets, codes):
    """Bucket of each pixel in ``low .. high``, ``buckets`` for the others."""
    pixels = flat(x)
    number = x.dtype.type
    first = number(low)
    last = number(high)
    top = number(buckets - 1)
    scale = number(buckets / (high - low))
    for i in range(pixels.size):
        v = pixels[i]
        p = (v - first) * scale
        p = p if p < top else top
        codes[i] = np.int32(p) if (v >= first) & (v <= last) else np.int32(buckets)


@jit
def bucket_pixels(x, codes, first, last, result):
    """Copy the pixels of the buckets ``first .. last`` to ``result``, which has room for exactly these."""
    pixels = flat(x)
    low = np.uint16(first)
    high = np.uint16(last)
    n = 0
    for start in range(0, pixels.size, 64):
        part = codes[start : start + 64]
        hits = np.int32(0)
        for i in range(part.size):
            hits = np.int32(hits + np.int32((part[i] >= low) & (part[i] <= high)))
        if hits:
            values = pixels[start : start + 64]
            for i in range(part.size):
                if (part[i] >= low) & (part[i] <= high):
                    result[n] = values[i]
                    n += 1


def percentiles_of_floats(
    image: NDArray[Any], low: float, high: float, percentiles: Sequence[float]
) -> tuple[int, list[float]]:
    """Number and percentiles of the pixels in ``low .. high``, the extremes of the pixels that count."""
    if not 1e-30 < high - low < 1e30:
        inside = image[(image >= low) & (image <= high)]
        ranks, fractions = percentile_ranks(inside.size, percentiles)
        return inside.size, [_between_ranks(inside, r, t) for r, t in zip(ranks, fractions, strict=True)]
    codes = scratch("codes", image.size, np.uint16)
    bucket_codes(image, low, high, _BUCKETS, codes)
    counts, first = counts_of(codes)
    filled = np.zeros(_BUCKETS + 1, np.int64)
    filled[first : first + counts.size] = counts
    ends = np.cumsum(filled[:_BUCKETS])
    count = int(ends[-1])
    results = []
    for rank, fraction in zip(*percentile_ranks(count, percentiles), strict=True):
        first, last = np.searchsorted(ends, (rank, min(rank + 1, count - 1)), "right").tolist()
        below = int(ends[first - 1]) if first else 0
        candidates = np.empty(int(ends[last]) - below, image.dtype)
        bucket_pixels(image, codes, first, last, candidates)
        results.append(_between_ranks(candidates, rank - below, fraction))
    return count, results


def _between_ranks(pixels: NDArray[Any], rank: int, fraction: float) -> float:
    following = min(rank + 1, pixels.size - 1)
    ordered = np.partition(pixels, (rank, following))
    return between(float(ordered[rank]), float(ordered[following]), fraction)
