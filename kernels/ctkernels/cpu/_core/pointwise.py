"""One straight line with clipped ends per pixel: the kernels under window, normalize and standardize.

``shared/lines`` has the arithmetic. float64 pixels are subtracted in float64 and only then narrowed, so that float64
and 16-bit images of the same whole numbers give the same bits for the same base, and 1e303 becomes infinity, which the
clip turns into the end of the range.

Limits: ``fits`` says which lines float32 can hold; the callers leave the others to the plain code of the reference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba.core import types
from numba.extending import overload

from ctkernels.cpu._core.jit import jit_contract, jit_inline
from ctkernels.cpu._core.past_cache import goes_past, past_cache
from ctkernels.cpu._core.viewed import flat
from ctkernels.shared import lines
from ctkernels.shared.lines import narrowed


def base_of(zero: float, image_dtype: np.dtype[Any]) -> float:
    """What to subtract first where the line need not be the same for float64 and narrower images."""
    return zero if image_dtype.char == "d" else narrowed(zero)


def difference(value, base):
    """``value - base`` as float32; compiled code runs the overload below."""
    return np.float32(value - base)


@overload(difference)
def _difference(value, base):
    if value == types.float64:
        return lambda value, base: np.float32(value - base)
    return lambda value, base: np.float32(value) - np.float32(base)


@overload(narrowed)
def _narrowed(value):
    return lambda value: np.float64(np.float32(value))


_scale_and_offset = jit_inline(lines.float32_line)


@jit_inline
def float32_line(zero, base, span, low, rise):
    """Scale and offset, float32: ``shared/lines.float32_line``, compiled."""
    scale, offset = _scale_and_offset(zero, base, span, low, rise)
    return np.float32(scale), np.float32(offset)


@jit_contract
def line_to_float(x, out, zero, base, span, low, rise, floor, ceiling):
    """``out`` float32; NaN stays NaN (every comparison with it is false)."""
    scale, offset = float32_line(zero, base, span, low, rise)
    lowest = np.float32(floor)
    highest = np.float32(ceiling)
    pixels = flat(x)
    results = flat(out)
    for i in range(pixels.size):
        v = difference(pixels[i], base) * scale + offset
        v = lowest if v < lowest else v
        results[i] = highest if v > highest else v


@jit_contract
def line_to_integer(x, out, zero, base, span, low, rise, floor, ceiling):
    """``out`` uint8 or uint16, rounded half to even; NaN becomes the low end."""
    scale, offset = float32_line(zero, base, span, low, rise)
    lowest = np.float32(floor)
    highest = np.float32(ceiling)
    pixels = flat(x)
    results = flat(out)
    for i in range(pixels.size):
        v = difference(pixels[i], base) * scale + offset
        v = v if v > lowest else lowest
        v = v if v < highest else highest
        results[i] = np.int32(np.rint(v))


_line_past_cache = past_cache(line_to_float, "line_past_cache")


def line_kernel(result: np.dtype[Any], pixels: int) -> Callable[..., None]:
    """The kernel that writes this kind of numbers, into a result of so many pixels."""
    if goes_past(result, pixels):
        return _line_past_cache
    return line_to_float if result.kind == "f" else line_to_integer
