"""Box-plot statistics of each image, exact: from the counts of whole numbers, by selection for other floats."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._core.chosen import chosen
from ctkernels.cpu._core.jit import jit, one_type
from ctkernels.cpu._core.moments import image_moments, moments_of_sums
from ctkernels.cpu._core.spread import each_image
from ctkernels.cpu._histogram.values import value_counts
from ctkernels.cpu._select.floats import percentiles_of_floats
from ctkernels.cpu._select.percentiles import percentiles_of_counts
from ctkernels.cpu._select.ranges import extremes


@jit
def count_sums(counts):
    """Count, sum and sum of squares of the indices into ``counts``, and the first and last that occur."""
    count = np.int64(0)
    total = np.int64(0)
    squares = np.int64(0)
    first = np.int64(-1)
    last = np.int64(-1)
    for v in range(counts.size):
        c = np.int64(counts[v])
        count += c
        total += c * v
        squares += c * v * v
        if c:
            last = np.int64(v)
            if first < 0:
                first = np.int64(v)
    return count, total, squares, first, last


def summary_of_counts(counts: NDArray[Any], zero: int, percentiles: tuple[float, ...]) -> list[float]:
    """The summary of an image of which ``counts[v]`` pixels have the value ``zero + v``."""
    count, total, squares, first, last = count_sums(counts)
    moments = moments_of_sums(count, total, squares)
    mean = (total + zero * count) / count
    _, values = percentiles_of_counts(counts, zero, percentiles)
    return [count, mean, moments.sd, first + zero, last + zero, *values]


def _summarize(image: NDArray[Any], percentiles: tuple[float, ...]) -> list[float]:
    coded = value_counts(image) if image.size else None
    if coded is not None:
        return summary_of_counts(*coded, percentiles)
    extent = extremes(image, None)
    if extent is None:
        return [0.0] + [math.nan] * (4 + len(percentiles))
    moments = image_moments(image, None)
    _, values = percentiles_of_floats(image, *extent, percentiles)
    return [moments.pixels, moments.mean, moments.sd, *extent, *values]


def summary(
    x: NDArray[Any], out: NDArray[Any], *, percentiles: tuple[float, ...], where: NDArray[Any] | None = None
) -> None:
    """See :func:`ctkernels.reference.summary`."""
    x = one_type(x)

    def body(i: int) -> None:
        image = x[i : i + 1]
        out[i] = _summarize(image if where is None else chosen(image, where[i]), percentiles)

    each_image(x, 1.0, body)
