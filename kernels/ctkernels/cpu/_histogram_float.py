"""Histograms of floats by position, with the counts of ``numpy.histogram``.

A block of 1024 pixels is placed in the image's own precision (vectorised), a little too low on purpose, and every pixel
whose true bin may be the next one, because it lies within the error bound of an edge, is flagged. The flagged ones, few
unless an image's values lie on the edges, are compared with that edge. Then the block is counted, in four banks.
Pixels outside the range, and NaN, go to a bin of their own behind the last.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._jit import jit

BLOCK = 1024

LARGEST_ERROR = 0.25
"""Bins; with a larger error bound the true bin could be further than one away."""


def estimate_error(edges: NDArray[Any]) -> float:
    """Bound, in bins, of the error of a position; infinite where positions are of no use."""
    bins = edges.size - 1
    first, last = float(edges[0]), float(edges[-1])
    span = last - first
    largest = max(abs(first), abs(last))
    if not (math.isfinite(span) and 1e-30 < span < 1e30 and largest < 1e30):
        return math.inf
    # Half a unit in the last place each: of the difference, the scale and the product, and of the edge itself.
    half = float(np.finfo(edges.dtype).eps) / 2
    return 1.01 * half * bins * (3 + largest / span)


@jit
def place(part, first, last, scale, slack, index, flags):  # type: ignore[no-untyped-def]
    """Bin of each pixel, or the one before if it is flagged; ``slack[0]``: error bound, ``slack[1]``: last bin."""
    number = part.dtype.type
    zero = number(0)
    error = slack[0]
    near = number(1) - error
    top = slack[1]
    outside = np.int32(top) + np.int32(1)
    flagged = np.int32(0)
    for i in range(part.size):
        v = part[i]
        position = (v - first) * scale
        p = position - error
        p = p if p > zero else zero
        p = p if p < top else top
        t = np.int32(p)
        inside = (v >= first) & (v <= last)
        flag = np.int32((position - number(t) >= near) & inside)
        index[i] = t if inside else outside
        flags[i] = flag
        flagged = np.int32(flagged + flag)
    return flagged


@jit
def count_floats(x, edges, last, error, counts, banks, index, flags):  # type: ignore[no-untyped-def]
    """The pixels of each bin to ``counts``.

    ``edges``: the left edge of each bin and two NaN, which no pixel reaches: not ``last``, not infinity. ``banks``:
    uint32, one more than the bins for each bank; ``index``, ``flags``: int32 and int8, ``BLOCK`` elements.
    """
    pixels = x.reshape(-1)
    number = edges.dtype.type
    bins = edges.size - 2
    first = edges[0]
    end = number(last)
    scale = number(bins / (last - np.float64(first)))
    slack = edges[:2].copy()
    slack[0] = error
    slack[1] = bins - 1
    stride = bins + 1
    used = 4 if banks.size >= 4 * stride else 1
    one = np.uint64(stride * (1 % used))
    two = np.uint64(stride * (2 % used))
    three = np.uint64(stride * (3 % used))
    places = index.view(np.uint32)
    words = flags.view(np.uint64)
    following = edges[1:]
    banks[: stride * used] = 0
    for start in range(0, pixels.size, 1024):
        part = pixels[start : start + 1024]
        if place(part, first, end, scale, slack, index, flags):
            flags[part.size :] = 0
            for j in range((part.size + 7) // 8):
                if words[j] != np.uint64(0):
                    for i in range(8 * j, min(8 * j + 8, part.size)):
                        index[i] += np.int32(part[i] >= following[places[i]])
        quads = part.size // 4
        for i in range(quads):
            banks[np.uint64(places[4 * i])] += np.uint32(1)
            banks[np.uint64(places[4 * i + 1]) + one] += np.uint32(1)
            banks[np.uint64(places[4 * i + 2]) + two] += np.uint32(1)
            banks[np.uint64(places[4 * i + 3]) + three] += np.uint32(1)
        for i in range(quads * 4, part.size):
            banks[np.uint64(places[i])] += np.uint32(1)
    for k in range(bins):
        counts[k] = np.int64(banks[k])
    for bank in range(1, used):
        part_counts = banks[bank * stride : (bank + 1) * stride]
        for k in range(bins):
            counts[k] += np.int64(part_counts[k])
