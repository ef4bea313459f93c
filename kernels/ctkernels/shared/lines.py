"""The host's arithmetic of straight lines from pixels to results, under window, normalize and standardize.

``unit = (x - zero) / span`` and ``result = low + unit * rise``, clipped to ``floor .. ceiling``. In float32 this is two
operations, ``(x - base) * scale + offset``: the subtraction comes first because one combined offset would lose most
digits where a narrow window sits at a high value, and ``offset`` carries what ``base`` lacks of ``zero``. ``base`` is
``zero`` as a float32, except that float64 images may subtract all of it.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ctkernels.reference import default_out_range

Pair = tuple[float, float]

_TINY, _HUGE = 1e-30, 1e30
ENDLESS: Pair = (-math.inf, math.inf)
"""Of a line that is not clipped."""


class Line(NamedTuple):
    """A line with clipped ends; ``rise`` is the height of the output range."""

    zero: float
    base: float
    span: float
    low: float
    rise: float
    floor: float
    ceiling: float


def narrowed(value: float) -> float:
    """``value`` to the precision of float32; infinity beyond its range."""
    if -_HUGE < value < _HUGE:
        return float(np.float32(value))
    with np.errstate(over="ignore"):
        return float(np.float32(value))


def float32_line(zero: float, base: float, span: float, low: float, rise: float) -> Pair:
    """``scale`` and ``offset`` of a line; ``scale`` is rounded away from 0 so that the line's end is really reached.

    The GPU backend calls this, the CPU's kernels are compiled from it.
    """
    rest = zero - base
    run_up = narrowed(zero + span - base) - rest
    exact = rise / run_up if run_up != 0.0 and np.isfinite(run_up) else rise / span
    scale = narrowed(exact)
    if abs(scale) < abs(exact):
        scale = narrowed(exact * (1.0 + 1.2e-7))
    return scale, narrowed(low - rest * exact)


def fits(line: Line) -> bool:
    """Whether float32 arithmetic holds every step of this line (false for NaN as well)."""
    steep = abs(line.rise) / abs(line.span) if line.span else np.inf
    return (
        _TINY < abs(line.span) < _HUGE
        and _TINY < steep < _HUGE
        and abs(line.zero) < _HUGE
        and abs(line.zero) * steep < _HUGE
        and abs(line.low) < _HUGE
    )


def clip_ends(out_range: Pair, dtype: np.dtype[Any]) -> Pair:
    """Where results are clipped: ``out_range``, for integers kept inside the type."""
    if dtype.kind == "f":
        return out_range
    limits = np.iinfo(dtype)
    low, high = (float(min(max(end, limits.min), limits.max)) for end in out_range)
    return (low, high)


def clipped_line(zero: float, base: float, span: float, out_range: Pair, dtype: np.dtype[Any]) -> Line:
    """The line from ``out_range[0]`` at ``zero`` to ``out_range[1]`` at ``zero + span``, kept inside ``dtype``."""
    low, high = out_range
    return Line(zero, base, span, low, high - low, *clip_ends(out_range, dtype))


def voi_line(center: float, width: float, function: str) -> Pair:
    """Where a window's line is 0, and how far from there it is 1; for a sigmoid, the scale of its exponent.

    Source: DICOM PS3.3 C.11.2.1.2 (LINEAR, LINEAR_EXACT) and C.11.2.1.3 (SIGMOID).
    """
    if function == "linear":
        return center - 0.5 - (width - 1) / 2, width - 1
    if function == "linear_exact":
        return center - width / 2, width
    return center, width / 4


def voi_ends(center: float, width: float, function: str) -> Pair:
    """Where a straight window is 0 and where it is 1, rounded as ``reference.window`` rounds them."""
    low, span = voi_line(center, width, function)
    return low, (center + width / 2 if function == "linear_exact" else low + span)


@lru_cache(maxsize=256)
def window_line(
    center: float,
    width: float,
    function: str,
    out_range: Pair | None,
    slope: float,
    intercept: float,
    dtype: np.dtype[Any],
) -> Line | None:
    """A window's line in stored units, to results of ``dtype``.

    None where float32 cannot hold it (huge numbers, width 1, slope 0). The rescale ``x * slope + intercept`` is folded
    in: ``unit`` is 0 at ``(low - intercept) / slope`` stored units and rises by 1 over ``span / slope`` of them.
    """
    low, span = voi_line(center, width, function)
    if slope == 0:
        return None
    zero = (low - intercept) / slope
    line = clipped_line(zero, narrowed(zero), span / slope, out_range or default_out_range(dtype), dtype)
    return line if fits(line) else None


def rescale_number(image: np.dtype[Any], result: np.dtype[Any], slope: float, intercept: float) -> type[Any]:
    """In which type a modality rescale is computed: float32 where pixels, results and the line all fit it."""
    narrow = result.char == "f" and image.char != "d" and _TINY < abs(slope) < _HUGE and abs(intercept) < _HUGE
    return np.float32 if narrow else np.float64
