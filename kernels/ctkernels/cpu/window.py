"""DICOM windowing, the modality rescale fused in: one pass over the pixels.

The rescale ``v = x * slope + intercept`` is folded into the window's line: ``unit`` is 0 at
``(low - intercept) / slope`` stored units and rises by 1 over ``(high - low) / slope`` of them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels import reference
from ctkernels.cpu._core.pointwise import Line, clipped_line, fits, line_kernel
from ctkernels.cpu._core.sigmoid import sigmoid_kernel
from ctkernels.cpu._core.spread import pointwise
from ctkernels.shared.lines import Pair, narrowed, voi_line


@lru_cache(maxsize=256)
def _plan(
    center: float,
    width: float,
    function: str,
    out_range: Pair | None,
    slope: float,
    intercept: float,
    dtype: np.dtype[Any],
) -> Line | None:
    """The line in stored units, or None where float32 cannot hold it (huge numbers, width 1, slope 0)."""
    low, span = voi_line(center, width, function)
    if slope == 0:
        return None
    ends = out_range or reference.default_out_range(dtype)
    zero = (low - intercept) / slope
    line = clipped_line(zero, narrowed(zero), span / slope, ends, dtype)
    return line if fits(line) else None


def window(
    x: NDArray[Any],
    out: NDArray[Any],
    *,
    center: float,
    width: float,
    function: str,
    out_range: Pair | None,
    slope: float,
    intercept: float,
) -> None:
    """See :func:`ctkernels.reference.window`."""
    line = _plan(center, width, function, out_range, slope, intercept, out.dtype)
    if line is None:
        reference.window(
            x, out, center=center, width=width, function=function, out_range=out_range, slope=slope, intercept=intercept
        )
        return
    pointwise(sigmoid_kernel(out) if function == "sigmoid" else line_kernel(out), x, out, *line)
