"""Modality rescale, ``x * slope + intercept``, in one pass.

float32 results of 8- and 16-bit and float32 images are computed in float32. int16 and float64 results, float64 images
and slopes that float32 cannot hold are computed in float64 without fused operations: NumPy's own bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._core.jit import jit
from ctkernels.cpu._core.past_cache import goes_past, past_cache
from ctkernels.cpu._core.spread import pointwise
from ctkernels.cpu._core.viewed import flat
from ctkernels.shared.lines import rescale_number


@jit
def rescale_to_float(x, out, slope, intercept):
    """In the precision of ``slope`` and ``intercept``, either float32 or float64."""
    pixels = flat(x)
    results = flat(out)
    for i in range(pixels.size):
        results[i] = pixels[i] * slope + intercept


_rescale_past_cache = past_cache(rescale_to_float, "rescale_past_cache")


@jit
def rescale_to_int16(x, out, slope, intercept):
    """Rounded half to even and saturated; NaN becomes -32768."""
    pixels = flat(x)
    results = flat(out)
    for i in range(pixels.size):
        v = np.float64(pixels[i]) * slope + intercept
        v = v if v > -32768.0 else -32768.0
        v = v if v < 32767.0 else 32767.0
        results[i] = np.int32(np.rint(v))


def rescale(x: NDArray[Any], out: NDArray[Any], *, slope: float, intercept: float) -> None:
    """See :func:`ctkernels.reference.rescale`."""
    if out.dtype == np.int16:
        pointwise(rescale_to_int16, x, out, slope, intercept)
        return
    number = rescale_number(x.dtype, out.dtype, slope, intercept)
    kernel = _rescale_past_cache if goes_past(out.dtype, out.size) else rescale_to_float
    pointwise(kernel, x, out, number(slope), number(intercept))
