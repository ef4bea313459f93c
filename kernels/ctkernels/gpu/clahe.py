"""CLAHE on the GPU with the results of ``cv2.createCLAHE``, for whole batches and without waiting for the device.

Two launches: tables of levels for each tile, then lookup, blend and cast. Before them one that finds the range an image
spans, where it is not known (int16 and floats without ``value_range``), and one that finds which bins occur in each
tile, where there are more than 4096: only those are written and read.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ctkernels.gpu._core import device
from ctkernels.gpu._core.geometry import Plan, c_type
from ctkernels.gpu._core.geometry_filters import ClahePlan, clahe_plan
from ctkernels.gpu._core.launch import launch
from ctkernels.shared.clahe_tiles import Pair, clip_pixels, known_range, tile_axes


def _plan(
    shape: tuple[int, int, int], dtype: Any, grid: tuple[int, int], nbins: int, value_range: Pair | None
) -> ClahePlan:
    given = known_range(np.dtype(dtype), value_range) is not None
    return clahe_plan(shape, grid, nbins, dtype, given_range=given)


def workspace_bytes(
    shape: tuple[int, int, int],
    dtype: Any,
    *,
    clip_limit: float,
    tile_grid: tuple[int, int],
    nbins: int,
    value_range: Pair | None,
) -> int:
    """Scratch memory that a call takes: mostly tables, a level for each bin of each tile."""
    return sum(device.padded_bytes(size) for size in _plan(shape, dtype, tile_grid, nbins, value_range).scratch)


def clahe(
    x: device.DeviceArray,
    out: device.DeviceArray,
    *,
    clip_limit: float,
    tile_grid: tuple[int, int],
    nbins: int,
    value_range: Pair | None,
    workspace: device.DeviceArray | None = None,
) -> None:
    """See :func:`ctkernels.reference.clahe`; ``workspace`` as ``workspace_bytes`` says."""
    device.check_image_arrays("clahe", x, out)
    equalized(x, out, clip_limit, tile_grid, nbins, value_range, workspace)


class Counted(NamedTuple):
    """What the last launch counts of a uint8 result besides."""

    bin_of: device.DeviceArray
    """int32, the histogram's bin of each of the 256 values, -1 for none."""
    counts: device.DeviceArray
    """int64, ``(N, bins)``, cleared."""


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
    """The launches of :func:`clahe`."""
    images, height, width = x.shape
    plan = _plan(x.shape, x.dtype, tile_grid, nbins, value_range)
    rows, columns = tile_axes(height, width, tile_grid)
    starts = device.uploaded(
        ("clahe blocks", height, width, tile_grid),
        lambda: np.concatenate([rows.starts, columns.starts]).astype(np.int32),
    )
    scratch = device.Scratch(sum(device.padded_bytes(size) for size in plan.scratch), workspace)
    key = np.dtype(np.int64 if x.dtype == np.float64 else np.int32)
    level = np.dtype(np.float32 if x.dtype.kind == "f" else f"uint{8 * x.dtype.itemsize}")
    keys = scratch.take(plan.scratch[0] // key.itemsize, key)
    extents = scratch.take(plan.scratch[1] // 2, np.uint16)
    tables = scratch.take(plan.scratch[2] // level.itemsize, level)

    def run(name: str, geometry: Plan, args: tuple[Any, ...]) -> None:
        defines = {"CTK_PIXEL": c_type(x.dtype)}
        launch("clahe", defines, f"ctk_clahe_{name}", geometry.grid, geometry.block, args, geometry.shared_bytes)

    low, high = known_range(x.dtype, value_range) or (0.0, 0.0)
    bins = (keys, np.int32(plan.range_parts), np.int32(nbins), np.float64(low), np.float64(high))
    size = (np.int32(height), np.int32(width))
    tile = (np.int32(rows.tile), np.int32(columns.tile))
    grid = (np.int32(tile_grid[0]), np.int32(tile_grid[1]))
    wide = np.int32(plan.extents is not None)
    limit = np.int32(clip_pixels(clip_limit, rows.tile * columns.tile, nbins))
    steps = tuple(np.float32(1) / np.float32(n) for n in tile)
    for first in range(0, images, plan.images):
        part, result = x[first : first + plan.images], out[first : first + plan.images]
        number = np.int64(part.shape[0])
        if plan.range_parts:
            run("range", plan.find_range, (part, keys, number, np.int64(height * width)))
        if plan.extents is not None:
            run("extents", plan.extents, (part, extents, number, *size, *tile, grid[1], *bins))
        run("tables", plan.tables, (part, extents, tables, number, *size, *tile, *grid, *bins, limit, wide))
        args = (
            part,
            result,
            extents,
            tables,
            starts,
            number,
            *size,
            *grid,
            *steps,
            *bins,
            wide,
            np.int32(plan.capacity),
        )
        if counted is None:
            run("blend", plan.blend, args)
        else:
            counts = counted.counts[first : first + plan.images]
            args = (*args, counted.bin_of, counts, np.int32(counts.shape[1]))
            geometry = plan.blend
            name = "ctk_clahe_blend_count"
            launch("clahe_histogram", {}, name, geometry.grid, geometry.block, args, geometry.shared_bytes)
