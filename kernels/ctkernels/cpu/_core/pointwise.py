"""One straight line with clipped ends per pixel: the kernel under window, normalize and standardize.

``unit = (x - zero) / span`` and ``result = low + unit * rise``, clipped to ``floor .. ceiling``. In float32 this is two
operations, ``(x - base) * scale + offset``: the subtraction comes first because one combined offset would lose most
digits where a narrow window sits at a high value, and ``offset`` carries what ``base`` lacks of ``zero``. ``base`` is
``zero`` as a float32, except that float64 images may subtract all of it. float64 pixels are subtracted in float64 and
only then narrowed, so that float64 and 16-bit images of the same whole numbers give the same bits for the same base,
and 1e303 becomes infinity, which the clip turns into the end of the range.

Limits: ``fits`` says which lines float32 can hold; the callers leave the others to the plain code of the reference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba.core import types
from numba.extending import overload
from numpy.typing import NDArray

from ctkernels.cpu._core.jit import jit_contract, jit_inline
from ctkernels.shared.lines import Pair, clip_ends, fits_float32, narrowed


class Line(NamedTuple):
    """The arguments of the kernels, all float64; ``rise`` is the height of the output range."""

    zero: float
    base: float
    span: float
    low: float
    rise: float
    floor: float
    ceiling: float


def fits(line: Line) -> bool:
    """Whether float32 arithmetic holds every step of this line (false for NaN as well)."""
    return fits_float32(line.zero, line.span, line.low, line.rise)


def base_of(zero: float, image_dtype: np.dtype[Any]) -> float:
    """What to subtract first where the line need not be the same for float64 and narrower images."""
    return zero if image_dtype.char == "d" else narrowed(zero)


def clipped_line(zero: float, base: float, span: float, out_range: Pair, dtype: np.dtype[Any]) -> Line:
    """The line from ``out_range[0]`` at ``zero`` to ``out_range[1]`` at ``zero + span``, kept inside ``dtype``."""
    low, high = out_range
    return Line(zero, base, span, low, high - low, *clip_ends(out_range, dtype))


def difference(value, base):  # type: ignore[no-untyped-def]
    """``value - base`` as float32; compiled code runs the overload below."""
    return np.float32(value - base)


@overload(difference)
def _difference(value, base):  # type: ignore[no-untyped-def]
    if value == types.float64:
        return lambda value, base: np.float32(value - base)
    return lambda value, base: np.float32(value) - np.float32(base)


@jit_inline
def float32_line(zero, base, span, low, rise):  # type: ignore[no-untyped-def]
    """``scale`` and ``offset`` of a line; ``scale`` is rounded away from 0 so that the line's end is really reached."""
    rest = zero - base
    run_up = np.float64(np.float32(zero + span - base)) - rest
    exact = rise / run_up if run_up != 0.0 and np.isfinite(run_up) else rise / span
    scale = np.float32(exact)
    if abs(np.float64(scale)) < abs(exact):
        scale = np.float32(exact * (1.0 + 1.2e-7))
    return scale, np.float32(low - rest * exact)


@jit_contract
def line_to_float(x, out, zero, base, span, low, rise, floor, ceiling):  # type: ignore[no-untyped-def]
    """``out`` float32; NaN stays NaN (every comparison with it is false)."""
    scale, offset = float32_line(zero, base, span, low, rise)
    lowest = np.float32(floor)
    highest = np.float32(ceiling)
    pixels = x.reshape(-1)
    results = out.reshape(-1)
    for i in range(pixels.size):
        v = difference(pixels[i], base) * scale + offset
        v = lowest if v < lowest else v
        results[i] = highest if v > highest else v


@jit_contract
def line_to_integer(x, out, zero, base, span, low, rise, floor, ceiling):  # type: ignore[no-untyped-def]
    """``out`` uint8 or uint16, rounded half to even; NaN becomes the low end."""
    scale, offset = float32_line(zero, base, span, low, rise)
    lowest = np.float32(floor)
    highest = np.float32(ceiling)
    pixels = x.reshape(-1)
    results = out.reshape(-1)
    for i in range(pixels.size):
        v = difference(pixels[i], base) * scale + offset
        v = v if v > lowest else lowest
        v = v if v < highest else highest
        results[i] = np.int32(np.rint(v))


def line_kernel(out: NDArray[Any]) -> Callable[..., None]:
    """The kernel that writes ``out``'s kind of numbers."""
    return line_to_float if out.dtype.kind == "f" else line_to_integer
