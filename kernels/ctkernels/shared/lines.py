"""The host's arithmetic of straight lines from pixels to results, the same for every backend, so that bits are too."""

from __future__ import annotations

from typing import Any

import numpy as np

Pair = tuple[float, float]

_TINY, _HUGE = 1e-30, 1e30


def voi_line(center: float, width: float, function: str) -> Pair:
    """Where a window's line is 0, and how far from there it is 1; for a sigmoid, the scale of its exponent.

    Source: DICOM PS3.3 C.11.2.1.2 (LINEAR, LINEAR_EXACT) and C.11.2.1.3 (SIGMOID).
    """
    if function == "linear":
        return center - 0.5 - (width - 1) / 2, width - 1
    if function == "linear_exact":
        return center - width / 2, width
    return center, width / 4


def narrowed(value: float) -> float:
    """``value`` to the precision of float32; infinity beyond its range."""
    if -_HUGE < value < _HUGE:
        return float(np.float32(value))
    with np.errstate(over="ignore"):
        return float(np.float32(value))


def fits_float32(zero: float, span: float, low: float, rise: float) -> bool:
    """Whether float32 holds every step of the line from ``low`` at ``zero`` that rises by ``rise``; false for NaN."""
    steep = abs(rise) / abs(span) if span else np.inf
    return (
        _TINY < abs(span) < _HUGE
        and _TINY < steep < _HUGE
        and abs(zero) < _HUGE
        and abs(zero) * steep < _HUGE
        and abs(low) < _HUGE
    )


def clip_ends(out_range: Pair, dtype: np.dtype[Any]) -> Pair:
    """Where results are clipped: ``out_range``, for integers kept inside the type."""
    if dtype.kind == "f":
        return out_range
    limits = np.iinfo(dtype)
    low, high = (float(min(max(end, limits.min), limits.max)) for end in out_range)
    return (low, high)
