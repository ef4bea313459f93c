"""Percentiles of windows on the CPU: the rank filter, with the rank that a percentile is of a window's pixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.contract import rank_of, window_pixels
from ctkernels.cpu import rank_filter as ranks

Array = NDArray[Any]


def bind(
    shape: tuple[int, ...], image: np.dtype[Any], result: Any, *, percentile: float, **window: Any
) -> Callable[[Array, Array], None]:
    """``percentile_filter`` for images of this shape and dtype, with its parameters."""
    return ranks.bind(shape, image, result, rank=rank_of(percentile, window_pixels(window)), **window)


def percentile_filter(x: Array, out: Array, **params: Any) -> None:
    """A percentile of the window around each pixel, as :func:`ctkernels.reference.percentile_filter`."""
    bind(x.shape, x.dtype, out.dtype, **params)(x, out)
