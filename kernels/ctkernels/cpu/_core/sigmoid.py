"""The sigmoid of DICOM PS3.3 C.11.2.1.3 with an exponential that the compiler vectorises.

``exp(z) = 2**k * exp(r)`` with ``k`` the whole number nearest to ``z / ln 2``: ``2**k`` is made of its bits,
``exp(r)``, ``|r| <= ln 2 / 2``, is its Taylor polynomial of degree 7, whose first term left out is below half a unit in
the last place of float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.extending import intrinsic

from ctkernels.cpu._core.jit import jit_contract, jit_inline
from ctkernels.cpu._core.pointwise import difference, float32_line
from ctkernels.cpu._core.viewed import flat


@intrinsic
def _float_of_bits(typing_context, bits):
    def build(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), build


@jit_inline
def _unit(z):
    """``1 / (1 + exp(-z))`` in float32; exactly 0 below -87, NaN for NaN."""
    limit = np.float32(87.0)
    x = limit if z < -limit else -z
    x = -limit if x < -limit else x
    k = np.rint(x * np.float32(1.4426950408889634))
    # ln 2 in two parts, of which the first times k is exact.
    r = x - k * np.float32(0.693359375)
    r = r + k * np.float32(2.12194440054690583e-4)
    p = np.float32(1 / 5040)
    p = p * r + np.float32(1 / 720)
    p = p * r + np.float32(1 / 120)
    p = p * r + np.float32(1 / 24)
    p = p * r + np.float32(1 / 6)
    p = p * r + np.float32(0.5)
    p = p * r + np.float32(1.0)
    p = p * r + np.float32(1.0)
    # NaN cannot become an integer; its power of two does not matter, p is NaN.
    power = np.int32(k if k == k else np.float32(0.0))
    scale = _float_of_bits(np.int32((power + np.int32(127)) << np.int32(23)))
    unit = np.float32(1.0) / (np.float32(1.0) + p * scale)
    return np.float32(0.0) if z < -limit else unit


@jit_contract
def sigmoid_to_float(x, out, zero, base, span, low, rise, floor, ceiling):
    """As ``line_to_float`` with the sigmoid in place of the clip."""
    scale, offset = float32_line(zero, base, span, 0.0, 1.0)
    start = np.float32(low)
    height = np.float32(rise)
    pixels = flat(x)
    results = flat(out)
    for i in range(pixels.size):
        results[i] = _unit(difference(pixels[i], base) * scale + offset) * height + start


@jit_contract
def sigmoid_to_integer(x, out, zero, base, span, low, rise, floor, ceiling):
    """As ``line_to_integer`` with the sigmoid in place of the clip."""
    scale, offset = float32_line(zero, base, span, 0.0, 1.0)
    start = np.float32(low)
    height = np.float32(rise)
    lowest = np.float32(floor)
    highest = np.float32(ceiling)
    pixels = flat(x)
    results = flat(out)
    for i in range(pixels.size):
        v = _unit(difference(pixels[i], base) * scale + offset) * height + start
        v = v if v > lowest else lowest
        v = v if v < highest else highest
        results[i] = np.int32(np.rint(v))


def sigmoid_kernel(result: np.dtype[Any]) -> Callable[..., None]:
    """The kernel that writes this kind of numbers."""
    return sigmoid_to_float if result.kind == "f" else sigmoid_to_integer
