"""Z-score: one pass for mean and deviation, one for the line ``(x - mean) / sd``."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._core.chosen import chosen
from ctkernels.cpu._core.jit import jit, one_type
from ctkernels.cpu._core.moments import image_moments
from ctkernels.cpu._core.pointwise import base_of, line_kernel
from ctkernels.cpu._core.spread import each_image, pointwise
from ctkernels.cpu._core.viewed import flat
from ctkernels.shared.lines import Line, fits

Array = NDArray[Any]


@jit
def scores(x, out, mean, sd):
    """``(x - mean) / sd`` in float64, for float64 results and for deviations that float32 cannot hold."""
    pixels = flat(x)
    results = flat(out)
    # Quarters keep the difference of two huge numbers finite. A division, because the reciprocal of a tiny or huge
    # deviation may not exist.
    part = 0.25 if abs(mean) > 1e300 else 1.0
    center = mean * part
    deviation = sd * part
    for i in range(pixels.size):
        results[i] = (np.float64(pixels[i]) * part - center) / deviation


def bind(
    shape: tuple[int, ...],
    image: np.dtype[Any],
    result: np.dtype[Any],
    *,
    value_range: tuple[float, float] | None,
    mean: float | None = None,
    std: float | None = None,
    where: Array | None = None,
) -> Callable[[Array, Array], None]:
    """``standardize`` for images of this shape and these dtypes, with its parameters."""
    single = result.char == "f"
    score = line_kernel(result, math.prod(shape))

    def draw(x: Array, out: Array, center: float, sd: float) -> None:
        if not sd > 0:  # NaN where no pixel counts
            out[...] = np.where(np.isnan(x), np.nan, 0.0)
            return
        line = Line(center, base_of(center, image), sd, 0.0, 1.0, -math.inf, math.inf)
        if single and fits(line):
            pointwise(score, x, out, *line)
        else:
            pointwise(scores, x, out, center, sd)

    if mean is not None and std is not None:
        return lambda x, out: draw(x, out, mean, std)

    def one(x: Array, out: Array, i: int) -> None:
        own = image_moments(x if where is None else chosen(x, where[i]), value_range)
        known = own.pixels > 0
        center = own.mean if mean is None or not known else mean
        draw(x, out, center, own.sd if std is None or not known else std)

    def run(x: Array, out: Array) -> None:
        x = one_type(x)
        if shape[0] == 1:
            one(x, out, 0)
        else:
            each_image(x, 0.5, lambda i: one(x[i : i + 1], out[i : i + 1], i))

    return run


def standardize(x: Array, out: Array, **params: Any) -> None:
    """See :func:`ctkernels.reference.standardize`."""
    bind(x.shape, x.dtype, out.dtype, **params)(x, out)
