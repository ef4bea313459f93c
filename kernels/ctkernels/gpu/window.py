"""DICOM windowing on the GPU: one launch, the modality rescale folded in."""

from __future__ import annotations

from typing import Any

import numpy as np

from ctkernels.gpu._core import device, geometry
from ctkernels.gpu._core.launch import launch
from ctkernels.reference import default_out_range
from ctkernels.shared.lines import Line, Pair, float32_line, voi_ends, window_line


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
    line = window_line(center, width, function, out_range, slope, intercept, out.dtype)
    if line is None:
        kind, unroll = "exact", 1
        args = _exact_arguments(center, width, function, slope, intercept, ends)
    elif function == "sigmoid":
        kind, unroll = "sigmoid", 2
        clip = (-np.inf, np.inf) if out.dtype.kind == "f" else (line.floor, line.ceiling)  # of floats: it stays inside
        args = _numbers(line._replace(low=0.0, rise=1.0), line.low, line.rise, *clip)
    else:
        kind, unroll = "line", 4
        args = line_numbers(line)
    plan = geometry.map_plan(geometry.lanes(x.dtype, out.dtype), unroll, x.size)
    arguments = (x, out, np.int64(x.size), *args)
    launch("window", {"CTK_IN": geometry.c_type(x.dtype)}, f"ctk_window_{kind}_{out.dtype}", plan, arguments)


def line_numbers(line: Line) -> tuple[Any, ...]:
    """A straight window's line as kernels take it: base, scale, offset, lowest, highest."""
    return _numbers(line, line.floor, line.ceiling)


def _numbers(line: Line, *others: float) -> tuple[Any, ...]:
    scale, offset = float32_line(line.zero, line.base, line.span, line.low, line.rise)
    with np.errstate(over="ignore"):
        return (np.float64(line.base), *(np.float32(v) for v in (scale, offset, *others)))


def _exact_arguments(
    center: float, width: float, function: str, slope: float, intercept: float, ends: Pair
) -> tuple[Any, ...]:
    sigmoid = function == "sigmoid"
    a, b = (center, width) if sigmoid else voi_ends(center, width, function)
    return (np.int32(sigmoid), *(np.float64(v) for v in (a, b, slope, intercept, *ends)))
