"""DICOM windowing on the GPU: one launch, the modality rescale folded in."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ctkernels.gpu._core import device, geometry
from ctkernels.gpu._core.launch import launch
from ctkernels.gpu._core.line import FloatLine, float32_line
from ctkernels.reference import default_out_range
from ctkernels.shared.lines import Pair, clip_ends, fits_float32, narrowed, voi_line


@lru_cache(maxsize=256)
def _line(center: float, width: float, function: str, ends: Pair, slope: float, intercept: float) -> FloatLine | None:
    """The line in stored units, or None where float32 cannot hold it (huge numbers, width 1, slope 0)."""
    low, span = voi_line(center, width, function)
    if slope == 0:
        return None
    zero = (low - intercept) / slope
    rise = ends[1] - ends[0]
    if not fits_float32(zero, span / slope, ends[0], rise):
        return None
    if function == "sigmoid":
        return float32_line(zero, narrowed(zero), span / slope, 0.0, 1.0)
    return float32_line(zero, narrowed(zero), span / slope, ends[0], rise)


def window(
    x: device.DeviceArray,
    out: device.DeviceArray,
    *,
    center: float,
    width: float,
    function: str,
    out_range: Pair | None,
    slope: float,
    intercept: float,
    workspace: device.DeviceArray | None = None,
) -> None:
    """See :func:`ctkernels.reference.window`. Needs no workspace."""
    device.check_image_arrays("window", x, out)
    ends = out_range or default_out_range(out.dtype)
    line = _line(center, width, function, ends, slope, intercept)
    lowest, highest = clip_ends(ends, out.dtype)
    if line is None:
        kind, unroll = "exact", 1
        args = _exact_arguments(center, width, function, slope, intercept, ends)
    elif function == "sigmoid":
        kind, unroll = "sigmoid", 2
        if out.dtype.kind == "f":  # the sigmoid itself stays inside
            lowest, highest = -np.inf, np.inf
        args = _numbers(line, ends[0], ends[1] - ends[0], lowest, highest)
    else:
        kind, unroll = "line", 4
        args = _numbers(line, lowest, highest)
    plan = geometry.map_plan(geometry.lanes(x.dtype, out.dtype), unroll, x.size)
    launch(
        "window",
        {"CTK_IN": geometry.c_type(x.dtype)},
        f"ctk_window_{kind}_{out.dtype}",
        plan.grid,
        plan.block,
        (x, out, np.int64(x.size), *args),
    )


def _numbers(line: FloatLine, *others: float) -> tuple[Any, ...]:
    with np.errstate(over="ignore"):
        return (np.float64(line.base), *(np.float32(v) for v in (line.scale, line.offset, *others)))


def _exact_arguments(
    center: float, width: float, function: str, slope: float, intercept: float, ends: Pair
) -> tuple[Any, ...]:
    if function == "sigmoid":
        a, b = center, width
    elif function == "linear":
        a = center - 0.5 - (width - 1) / 2
        b = a + (width - 1)
    else:
        a, b = center - width / 2, center + width / 2
    return (np.int32(function == "sigmoid"), *(np.float64(v) for v in (a, b, slope, intercept, *ends)))
