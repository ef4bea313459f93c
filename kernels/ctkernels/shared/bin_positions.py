"""The bins of a histogram: of every value of an integer type, and how far they can be computed from pixels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LARGEST_ERROR = 0.25
"""Bins; with a larger error bound the true bin could be further than one away, and pixels are searched for instead."""


def position_error(edges: NDArray[Any], number: np.dtype[Any]) -> float:
    """Bound, in bins, of the error of ``(v - first) * scale`` in type ``number``; infinite where that is of no use."""
    first, last = float(edges[0]), float(edges[-1])
    span = last - first
    largest = max(abs(first), abs(last))
    if not (math.isfinite(span) and 1e-30 < span < 1e30 and largest < 1e30):
        return math.inf
    # Half a unit in the last place each: of the difference, the scale, the product and of taking the bound off; of the
    # edge itself and of both ends, because the edges were computed between ends in float64; and a little.
    half = float(np.finfo(number).eps) / 2
    error = 1.01 * half * ((edges.size - 1) * (4 + 3 * largest / span) + 2)
    return error if error < _LARGEST_ERROR else math.inf


def bins_of_values(edges: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[np.int64]:
    """``numpy.histogram``'s bin of every value of an integer type, the last bin closed on the right; -1 for none."""
    limits = np.iinfo(dtype)
    values = np.arange(limits.min, limits.max + 1, dtype=np.int64).astype(edges.dtype)
    bins = np.minimum(np.searchsorted(edges, values, "right") - 1, edges.size - 2)
    bins[values > edges[-1]] = -1
    return bins
