"""CLAHE on the GPU with the results of ``cv2.createCLAHE``, for whole batches and without waiting for the device.

Two launches: tables of levels for each tile, then lookup, blend and cast. Before them one that finds the range an image
spans, where it is not known (int16 and floats without ``value_range``), and one that finds which bins occur in each
tile, where there are more than 4096: only those are written and read. Volumes: ``clahe_volume.py``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ctkernels.gpu._core import device
from ctkernels.gpu._core.geometry import Plan, c_type
from ctkernels.gpu._core.geometry_filters import ClahePlan, clahe_plan
from ctkernels.gpu._core.keys import key_dtype
from ctkernels.gpu._core.launch import launch
from ctkernels.gpu.clahe_volume import equalize_volumes, volume_bytes
from ctkernels.shared.clahe_tiles import Pair, clip_pixels, known_range, tile_axes


def _plan(
    shape: tuple[int, int, int], dtype: Any, grid: tuple[int, int], nbins: int, value_range: Pair | None
) -> ClahePlan:
    given = known_range(np.dtype(dtype), value_range) is not None
    return clahe_plan(shape, grid, nbins, dtype, given_range=given)


def workspace_bytes(
    shape: tuple[int, ...],
    dtype: Any,
    *,
    clip_limit: float,
    tile_grid: tuple[int, ...],
    nbins: int,
    value_range: Pair | None,
) -> int:
    """Scratch memory that a call takes: mostly tables, a level for each bin of each tile."""
    if len(tile_grid) == 3:
        return volume_bytes(shape, dtype, tile_grid, nbins, value_range)  # type: ignore[arg-type]
    plan = _plan((shape[0], shape[1], shape[2]), dtype, (tile_grid[0], tile_grid[1]), nbins, value_range)
    return sum(device.padded_bytes(size) for size in plan.scratch)


def clahe(
    x: device.DeviceArray,
    out: device.DeviceArray,
    *,
    clip_limit: float,
    tile_grid: tuple[int, ...],
    nbins: int,
    value_range: Pair | None,
    workspace: device.DeviceArray | None = None,
) -> None:
    """See :func:`ctkernels.reference.clahe`; ``workspace`` as ``workspace_bytes`` says."""
    device.check_image_arrays("clahe", x, out)
    if len(tile_grid) == 3:
        boxes = (tile_grid[0], tile_grid[1], tile_grid[2])
        equalize_volumes(x, out, clip_limit, boxes, nbins, value_range, workspace)
    else:
        equalized(x, out, clip_limit, (tile_grid[0], tile_grid[1]), nbins, value_range, workspace)


class Counted(NamedTuple):
    """What the last launch counts of a uint8 result besides."""

    bin_of: device.DeviceArray
    """int32, the histogram's bin of each of the 256 values, -1 for none."""
    counts: device.DeviceArray
    """int64, ``(N, bins)``, cleared."""


class _Call(NamedTuple):
    """What the launches of one call have in common, in the kernels' types."""

    plan: ClahePlan
    keys: device.DeviceArray
    """Partial ranges, as integer keys."""
    extents: device.DeviceArray
    tables: device.DeviceArray
    starts: device.DeviceArray
    """Where the blocks begin that blend the same four tables: rows, then columns."""
    size: tuple[Any, ...]
    tile: tuple[Any, ...]
    grid: tuple[Any, ...]
    bins: tuple[Any, ...]
    """``ctk_bin_setting``."""
    limit: Any
    """Most pixels that a bin of a tile keeps."""


def _prepared(
    x: device.DeviceArray,
    clip_limit: float,
    tile_grid: tuple[int, int],
    nbins: int,
    value_range: Pair | None,
    workspace: device.DeviceArray | None,
) -> _Call:
    _, height, width = x.shape
    plan = _plan(x.shape, x.dtype, tile_grid, nbins, value_range)
    rows, columns = tile_axes(height, width, tile_grid)
    scratch = device.Scratch(sum(device.padded_bytes(size) for size in plan.scratch), workspace)
    level = np.dtype(np.float32 if x.dtype.kind == "f" else f"uint{8 * x.dtype.itemsize}")
    keys = scratch.take(plan.scratch[0] // key_dtype(x.dtype).itemsize, key_dtype(x.dtype))
    low, high = known_range(x.dtype, value_range) or (0.0, 0.0)
    return _Call(
        plan=plan,
        keys=keys,
        extents=scratch.take(plan.scratch[1] // 2, np.uint16),
        tables=scratch.take(plan.scratch[2] // level.itemsize, level),
        starts=device.uploaded(
            ("clahe blocks", height, width, tile_grid),
            lambda: np.concatenate([rows.starts, columns.starts]).astype(np.int32),
        ),
        size=(np.int32(height), np.int32(width)),
        tile=(np.int32(rows.tile), np.int32(columns.tile)),
        grid=(np.int32(tile_grid[0]), np.int32(tile_grid[1])),
        bins=(keys, np.int32(plan.range_parts), np.int32(nbins), np.float64(low), np.float64(high)),
        limit=np.int32(clip_pixels(clip_limit, rows.tile * columns.tile, nbins)),
    )


def equalized(
    x: device.DeviceArray,
    out: device.DeviceArray,
    clip_limit: float,
    tile_grid: tuple[int, int],
    nbins: int,
    value_range: Pair | None,
    workspace: device.DeviceArray | None = None,
    counted: Counted | None = None,
) -> None:
    """The launches of :func:`clahe`, for so many images at a time that their tables stay within bounds."""
    call = _prepared(x, clip_limit, tile_grid, nbins, value_range, workspace)
    for first in range(0, x.shape[0], call.plan.images):
        part = slice(first, first + call.plan.images)
        _make_tables(call, x[part])
        _blend(call, x[part], out[part], counted and counted._replace(counts=counted.counts[part]))


def _make_tables(call: _Call, x: device.DeviceArray) -> None:
    def run(name: str, plan: Plan, *arguments: Any) -> None:
        launch("clahe", {"CTK_PIXEL": c_type(x.dtype)}, f"ctk_clahe_{name}", plan, arguments)

    images, plan = np.int64(x.shape[0]), call.plan
    if plan.range_parts:
        run("range", plan.find_range, x, call.keys, images, np.int64(x.shape[1] * x.shape[2]))
    if plan.extents is not None:
        run("extents", plan.extents, x, call.extents, images, *call.size, *call.tile, call.grid[1], *call.bins)
    tiling = (*call.size, *call.tile, *call.grid)
    wide = np.int32(plan.extents is not None)
    run("tables", plan.tables, x, call.extents, call.tables, images, *tiling, *call.bins, call.limit, wide)


def _blend(call: _Call, x: device.DeviceArray, out: device.DeviceArray, counted: Counted | None) -> None:
    plan = call.plan.blend
    steps = tuple(np.float32(1) / np.float32(n) for n in call.tile)
    wide, capacity = np.int32(call.plan.extents is not None), np.int32(call.plan.capacity)
    images = (x, out, call.extents, call.tables, call.starts, np.int64(x.shape[0]))
    arguments = (*images, *call.size, *call.grid, *steps, *call.bins, wide, capacity)
    unit, name, defines = "clahe", "ctk_clahe_blend", {"CTK_PIXEL": c_type(x.dtype)}
    if counted is not None:
        unit, name, defines = "clahe_histogram", "ctk_clahe_blend_count", {}
        arguments = (*arguments, counted.bin_of, counted.counts, np.int32(counted.counts.shape[1]))
    launch(unit, defines, name, plan, arguments)
