"""An image's pixels in order, and where they come from: ``numpy.argsort``, of float32 by their bits.

With AVX2 NumPy has no vectorised sort that carries places along. Keys and places go as one 64-bit number through three
passes of 11 bits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._core.jit import jit
from ctkernels.cpu._core.scratch import scratch

_BITS = 11
_DIGITS = 1 << _BITS


class Ordered(NamedTuple):
    """Lies in this thread's scratch until its next call."""

    pixels: NDArray[Any]
    """Ascending, NaN last."""
    places: NDArray[np.int64]
    """Where each of them stands in the image; of equal ones in any order."""


@jit
def _by_digits(bits, one, other, counts, ordered):
    """Places of the pixels, ascending, NaN last, to ``other``, their bits to ``ordered``; ``counts`` has three rows."""
    low = np.uint64(_DIGITS - 1)
    counts[:] = 0
    for i in range(bits.size):
        pattern = bits[i]
        negative = pattern >> np.uint32(31) != 0
        key = ~pattern if negative else pattern | np.uint32(0x80000000)
        if pattern & np.uint32(0x7FFFFFFF) > np.uint32(0x7F800000):
            key = np.uint32(0xFFFFFFFF)
        wide = np.uint64(key)
        counts[0, wide & low] += 1
        counts[1, (wide >> np.uint64(_BITS)) & low] += 1
        counts[2, wide >> np.uint64(2 * _BITS)] += 1
        one[i] = (wide << np.uint64(32)) | np.uint64(i)
    for turn in range(3):
        total = 0
        for d in range(counts.shape[1]):
            n = counts[turn, d]
            counts[turn, d] = total
            total += n
        shift = np.uint64(32 + turn * _BITS)
        for i in range(bits.size):
            v = one[i]
            digit = (v >> shift) & low
            other[np.uint64(counts[turn, digit])] = v
            counts[turn, digit] += 1
        one, other = other, one
    for i in range(bits.size):
        v = one[i]
        key = np.uint32(v >> np.uint64(32))
        ordered[i] = key ^ np.uint32(0x80000000) if key >> np.uint32(31) != 0 else ~key
        one[i] = v & np.uint64(0xFFFFFFFF)


def in_order(pixels: NDArray[Any]) -> Ordered:
    """A flat image of floats in order."""
    if pixels.dtype.char != "f" or pixels.size >= 1 << 31:
        places = np.argsort(pixels)
        return Ordered(pixels[places], places)
    one, other = (scratch(name, pixels.size, np.uint64) for name in ("keys and places", "places in order"))
    ordered = scratch("pixels in order", pixels.size, np.uint32)
    _by_digits(pixels.view(np.uint32), one, other, np.empty((3, _DIGITS), np.int64), ordered)
    return Ordered(ordered.view(np.float32), other.view(np.int64))  # three passes end in the second
