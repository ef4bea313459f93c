"""DICOM windowing, the modality rescale folded into the window's line: one pass over the pixels."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from ctkernels import reference
from ctkernels.cpu._core.pointwise import line_kernel
from ctkernels.cpu._core.sigmoid import sigmoid_kernel
from ctkernels.cpu._core.spread import pointwise
from ctkernels.shared.lines import Pair, window_line


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
    line = window_line(center, width, function, out_range, slope, intercept, out.dtype)
    if line is None:
        reference.window(
            x, out, center=center, width=width, function=function, out_range=out_range, slope=slope, intercept=intercept
        )
        return
    pointwise(sigmoid_kernel(out) if function == "sigmoid" else line_kernel(out), x, out, *line)
