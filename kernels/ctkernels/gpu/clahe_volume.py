"""CLAHE of volumes: tables of boxes, then each plane from both layers of boxes around it, without a table of its own in
memory. The range that a volume spans is found by the kernel for images.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ctkernels.gpu._core import device
from ctkernels.gpu._core.geometry import Plan, c_type
from ctkernels.gpu._core.geometry_volumes import ClaheVolumePlan, Size, Volumes, clahe_volume_plan
from ctkernels.gpu._core.keys import key_dtype
from ctkernels.gpu._core.launch import launch
from ctkernels.shared.clahe_tiles import Pair, clip_pixels, known_range, plane_axis, tile_axes


def _plan(shape: Volumes, dtype: Any, grid: Size, nbins: int, value_range: Pair | None) -> ClaheVolumePlan:
    given = known_range(np.dtype(dtype), value_range) is not None
    return clahe_volume_plan(shape, grid, nbins, dtype, given_range=given)


def volume_bytes(shape: Volumes, dtype: Any, grid: Size, nbins: int, value_range: Pair | None) -> int:
    """Scratch memory of a call: mostly tables, a level for each bin of each box."""
    return sum(device.padded_bytes(size) for size in _plan(shape, dtype, grid, nbins, value_range).scratch)


def equalize_volumes(
    x: device.DeviceArray,
    out: device.DeviceArray,
    clip_limit: float,
    grid: Size,
    nbins: int,
    value_range: Pair | None,
    workspace: device.DeviceArray | None,
) -> None:
    """The launches for volumes ``(N, D, H, W)``, for so many at a time that their tables stay within bounds."""
    depth, height, width = x.shape[1:]
    plan = _plan(x.shape, x.dtype, grid, nbins, value_range)
    planes, (rows, columns) = plane_axis(depth, grid[0]), tile_axes(height, width, (grid[1], grid[2]))
    axes = (planes, rows, columns)
    scratch = device.Scratch(volume_bytes(x.shape, x.dtype, grid, nbins, value_range), workspace)
    level = np.dtype(np.float32 if x.dtype.kind == "f" else f"uint{8 * x.dtype.itemsize}")
    key = key_dtype(x.dtype)
    keys = scratch.take(plan.scratch[0] // key.itemsize, key)
    extents = scratch.take(plan.scratch[1] // 2, np.uint16)
    tables = scratch.take(plan.scratch[2] // level.itemsize, level)
    starts = device.uploaded(
        ("clahe blocks", height, width, grid[1:]),
        lambda: np.concatenate([rows.starts, columns.starts]).astype(np.int32),
    )
    low, high = known_range(x.dtype, value_range) or (0.0, 0.0)
    bins = (keys, np.int32(plan.range_parts), np.int32(nbins), np.float64(low), np.float64(high))
    sides = tuple(map(np.int32, x.shape[1:]))
    tiling = (*sides, *(np.int32(axis.tile) for axis in axes), *map(np.int32, grid))
    limit = np.int32(clip_pixels(clip_limit, planes.tile * rows.tile * columns.tile, nbins))
    wide = np.int32(plan.extents is not None)
    steps = tuple(np.float32(1) / np.float32(axis.tile) for axis in axes)

    def run(name: str, shape: Plan, *arguments: Any, unit: str = "clahe_volume") -> None:
        launch(unit, {"CTK_PIXEL": c_type(x.dtype)}, f"ctk_clahe_{name}", shape, arguments)

    for first in range(0, x.shape[0], plan.volumes):
        part, result = x[first : first + plan.volumes], out[first : first + plan.volumes]
        volumes = np.int64(part.shape[0])
        if plan.range_parts:
            run("range", plan.find_range, part, keys, volumes, np.int64(depth * height * width), unit="clahe")
        if plan.extents is not None:
            run("box_extents", plan.extents, part, extents, volumes, *tiling, *bins)
        run("box_tables", plan.tables, part, extents, tables, volumes, *tiling, *bins, limit, wide)
        pictures = (part, result, extents, tables, starts, np.int64(part.shape[0] * depth))
        blocks = (*sides, *map(np.int32, grid), *steps)
        run("blend_planes", plan.blend, *pictures, *blocks, *bins, wide, np.int32(plan.capacity))
