"""Each image's range to the output range on the GPU; the range never visits the host."""

from __future__ import annotations

from typing import Any

import numpy as np

from ctkernels.gpu._core import device, geometry
from ctkernels.gpu._core.keys import key_dtype
from ctkernels.gpu._core.launch import launch
from ctkernels.gpu._core.select import select, select_bytes
from ctkernels.reference import default_out_range
from ctkernels.shared.keys import key_bounds
from ctkernels.shared.lines import Pair, clip_ends

_GIVEN, _EXTREMES, _PERCENTILES = 0, 1, 2
_MOST_PARTS = 64
_LEAST_PIXELS = 8192


def _extent_plan(shape: tuple[int, int, int]) -> geometry.Plan:
    processors = device.device_limits().processors
    return geometry.part_plan(shape[1] * shape[2], shape[0], processors, _LEAST_PIXELS, _MOST_PARTS)


def workspace_bytes(
    shape: tuple[int, int, int],
    dtype: np.dtype[Any],
    *,
    in_range: Pair | None = None,
    percentiles: Pair | None = None,
    **_: Any,
) -> int:
    """Scratch that one call takes on the current device."""
    own = device.padded_bytes(shape[0] * geometry.RANGE_WORDS * 8)
    if in_range is not None:
        return own
    if percentiles is not None:
        return own + device.padded_bytes(shape[0] * 2 * 8) + select_bytes(shape[0], 2)
    return own + device.padded_bytes(shape[0] * _extent_plan(shape).grid[0] * 2 * 8)


def normalize(
    x: device.DeviceArray,
    out: device.DeviceArray,
    *,
    in_range: Pair | None,
    percentiles: Pair | None,
    value_range: Pair | None,
    out_range: Pair | None,
    workspace: device.DeviceArray | None = None,
) -> None:
    """See :func:`ctkernels.reference.normalize`."""
    device.check_image_arrays("normalize", x, out)
    needed = workspace_bytes(x.shape, x.dtype, in_range=in_range, percentiles=percentiles)
    scratch = device.Scratch(needed, workspace)
    images, pixels = x.shape[0], x.shape[1] * x.shape[2]
    defines = {"CTK_IN": geometry.c_type(x.dtype)}
    parameters = scratch.take(images * geometry.RANGE_WORDS, np.float64)
    kind, given, parts = _GIVEN, in_range or (0.0, 0.0), 0
    table, quantiles = parameters.view(np.int64), parameters  # read by none of the other kinds
    if in_range is None and percentiles is not None:
        kind = _PERCENTILES
        quantiles = scratch.take(images * 2, np.float64)
        select("normalize", x, value_range, percentiles, quantiles, 2, scratch)
    elif in_range is None:
        kind = _EXTREMES
        plan = _extent_plan(x.shape)
        parts = plan.grid[0]
        table = scratch.take(images * parts * 2, np.int64)
        bounds = (key_dtype(x.dtype).type(k) for k in key_bounds(x.dtype, value_range))
        arguments = (x, np.int64(pixels), np.int32(images), *bounds, table)
        launch("normalize", defines, "ctk_normalize_extent", plan.grid, plan.block, arguments)
    ends = out_range or default_out_range(out.dtype)
    lowest, highest = clip_ends(ends, out.dtype)
    plan = geometry.warp_plan(images)
    low, high = (np.float64(v) for v in given)
    lines = (np.float64(ends[0]), np.float64(ends[1] - ends[0]), parameters)
    arguments = (np.int32(kind), low, high, table, np.int32(parts), quantiles, np.int32(images), *lines)
    launch("normalize", defines, "ctk_normalize_range", plan.grid, plan.block, arguments)
    plan = geometry.map_plan(geometry.lanes(x.dtype, out.dtype), 4, pixels, images)
    with np.errstate(over="ignore"):
        limits = (np.float64(ends[0]), np.float64(ends[1]), np.float32(lowest), np.float32(highest))
    arguments = (x, out, np.int64(pixels), np.int32(images), parameters, *limits)
    launch("normalize", defines, f"ctk_normalize_map_{out.dtype}", plan.grid, plan.block, arguments)
