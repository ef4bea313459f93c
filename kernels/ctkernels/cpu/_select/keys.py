"""Which pixels count: bounds in the image's own dtype, and order-preserving integer keys of floats.

A float's bit pattern, its lower bits flipped when the sign is set, is an integer that sorts as the float does, with NaN
beyond both infinities. Minimum, maximum and "finite and inside the range" are then integer comparisons, which the
compiler vectorises; on floats they would need fast-math, which must not see the NaN.
"""

from __future__ import annotations

import math
from functools import lru_cache
from struct import Struct
from typing import Any

import numpy as np
from numba.core import types
from numba.extending import overload
from numpy.typing import NDArray

from ctkernels.cpu._core.jit import jit

Pair = tuple[float, float]

_INT32, _INT64, _FLOAT32, _FLOAT64 = (Struct(letter) for letter in "iqfd")
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
    # The flip undoes itself: it keeps the sign bit.
    if dtype.itemsize == 4:
        return float(_FLOAT32.unpack(_INT32.pack(k ^ 0x7FFFFFFF if k < 0 else k))[0])
    return float(_FLOAT64.unpack(_INT64.pack(k ^ 0x7FFFFFFFFFFFFFFF if k < 0 else k))[0])


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
    """Smallest and largest key within ``first .. last``; the smallest above the largest where there is none.

    Only blocks that hold a key outside the bounds are looked at pixel by pixel.
    """
    pixels = x.reshape(-1)
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
