"""The host's side of ``line.cuh``: which lines float32 can hold, and their numbers.

The rules and the order of operations are the CPU backend's, so that both give the same bits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Pair = tuple[float, float]

_TINY, _HUGE = 1e-30, 1e30


class FloatLine(NamedTuple):
    """``(x - base) * scale + offset``."""

    base: float
    scale: float
    offset: float


def narrowed(value: float) -> float:
    """``value`` to the precision of float32; infinity beyond its range."""
    with np.errstate(over="ignore"):
        return float(np.float32(value))


def fits(zero: float, span: float, low: float, rise: float) -> bool:
    """Whether float32 arithmetic holds every step of the line from ``low`` at ``zero`` that rises by ``rise``."""
    steep = abs(rise) / abs(span) if span else np.inf
    return (
        _TINY < abs(span) < _HUGE
        and _TINY < steep < _HUGE
        and abs(zero) < _HUGE
        and abs(zero) * steep < _HUGE
        and abs(low) < _HUGE
    )


def float32_line(zero: float, base: float, span: float, low: float, rise: float) -> FloatLine:
    """``scale`` is rounded away from 0 so that the line's end is really reached."""
    rest = zero - base
    run_up = narrowed(zero + span - base) - rest
    exact = rise / run_up if run_up != 0.0 and np.isfinite(run_up) else rise / span
    scale = narrowed(exact)
    if abs(scale) < abs(exact):
        scale = narrowed(exact * (1.0 + 1.2e-7))
    return FloatLine(base, scale, narrowed(low - rest * exact))


def default_out_range(dtype: np.dtype[Any]) -> Pair:
    """0..1 for floats, the whole type for integers."""
    if dtype.kind == "f":
        return (0.0, 1.0)
    limits = np.iinfo(dtype)
    return (float(limits.min), float(limits.max))


def clip_ends(out_range: Pair, dtype: np.dtype[Any]) -> Pair:
    """Where results are clipped: ``out_range``, for integers kept inside the type."""
    if dtype.kind == "f":
        return out_range
    limits = np.iinfo(dtype)
    low, high = (float(min(max(end, limits.min), limits.max)) for end in out_range)
    return (low, high)
