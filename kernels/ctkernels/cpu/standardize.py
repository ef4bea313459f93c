"""Z-score: one pass for mean and deviation, one for the line ``(x - mean) / sd``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._core.jit import jit, one_type
from ctkernels.cpu._core.moments import image_moments
from ctkernels.cpu._core.pointwise import base_of, line_to_float
from ctkernels.cpu._core.spread import each_image, pointwise
from ctkernels.shared.lines import Line, fits


@jit
def scores(x, out, mean, sd):
    """``(x - mean) / sd`` in float64, for float64 results and for deviations that float32 cannot hold."""
    pixels = x.reshape(-1)
    results = out.reshape(-1)
    # Quarters keep the difference of two huge numbers finite. A division, because the reciprocal of a tiny or huge
    # deviation may not exist.
    part = 0.25 if abs(mean) > 1e300 else 1.0
    center = mean * part
    deviation = sd * part
    for i in range(pixels.size):
        results[i] = (np.float64(pixels[i]) * part - center) / deviation


def standardize(x: NDArray[Any], out: NDArray[Any], *, value_range: tuple[float, float] | None) -> None:
    """See :func:`ctkernels.reference.standardize`."""
    x = one_type(x)

    def body(i: int) -> None:
        image, result = x[i : i + 1], out[i : i + 1]
        _, mean, sd = image_moments(image, value_range)
        if not sd > 0:  # NaN where no pixel counts
            result[...] = np.where(np.isnan(image), np.nan, 0.0)
            return
        line = Line(mean, base_of(mean, x.dtype), sd, 0.0, 1.0, -math.inf, math.inf)
        if out.dtype == np.float32 and fits(line):
            pointwise(line_to_float, image, result, *line)
        else:
            pointwise(scores, image, result, mean, sd)

    each_image(x, 0.5, body)
