"""Each image's range to the output range on the GPU; the range never visits the host."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ctkernels.gpu._core import device, geometry
from ctkernels.gpu._core.keys import key_dtype
from ctkernels.gpu._core.launch import launch
from ctkernels.gpu._core.masked import counted
from ctkernels.gpu._core.select import select, select_bytes
from ctkernels.reference import default_out_range
from ctkernels.shared.keys import key_bounds
from ctkernels.shared.lines import ENDLESS, Pair, clip_ends

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


class _Range(NamedTuple):
    """Where ``ctk_normalize_range`` finds an image's range; what a kind has no use for is any array."""

    kind: int
    low: float
    high: float
    table: device.DeviceArray
    """Extreme keys of the parts of each image."""
    parts: int
    quantiles: device.DeviceArray
    """Two of each image."""


def _range(
    x: device.DeviceArray,
    in_range: Pair | None,
    percentiles: Pair | None,
    value_range: Pair | None,
    scratch: device.Scratch,
    unused: device.DeviceArray,
) -> _Range:
    images, pixels = x.shape[0], x.shape[1] * x.shape[2]
    nothing = unused.view(np.int64)
    if in_range is not None:
        return _Range(_GIVEN, *in_range, nothing, 0, unused)
    if percentiles is not None:
        quantiles = scratch.take(images * 2, np.float64)
        select("normalize", x, value_range, percentiles, quantiles, 2, scratch)
        return _Range(_PERCENTILES, 0.0, 0.0, nothing, 0, quantiles)
    plan = _extent_plan(x.shape)
    table = scratch.take(images * plan.grid[0] * 2, np.int64)
    bounds = (key_dtype(x.dtype).type(k) for k in key_bounds(x.dtype, value_range))
    arguments = (x, np.int64(pixels), np.int32(images), *bounds, table)
    defines = {"CTK_IN": geometry.c_type(x.dtype)}
    launch("normalize", defines, "ctk_normalize_extent", plan, arguments)
    return _Range(_EXTREMES, 0.0, 0.0, table, plan.grid[0], unused)


def normalize(
    x: device.DeviceArray,
    out: device.DeviceArray,
    *,
    in_range: Pair | None,
    percentiles: Pair | None,
    value_range: Pair | None,
    out_range: Pair | None,
    clip: bool = True,
    where: device.DeviceArray | None = None,
    workspace: device.DeviceArray | None = None,
) -> None:
    """See :func:`ctkernels.reference.normalize`."""
    device.check_image_arrays("normalize", x, out)
    needed = workspace_bytes(x.shape, x.dtype, in_range=in_range, percentiles=percentiles)
    scratch = device.Scratch(needed, workspace)
    images, pixels = np.int32(x.shape[0]), np.int64(x.shape[1] * x.shape[2])
    parameters = scratch.take(x.shape[0] * geometry.RANGE_WORDS, np.float64)
    seen = x if in_range is not None else counted("normalize", x, where)
    origin = _range(seen, in_range, percentiles, value_range, scratch, parameters)
    ends = out_range or default_out_range(out.dtype)
    source = (np.int32(origin.kind), np.float64(origin.low), np.float64(origin.high))
    tables = (origin.table, np.int32(origin.parts), origin.quantiles, images)
    line = (np.float64(ends[0]), np.float64(ends[1] - ends[0]), parameters)
    plan = geometry.warp_plan(x.shape[0])
    launch("normalize", {"CTK_IN": geometry.c_type(seen.dtype)}, "ctk_normalize_range", plan, (*source, *tables, *line))
    with np.errstate(over="ignore"):
        limits = tuple(np.float32(end) for end in clip_ends(ends if clip else ENDLESS, out.dtype))
    plan = geometry.map_plan(geometry.lanes(x.dtype, out.dtype), 4, int(pixels), x.shape[0])
    numbers = (np.float64(ends[0]), np.float64(ends[1]), *limits, np.int32(clip))
    arguments = (x, out, pixels, images, parameters, *numbers)
    launch("normalize", {"CTK_IN": geometry.c_type(x.dtype)}, f"ctk_normalize_map_{out.dtype}", plan, arguments)
