"""Compiled code's side of ``shared/keys``: the key of one pixel, the extent of an image's keys.

Minimum, maximum and "finite and inside the range" are integer comparisons of keys, which the compiler vectorises; on
floats they would need fast-math, which must not see the NaN.
"""

from __future__ import annotations

import numpy as np
from numba.core import types
from numba.extending import overload

from ctkernels.cpu._core.jit import jit
from ctkernels.cpu._core.viewed import flat
from ctkernels.shared.keys import flipped


def key(bits):
    """The integer that sorts as the pixel does, of one element of ``sortable``; compiled code runs the overload."""
    return bits if bits.itemsize < 4 else flipped(bits)


@overload(key)
def _key(bits):
    if bits == types.int32:
        return lambda bits: bits ^ np.int32((bits >> np.int32(31)) & np.int32(0x7FFFFFFF))
    if bits == types.int64:
        return lambda bits: bits ^ ((bits >> np.int64(63)) & np.int64(0x7FFFFFFFFFFFFFFF))
    return lambda bits: bits


@jit
def key_extent(x, first, last):
    """Smallest and largest key within ``first .. last``; the smallest above the largest where there is none.

    Only blocks that hold a key outside the bounds are looked at pixel by pixel.
    """
    pixels = flat(x)
    number = x.dtype.type
    top = number(np.iinfo(x.dtype).max)
    bottom = number(np.iinfo(x.dtype).min)
    begin = number(first)
    end = number(last)
    least = top
    greatest = bottom
    for start in range(0, pixels.size, 8192):
        part = pixels[start : start + 8192]
        low = top
        high = bottom
        for i in range(part.size):
            v = number(key(part[i]))
            low = v if v < low else low
            high = v if v > high else high
        if low < begin or high > end:
            low = top
            high = bottom
            for i in range(part.size):
                v = number(key(part[i]))
                inside = (v >= begin) & (v <= end)
                a = v if inside else top
                b = v if inside else bottom
                low = a if a < low else low
                high = b if b > high else high
        least = low if low < least else least
        greatest = high if high > greatest else greatest
    return np.int64(least), np.int64(greatest)
