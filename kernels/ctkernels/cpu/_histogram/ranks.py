"""What the ranks of floats mean in another histogram."""

from __future__ import annotations

import numpy as np

from ctkernels.cpu._core.jit import jit


@jit
def write_levels(pixels, order, keep, value_range, shares, values, nothing, out):
    """What ``numpy.interp`` makes of the share of counting pixels at or below each, to ``out``; ``nothing`` for NaN.

    Args:
        pixels: flat.
        order: ``numpy.argsort`` of them: ascending, NaN last.
        keep: 1 where a pixel counts; of size 0 where all do.
        value_range: ends of the values that count; of these the finite ones do.
        shares, values: knots of the line.
        nothing: for NaN.
        out: flat, floats.
    """
    known = pixels.size
    while known > 0 and pixels[order[known - 1]] != pixels[order[known - 1]]:
        known -= 1
        out[order[known]] = nothing
    low, high = value_range
    total = np.int64(0)
    for i in range(pixels.size):
        v = np.float64(pixels[i])
        total += (v >= low) & (v <= high) & (v - v == 0) & (keep.size == 0 or keep[i] != 0)
    whole = np.float64(total) if total else 1.0
    last = shares.size - 1
    below = np.int64(0)
    knot = 0
    start = 0
    while start < known:
        value = pixels[order[start]]
        v = np.float64(value)
        counting = (v >= low) & (v <= high) & (v - v == 0)
        end = start
        while end < known and pixels[order[end]] == value:
            below += counting & (keep.size == 0 or keep[order[end]] != 0)
            end += 1
        share = below / whole
        while knot < last and shares[knot + 1] <= share:
            knot += 1
        if knot == last or share <= shares[knot]:
            level = values[knot]
        else:
            slope = (values[knot + 1] - values[knot]) / (shares[knot + 1] - shares[knot])
            level = slope * (share - shares[knot]) + values[knot]
        for i in range(start, end):
            out[order[i]] = level
        start = end
