"""Integer keys that sort as the pixels do, and the keys of the pixels that count.

A float's bit pattern, its lower bits flipped when the sign is set, is an integer that sorts as the float does, with NaN
beyond both infinities. An integer pixel is its own key.
"""

from __future__ import annotations

import math
from functools import lru_cache
from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pair = tuple[float, float]

_INT32, _INT64, _FLOAT32, _FLOAT64 = (Struct(letter) for letter in "iqfd")
_BITS: dict[int, np.dtype[Any]] = {4: np.dtype(np.int32), 8: np.dtype(np.int64)}


def sortable(x: NDArray[Any]) -> NDArray[Any]:
    """Integer images as they are, floats as the integers that hold their bits (``flipped`` makes these sortable)."""
    return x.view(_BITS[x.itemsize]) if x.dtype.kind == "f" else x


def flipped(bits: Any) -> Any:
    """The keys of floats from their bits; applied to keys, the bits: the flip undoes itself, it keeps the sign bit."""
    return bits ^ ((bits >> (8 * bits.itemsize - 1)) & np.iinfo(bits.dtype).max)


def keys_of(values: NDArray[Any]) -> NDArray[Any]:
    """Key of each value."""
    return flipped(sortable(values)) if values.dtype.kind == "f" else values


def unkey(k: int, dtype: np.dtype[Any]) -> float:
    """The pixel value that has this key."""
    if dtype.kind != "f":
        return float(k)
    # ``struct`` instead of NumPy: this runs once or twice an image, where a NumPy scalar's microseconds would show.
    if dtype.itemsize == 4:
        return float(_FLOAT32.unpack(_INT32.pack(k ^ 0x7FFFFFFF if k < 0 else k))[0])
    return float(_FLOAT64.unpack(_INT64.pack(k ^ 0x7FFFFFFFFFFFFFFF if k < 0 else k))[0])


@lru_cache(maxsize=256)
def key_bounds(dtype: np.dtype[Any], value_range: Pair | None) -> tuple[int, int]:
    """Lowest and highest key of the pixels that count, finite and inside ``value_range``; (1, 0) where none can."""
    low, high = value_range or (-math.inf, math.inf)
    if dtype.kind != "f":
        limits = np.iinfo(dtype)
        if low > limits.max or high < limits.min:
            return 1, 0
        first, last = math.ceil(max(low, limits.min)), math.floor(min(high, limits.max))
    else:
        largest = float(np.finfo(dtype).max)
        if low > largest or high < -largest:
            return 1, 0
        ends = np.array([max(low, -largest), min(high, largest)])
        own = ends.astype(dtype)
        # A bound between two float32 numbers moves inwards; a bound of 0 lets both zeros in.
        if own[0] < ends[0]:
            own[0] = np.nextafter(own[0], dtype.type(np.inf))
        if own[1] > ends[1]:
            own[1] = np.nextafter(own[1], dtype.type(-np.inf))
        own[0] = -0.0 if own[0] == 0 else own[0]
        own[1] = 0.0 if own[1] == 0 else own[1]
        first, last = (int(k) for k in keys_of(own))
    return (first, last) if first <= last else (1, 0)


def values_reaching(edges: tuple[float, ...], dtype: np.dtype[Any]) -> tuple[NDArray[Any], int]:
    """The smallest values of ``dtype`` that reach each edge, and how many edges every value reaches.

    Of integers, edges that every value or none reaches are left out.
    """
    if dtype.kind == "f":
        exact = np.array(edges, np.float64)
        with np.errstate(over="ignore"):
            near = exact.astype(dtype)
            return np.where(near < exact, np.nextafter(near, dtype.type(np.inf)), near).astype(dtype), 0
    limits = np.iinfo(dtype)
    whole = np.ceil(edges)
    inside = (whole > limits.min) & (whole <= limits.max)
    return whole[inside].astype(dtype), int((whole <= limits.min).sum())
