"""Images of floats with few distinct values, such as whole numbers times a slope: which they are, and each pixel's.

One pass through a table of hashes instead of a sort of all pixels; images of many values are known after some thousand
pixels.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._core.jit import jit
from ctkernels.cpu._core.scratch import scratch
from ctkernels.cpu._histogram.values import value_counts

MOST = 4096
_SLOTS = 16384
_SHIFT = 64 - 14
_MIX = np.uint64(0x9E3779B97F4A7C15)


class Distinct(NamedTuple):
    """The distinct values of an image; the arrays but ``values`` lie in this thread's scratch until its next call."""

    values: NDArray[Any]
    """Ascending, NaN last; -0 is 0."""
    codes: NDArray[np.uint16]
    """Of each pixel of the flat image, in the order in which values came."""
    places: NDArray[np.int64]
    """Where in ``values`` a code's value stands."""


@jit
def _number(x, bits, slots, found, codes):
    """Codes of a flat image of floats, and the bits of the values in ``found``; their number, 0 for too many.

    ``slots``: 0 or a code plus 1 at the hash of its value. ``bits``: the same pixels as unsigned integers.
    """
    slots[:] = 0
    count = 0
    last, code = np.uint64(0), -1
    zero = x.dtype.type(0)
    nothing = np.uint64(bits.dtype.type(-1))  # a NaN; all of them are one value
    mask = np.uint64(slots.size - 1)
    for i in range(x.size):
        value = x[i]
        pattern = np.uint64(bits[i]) if value != zero else np.uint64(0)
        pattern = pattern if value == value else nothing
        if pattern != last or code < 0:
            last = pattern
            at = (pattern * _MIX) >> np.uint64(_SHIFT)
            while slots[at] != 0 and found[np.uint64(slots[at] - 1)] != pattern:
                at = (at + np.uint64(1)) & mask
            if slots[at] == 0:
                if count == found.size:
                    return 0
                found[count] = pattern
                count += 1
                slots[at] = count
            code = slots[at] - 1
        codes[i] = code
    return count


def distinct(pixels: NDArray[Any]) -> Distinct | None:
    """Of a flat, C-contiguous image of floats; None where there are more than ``MOST``, or no pixels."""
    bits = np.dtype(f"u{pixels.itemsize}")
    found = scratch("distinct values", MOST, np.uint64)
    codes = scratch("distinct codes", pixels.size, np.uint16)
    count = _number(pixels, pixels.view(bits), scratch("distinct slots", _SLOTS, np.uint16), found, codes)
    if not count:
        return None
    values = found[:count].astype(bits).view(pixels.dtype)
    order = np.argsort(values)
    places = np.empty(count, np.int64)
    places[order] = np.arange(count)
    return Distinct(values[order], codes, places)


@jit
def count_codes(codes, keep, counts):
    """How often each code occurs where ``keep`` is 1 (of size 0: everywhere)."""
    counts[:] = 0
    if keep.size:
        for i in range(codes.size):
            counts[np.uint64(codes[i])] += np.int64(keep[i])
    else:
        half = counts.size // 2  # neighbours are mostly equal: they don't wait for each other
        for i in range(codes.size // 2):
            counts[np.uint64(codes[2 * i])] += 1
            counts[np.uint64(codes[2 * i + 1]) + np.uint64(half)] += 1
        if codes.size % 2:
            counts[np.uint64(codes[codes.size - 1])] += 1
        for k in range(half):
            counts[k] += counts[half + k]


def occurrences(found: Distinct, keep: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How often each of ``values`` occurs where ``keep`` is 1 (of size 0: everywhere)."""
    counts = np.empty(2 * found.places.size, np.int64)
    count_codes(found.codes, keep, counts)
    in_order = np.empty(found.places.size, np.int64)
    in_order[found.places] = counts[: in_order.size]
    return in_order


@jit
def _occurring(counts, low, values, shares):
    """Whole numbers that occur, from ``low`` up, and the share at or below each; how many they are."""
    total = np.int64(0)
    for k in range(counts.size):
        total += np.int64(counts[k])
    whole = np.float64(total)
    below = np.int64(0)
    there = 0
    for k in range(counts.size):
        if counts[k]:
            below += np.int64(counts[k])
            values[there] = low + k
            shares[there] = below / whole
            there += 1
    return there


@jit
def _runs(ordered, values, shares):
    """Distinct values of sorted pixels, and the share at or below each; their number. No branch for equal ones."""
    total = np.float64(ordered.size)
    last = ordered.size - 1
    count = np.uint64(0)
    for i in range(last):
        values[count] = ordered[i]
        shares[count] = np.float64(i + 1) / total
        count += np.uint64(ordered[i] != ordered[i + 1])
    values[count] = ordered[last]
    shares[count] = 1.0
    return np.int64(count) + 1


def knots(x: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values of an image without NaN, and the share of its pixels at or below each; in scratch until the next call."""
    pixels = np.ascontiguousarray(x).reshape(-1)
    coded = value_counts(pixels.reshape(1, 1, -1))
    if coded is None and (found := distinct(pixels)) is not None:
        return found.values.astype(np.float64), np.cumsum(occurrences(found, np.empty(0, np.uint8))) / pixels.size
    most = pixels.size if coded is None else coded[0].size
    values, shares = (scratch(name, most, np.float64) for name in ("values that occur", "shares of values"))
    if coded is not None:
        count = _occurring(*coded, values, shares)
    else:
        ordered = scratch("pixels in order", pixels.size, pixels.dtype)
        ordered[:] = pixels
        ordered.sort()
        count = _runs(ordered, values, shares)
    return values[:count], shares[:count]
