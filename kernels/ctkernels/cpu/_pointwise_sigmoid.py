"""The sigmoid of DICOM PS3.3 C.11.2.1.3 with an exponential that the compiler can vectorise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._jit import jit_contract, jit_inline
from ctkernels.cpu._pointwise import difference, float32_line


@jit_inline
def _unit(z):  # type: ignore[no-untyped-def]
    """``1 / (1 + exp(-z))``, NaN for NaN."""
    return np.float32(1.0) / (np.float32(1.0) + np.exp(-z))


@jit_contract
def sigmoid_to_float(x, out, zero, base, span, low, rise, floor, ceiling):  # type: ignore[no-untyped-def]
    """As ``line_to_float`` with the sigmoid in place of the clip."""
    scale, offset = float32_line(zero, base, span, 0.0, 1.0)
    start = np.float32(low)
    height = np.float32(rise)
    pixels = x.reshape(-1)
    results = out.reshape(-1)
    for i in range(pixels.size):
        results[i] = _unit(difference(pixels[i], base) * scale + offset) * height + start


@jit_contract
def sigmoid_to_integer(x, out, zero, base, span, low, rise, floor, ceiling):  # type: ignore[no-untyped-def]
    """As ``line_to_integer`` with the sigmoid in place of the clip."""
    scale, offset = float32_line(zero, base, span, 0.0, 1.0)
    start = np.float32(low)
    height = np.float32(rise)
    lowest = np.float32(floor)
    highest = np.float32(ceiling)
    pixels = x.reshape(-1)
    results = out.reshape(-1)
    for i in range(pixels.size):
        v = _unit(difference(pixels[i], base) * scale + offset) * height + start
        v = v if v > lowest else lowest
        v = v if v < highest else highest
        results[i] = np.int32(np.rint(v))


def sigmoid_kernel(out: NDArray[Any]) -> Callable[..., None]:
    """The kernel that writes ``out``'s kind of numbers."""
    return sigmoid_to_float if out.dtype.kind == "f" else sigmoid_to_integer
