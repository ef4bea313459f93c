"""DICOM windowing, the modality rescale folded into the window's line: one pass over the pixels."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels import reference
from ctkernels.cpu._core.pointwise import line_kernel
from ctkernels.cpu._core.sigmoid import sigmoid_kernel
from ctkernels.cpu._core.spread import bound_pointwise
from ctkernels.shared.lines import Pair, window_line

Array = NDArray[Any]


def bind(
    shape: tuple[int, ...],
    image: np.dtype[Any],
    result: np.dtype[Any],
    *,
    center: float,
    width: float,
    function: str,
    out_range: Pair | None,
    slope: float,
    intercept: float,
) -> Callable[[Array, Array], None]:
    """``window`` for images of these dtypes, with its parameters."""
    line = window_line(center, width, function, out_range, slope, intercept, result)
    if line is None:
        return partial(
            reference.window,
            center=center,
            width=width,
            function=function,
            out_range=out_range,
            slope=slope,
            intercept=intercept,
        )
    return bound_pointwise(sigmoid_kernel(result) if function == "sigmoid" else line_kernel(result, prod(shape)), *line)


def window(x: Array, out: Array, **params: Any) -> None:
    """See :func:`ctkernels.reference.window`."""
    bind(x.shape, x.dtype, out.dtype, **params)(x, out)
