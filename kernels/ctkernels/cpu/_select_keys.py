"""Which pixels count: bounds in the image's own dtype, and order-preserving integer keys of floats.

A float's bit pattern, its lower bits flipped when the sign is set, is an integer that sorts as the float does, with NaN
beyond both infinities. Minimum, maximum and "finite and inside the range" are then integer comparisons, which the
compiler vectorises; on floats they would need fast-math, which must not see the NaN.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numba.core import types
from numba.extending import overload
from numpy.typing import NDArray

from ctkernels.cpu._jit import jit, jit_nan_free

Pair = tuple[float, float]

_KEYS: dict[int, np.dtype[Any]] = {4: np.dtype(np.int32), 8: np.dtype(np.int64)}


def sortable(x: NDArray[Any]) -> NDArray[Any]:
    """Integer images as they are, floats as the integers that hold their bits (``key`` makes these sortable)."""
    return x.view(_KEYS[x.itemsize]) if x.dtype.kind == "f" else x


def key(bits):  # type: ignore[no-untyped-def]
    """The integer that sorts as the pixel does; compiled code runs the overload below."""
    if bits.itemsize < 4:
        return bits
    return bits ^ ((bits >> (8 * bits.itemsize - 1)) & np.iinfo(bits.dtype).max)


@overload(key)
def _key(bits):  # type: ignore[no-untyped-def]
    if bits == types.int32:
        return lambda bits: bits ^ np.int32((bits >> np.int32(31)) & np.int32(0x7FFFFFFF))
    if bits == types.int64:
        return lambda bits: bits ^ ((bits >> np.int64(63)) & np.int64(0x7FFFFFFFFFFFFFFF))
    return lambda bits: bits


def _float_key(value: float, dtype: np.dtype[Any]) -> int:
    return int(key(np.array([value], dtype).view(_KEYS[dtype.itemsize])[0]))


def unkey(k: int, dtype: np.dtype[Any]) -> float:
    """The pixel value that has this key."""
    if dtype.kind != "f":
        return float(k)
    bits = key(np.array([k], _KEYS[dtype.itemsize])[0])  # the flip undoes itself: it keeps the sign bit
    return float(np.array([bits]).view(dtype)[0])


@lru_cache(maxsize=256)
def key_bounds(dtype: np.dtype[Any], value_range: Pair | None) -> tuple[int, int]:
    """Lowest and highest key of the pixels that count; (1, 0) where no pixel of this dtype can."""
    low, high = value_range or (-math.inf, math.inf)
    if dtype.kind != "f":
        limits = np.iinfo(dtype)
        first = math.ceil(max(low, limits.min)) if low <= limits.max else 1
        last = math.floor(min(high, limits.max)) if high >= limits.min else 0
        return (first, last) if first <= last and low <= limits.max and high >= limits.min else (1, 0)
    largest = float(np.finfo(dtype).max)
    if low > largest or high < -largest:
        return 1, 0
    first = _float_key(max(low, -largest), dtype)
    last = _float_key(min(high, largest), dtype)
    # A bound between two float32 numbers moves inwards; a bound of 0 lets both zeros in.
    if unkey(first, dtype) < low:
        first += 1
    if unkey(last, dtype) > high:
        last -= 1
    minus_zero, zero = _float_key(-0.0, dtype), _float_key(0.0, dtype)
    first = minus_zero if first == zero else first
    last = zero if last == minus_zero else last
    return (first, last) if first <= last else (1, 0)


@jit
def key_extent(x, first, last):  # type: ignore[no-untyped-def]
    """Smallest and largest key within ``first .. last``; the smallest above the largest where there is none."""
    pixels = x.reshape(-1)
    number = x.dtype.type
    top = number(np.iinfo(x.dtype).max)
    bottom = number(np.iinfo(x.dtype).min)
    begin = number(first)
    end = number(last)
    low = top
    high = bottom
    if begin == bottom and end == top:
        for i in range(pixels.size):
            v = pixels[i]
            low = v if v < low else low
            high = v if v > high else high
        return np.int64(low), np.int64(high)
    for i in range(pixels.size):
        v = number(key(pixels[i]))
        inside = (v >= begin) & (v <= end)
        a = v if inside else top
        b = v if inside else bottom
        low = a if a < low else low
        high = b if b > high else high
    return np.int64(low), np.int64(high)


@jit
def all_finite(bits):  # type: ignore[no-untyped-def]
    """Whether no float of these bit patterns is NaN or infinite."""
    number = bits.dtype.type
    exponent = number(0x7F800000 if bits.itemsize == 4 else 0x7FF0000000000000)
    largest = number(0)
    for i in range(bits.size):
        v = number(bits[i] & exponent)
        largest = v if v > largest else largest
    return largest != exponent


@jit_nan_free
def plain_extent(values, low, high):  # type: ignore[no-untyped-def]
    """Smallest and largest of ``values``, ``low`` and ``high``, none of them NaN."""
    for i in range(values.size):
        v = values[i]
        low = v if v < low else low
        high = v if v > high else high
    return low, high


@jit
def float_extent(x, bits):  # type: ignore[no-untyped-def]
    """Smallest and largest pixel and True; without meaning, and False, if there is one that is not finite."""
    values = x.reshape(-1)
    patterns = bits.reshape(-1)
    low = values[0]
    high = values[0]
    for start in range(0, values.size, 4096):
        if not all_finite(patterns[start : start + 4096]):
            return 0.0, 0.0, False
        low, high = plain_extent(values[start : start + 4096], low, high)
    return np.float64(low), np.float64(high), True
