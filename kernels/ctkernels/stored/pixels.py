"""Stored 16-bit pixels to the values that they stand for, and what a reader asks about them, in few passes.

The plain versions are ``ctfast.files._convert.linear`` and ``ctfast.files._dicom_padding``; results are equal in every
bit: multiply and add stay two operations, as in NumPy.
"""

from __future__ import annotations

import numpy as np

from ctkernels.cpu._core.jit import jit


@jit
def extent(pixels):
    """The smallest and largest of some integers."""
    low = pixels[0]
    high = pixels[0]
    for i in range(pixels.size):
        v = pixels[i]
        low = v if v < low else low
        high = v if v > high else high
    return np.int64(low), np.int64(high)


@jit
def whole_line(words, slope, intercept):
    """``words * slope + intercept`` in place of the words, uint16: the bits of whole numbers that int16 holds."""
    factor = np.uint16(slope & 0xFFFF)
    term = np.uint16(intercept & 0xFFFF)
    for i in range(words.size):
        words[i] = np.uint16(np.uint16(words[i] * factor) + term)


@jit
def real_line(stored, slope, intercept, out):
    """``stored * slope + intercept`` in float64, rounded once to ``out``, float32."""
    for i in range(stored.size):
        out[i] = np.float32(np.float64(stored[i]) * slope + intercept)


@jit
def split(stored, low, high):
    """How many of some 16-bit integers lie in ``low .. high``, the extent of these, and that of the others.

    The extent of nothing is the largest and the smallest of the type. ``low`` and ``high`` must be of the type.
    """
    number = stored.dtype.type
    # Numba's own np.iinfo brings its module, and with it SciPy's linear algebra, into every process that loads this.
    all_ones = number(-1)
    bottom = number(0) if all_ones > 0 else number(-1 << 15)
    top = number(65535) if all_ones > 0 else number(32767)
    first = number(low)
    last = number(high)
    inside = np.int64(0)
    least_in, most_in, least_out, most_out = top, bottom, top, bottom
    for start in range(0, stored.size, 16384):
        part = stored[start : start + 16384]
        count = np.int16(0)  # as wide as the pixels, so that the loop is vectorised; a block is too small to wrap
        for i in range(part.size):
            v = part[i]
            held = (v >= first) & (v <= last)
            count = np.int16(count + np.int16(held))
            a = v if held else top
            b = v if held else bottom
            c = top if held else v
            d = bottom if held else v
            least_in = a if a < least_in else least_in
            most_in = b if b > most_in else most_in
            least_out = c if c < least_out else least_out
            most_out = d if d > most_out else most_out
        inside += np.int64(count)
    return inside, np.int64(least_in), np.int64(most_in), np.int64(least_out), np.int64(most_out)


@jit
def shares(pixels, rows, columns, low, middle, high, padding):
    """Of every ``rows``-th row's every ``columns``-th finite pixel that is not ``padding`` (NaN: none is).

    Returns:
        How many there are, and how many lie below ``low``, above ``middle`` and above ``high``.
    """
    count = np.int64(0)
    below = np.int64(0)
    above = np.int64(0)
    far_above = np.int64(0)
    for i in range(0, pixels.shape[0], rows):
        for j in range(0, pixels.shape[1], columns):
            v = np.float64(pixels[i, j])
            if v - v == 0 and v != padding:
                count += 1
                below += v < low
                above += v > middle
                far_above += v > high
    return count, below, above, far_above


@jit
def whole_floats(values, out):
    """float64 as int16 if each is a whole number that fits: whether they all are."""
    for start in range(0, values.size, 4096):
        part = values[start : start + 4096]
        result = out[start : start + 4096]
        # No exit inside a block: the loop is vectorised.
        bad = np.int64(0)
        for i in range(part.size):
            v = part[i]
            inside = v if (v >= -32768.0) & (v <= 32767.0) else 0.0  # NaN fails both, and does not equal 0
            whole = np.int32(inside)
            bad |= np.int64(np.float64(whole) != v)
            result[i] = whole
        if bad:
            return False
    return True
