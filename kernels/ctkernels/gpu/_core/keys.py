"""Integer keys that sort as the pixels do, and the keys of the pixels that count: the host's side of ``common.cuh``."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pair = tuple[float, float]

_BITS: dict[int, np.dtype[Any]] = {4: np.dtype(np.int32), 8: np.dtype(np.int64)}


def key_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """``ctk_keys<T>::type``: int64 for float64, int32 for all others."""
    return np.dtype(np.int64) if dtype.char == "d" else np.dtype(np.int32)


def keys_of(values: NDArray[Any]) -> NDArray[Any]:
    """``ctk_key`` of each value."""
    if values.dtype.kind != "f":
        return values.astype(np.int32)
    bits = values.view(_BITS[values.dtype.itemsize])
    return bits ^ ((bits >> (8 * bits.itemsize - 1)) & np.iinfo(bits.dtype).max)


def reaching(edges: tuple[float, ...], dtype: np.dtype[Any]) -> tuple[NDArray[Any], int]:
    """Keys of the smallest pixels that reach each edge, without the edges that every pixel reaches; how many those are.

    Edges that no pixel reaches are left out as well.
    """
    if dtype.kind != "f":
        limits = np.iinfo(dtype)
        whole = np.ceil(edges)
        inside = (whole > limits.min) & (whole <= limits.max)
        return whole[inside].astype(np.int32), int((whole <= limits.min).sum())
    exact = np.array(edges, np.float64)
    with np.errstate(over="ignore"):
        near = exact.astype(dtype)
        near = np.where(near < exact, np.nextafter(near, dtype.type(np.inf)), near).astype(dtype)
    near[near == 0] = -0.0  # both zeros reach an edge of 0
    return keys_of(near), 0


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
