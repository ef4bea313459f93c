"""What shares of pixels, by values or by ranks, mean in another histogram."""

from __future__ import annotations

import numpy as np

from ctkernels.cpu._core.jit import jit, jit_part


@jit_part
def _level(share, knot, shares, values):
    """As ``numpy.interp``; ``knot``: the last at or below ``share``, or the first."""
    if knot == shares.size - 1 or share <= shares[knot]:
        return values[knot]
    slope = (values[knot + 1] - values[knot]) / (shares[knot + 1] - shares[knot])
    return slope * (share - shares[knot]) + values[knot]


@jit
def levels_of(counts, shares, values, levels):
    """The level of each value of an image of which ``counts`` tells how often it occurs.

    Some ten calls of NumPy's for 256 values took as long as counting a slice.
    """
    total = np.int64(0)
    for k in range(counts.size):
        total += np.int64(counts[k])
    whole = np.float64(total) if total else 1.0
    below = np.int64(0)
    knot = 0
    for k in range(counts.size):
        below += np.int64(counts[k])
        share = below / whole
        while knot < shares.size - 1 and shares[knot + 1] <= share:
            knot += 1
        levels[k] = _level(share, knot, shares, values)


@jit
def write_levels(pixels, places, keep, value_range, shares, values, nothing, out):
    """What ``numpy.interp`` makes of the share of counting pixels at or below each, to ``out``; ``nothing`` for NaN.

    Args:
        pixels: in order: ascending, NaN last.
        places: where each of them stands in the image, as ``numpy.argsort`` tells.
        keep: 1 where a pixel of the image counts; of size 0 where all do.
        value_range: ends of the values that count; of these the finite ones do.
        shares, values: knots of the line.
        nothing: for NaN.
        out: the flat image's result, floats.
    """
    known = pixels.size
    while known > 0 and pixels[known - 1] != pixels[known - 1]:
        known -= 1
        out[np.uint64(places[known])] = nothing
    low, high = value_range
    total = np.int64(0)
    for i in range(known):
        v = np.float64(pixels[i])
        total += (v >= low) & (v <= high) & (v - v == 0) & (keep.size == 0 or keep[np.uint64(places[i])] != 0)
    whole = np.float64(total) if total else 1.0
    count = total
    below = total
    knot = shares.size - 1
    above = pixels.dtype.type(np.nan)
    # From the top: the first pixel of a value that comes along already knows how many are at or below it, and equal
    # ones need no loop of their own, whose end no processor foresees.
    for i in range(known - 1, -1, -1):
        value = pixels[i]
        place = np.uint64(places[i])
        below = count if value != above else below
        above = value
        v = np.float64(value)
        count -= (v >= low) & (v <= high) & (v - v == 0) & (keep.size == 0 or keep[place] != 0)
        share = below / whole
        while knot > 0 and shares[knot] > share:
            knot -= 1
        out[place] = _level(share, knot, shares, values)
