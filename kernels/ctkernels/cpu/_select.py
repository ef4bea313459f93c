"""Percentiles as ``numpy.percentile`` gives them (linear interpolation), from counts or by exact selection."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._jit import jit


def percentile_ranks(count: int, percentiles: Sequence[float]) -> tuple[list[int], list[float]]:
    """For each percentile the rank below it and the fraction of the way to the next rank."""
    places = [(count - 1) * (q / 100.0) for q in percentiles]
    ranks = [min(int(place), count - 1) for place in places]
    return ranks, [place - rank for place, rank in zip(places, ranks, strict=True)]


def between(a: float, b: float, t: float) -> float:
    """``a + (b - a) * t`` in the order of operations of ``numpy.percentile``, finite for the largest floats too."""
    rise = b - a
    if math.isinf(rise):
        return a * (1 - t) + b * t
    return b - rise * (1 - t) if t >= 0.5 else a + rise * t


@jit
def values_at_ranks(counts, ranks, values):  # type: ignore[no-untyped-def]
    """Index into ``counts`` of the pixel of each rank (ascending order of ranks)."""
    seen = np.int64(0)
    v = -1
    for r in range(ranks.size):
        while seen <= ranks[r]:
            v += 1
            seen += np.int64(counts[v])
        values[r] = v


def percentiles_of_counts(
    counts: NDArray[Any], zero: int, count: int, percentiles: Sequence[float]
) -> list[float]:
    """Percentiles of ``count`` > 0 pixels, of which ``counts[v]`` have the value ``zero + v``."""
    ranks, fractions = percentile_ranks(count, percentiles)
    wanted = np.array(sorted({r for rank in ranks for r in (rank, min(rank + 1, count - 1))}), np.int64)
    found = np.empty(wanted.size, np.int64)
    values_at_ranks(counts, wanted, found)
    at = dict(zip(wanted.tolist(), (float(v + zero) for v in found.tolist()), strict=True))
    return [between(at[r], at[min(r + 1, count - 1)], t) for r, t in zip(ranks, fractions, strict=True)]
