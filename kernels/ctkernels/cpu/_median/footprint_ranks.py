"""Ranks in place of floats with fractions, for long lists of minima and maxima.

What a list costs is the bytes of keys that it reads and writes. The pixels that a few rows of windows see, 65,536 at
most, are sorted once; what stands for a pixel is then its place in that order, two bytes instead of four or eight.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._core.jit import jit
from ctkernels.cpu._histogram.order import in_order

Array = NDArray[Any]
MOST_PIXELS = 1 << 16
_SORTED_NANOSECONDS = {4: 40.0, 8: 30.0}
"""What ranks cost a pixel, by bytes of a float; measured with AVX2 by where they begin to gain."""
_BYTE_NANOSECONDS = 0.035
"""Of an instruction, for each byte of a pixel's key."""


def pay(pixels: np.dtype[Any], instructions: float) -> bool:
    """Whether ranks take less time than keys of such pixels, for a list of so many instructions a row."""
    if pixels.kind != "f":
        return False
    return (pixels.itemsize - 2) * instructions * _BYTE_NANOSECONDS > _SORTED_NANOSECONDS[pixels.itemsize]


def ranked(pixels: Array, ranks: Array) -> Array:
    """The rank of each of the flat ``pixels`` to ``ranks``; returns the value of each rank, until the next call."""
    values, places = in_order(pixels)
    _number(places, ranks)
    return values


@jit
def _number(places, ranks):
    for i in range(places.size):
        ranks[np.uint64(places[i])] = i


def values_of(ranks: Array, values: Array, out: Array) -> None:
    """``out = values[ranks]``; of flat arrays, the first so many of ``ranks``."""
    bits = np.dtype(f"u{values.itemsize}")
    _values_of(ranks, values.view(bits), out.view(bits))


@jit
def _values_of(ranks, values, out):
    for i in range(out.size):
        out[i] = values[np.uint64(ranks[i])]
