"""Percentiles as ``numpy.percentile`` gives them (linear interpolation), from counts or by exact selection."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._core.jit import jit


def percentile_ranks(count: int, percentiles: Sequence[float]) -> tuple[list[int], list[float]]:
    """For each percentile the rank below it and the fraction of the way to the next rank."""
    positions = [(count - 1) * (q / 100.0) for q in percentiles]
    ranks = [min(int(position), count - 1) for position in positions]
    return ranks, [position - rank for position, rank in zip(positions, ranks, strict=True)]


def between(a: float, b: float, t: float) -> float:
    """``a + (b - a) * t`` in the order of operations of ``numpy.percentile``, finite for the largest floats too."""
    rise = b - a
    if math.isinf(rise):
        return a * (1 - t) + b * t
    return b - rise * (1 - t) if t >= 0.5 else a + rise * t


@jit
def count_percentiles(counts, zero, percentiles, results):
    """Percentiles of the pixels of which ``counts[v]`` have the value ``zero + v``; how many pixels there are."""
    count = np.int64(0)
    for v in range(counts.size):
        count += np.int64(counts[v])
    if count == 0:
        return count
    v = -1
    seen = np.int64(0)
    for j in range(percentiles.size):
        position = (count - 1) * (percentiles[j] / 100.0)
        rank = min(np.int64(position), count - 1)
        t = position - rank
        # Percentiles that rise need one walk over the counts.
        if j == 0 or percentiles[j] < percentiles[j - 1]:
            v = -1
            seen = np.int64(0)
        while seen <= rank:
            v += 1
            seen += np.int64(counts[v])
        w = v
        if seen <= min(rank + 1, count - 1):
            w += 1
            while counts[w] == 0:
                w += 1
        a = np.float64(zero + v)
        b = np.float64(zero + w)
        results[j] = b - (b - a) * (1 - t) if t >= 0.5 else a + (b - a) * t
    return count


@lru_cache(maxsize=64)
def _as_array(percentiles: tuple[float, ...]) -> NDArray[np.float64]:
    return np.array(percentiles, np.float64)


def percentiles_of_counts(counts: NDArray[Any], zero: int, percentiles: tuple[float, ...]) -> tuple[int, list[float]]:
    """Number and percentiles of the pixels of which ``counts[v]`` have the value ``zero + v``."""
    results = np.empty(len(percentiles))
    count = count_percentiles(counts, zero, _as_array(percentiles), results)
    return count, results.tolist()
