"""CLAHE of volumes on the CPU: bins, tables of boxes, then each plane from both layers of boxes around it.

Bins lie in the memory of the result, where its voxels have at least two bytes, so that a volume needs no second one.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._clahe.band import PAD
from ctkernels.cpu._clahe.bins import bin_pixels, pixel_range
from ctkernels.cpu._clahe.boxes import box_ranges, box_tables, equalize_planes
from ctkernels.cpu._clahe.plan import plan
from ctkernels.cpu._clahe.tables import BANKS
from ctkernels.cpu._core.parallel import get_num_threads, run
from ctkernels.cpu._core.scratch import scratch
from ctkernels.cpu._core.spread import threads_pay
from ctkernels.shared.border import border_index
from ctkernels.shared.clahe_tiles import Pair, clip_pixels, plane_axis

Array = NDArray[Any]
Grid = tuple[int, int, int]
_FEW_BINS = 512
"""Up to here tables hold all bins."""
_NANOSECONDS = 2.5
"""Rough cost of a voxel on one thread."""


def equalize_volume(
    x: Array, out: Array, *, clip_limit: float, tile_grid: Grid, nbins: int, value_range: Pair | None
) -> None:
    """Equalise one volume, ``(D, H, W)``; see ``ctkernels.reference.clahe``."""
    size = x[0].size
    if x.dtype.kind == "u" and value_range is None and nbins == 256**x.itemsize:
        bins, step, low, high = x.reshape(-1), size, 0, nbins - 1
    else:
        low, high = pixel_range(x, value_range)
        if low == high:
            out[...] = low
            return
        room = out if out.itemsize > 1 else np.empty(out.shape, np.uint16)
        bins, step = room.reshape(-1).view(np.uint16), room[0].nbytes // 2

        def fill(planes: tuple[int, int]) -> None:
            for z in range(*planes):
                bin_pixels(x[z], bins[z * step : z * step + size], low, high, nbins)

        _each(_cuts(x), x, fill)
    whole = out.dtype.kind != "f"
    span = int(high) - int(low) if whole else 1
    tables = _Tables(bins, step, x.shape, tile_grid, nbins, clip_limit, span, np.dtype("u2" if whole else "f4"))
    _each(tables.rows, x, tables.build)
    p, axis = tables.plan, tables.axis
    ends = (np.int32(low), np.int32(high)) if whole else (low, high)
    setting = (p.table, p.weights, nbins, *ends)

    def equalize(planes: tuple[int, int]) -> None:
        own = scratch("clahe plane", size, bins.dtype)
        levels = scratch("clahe tables", 2 * tile_grid[2] * tables.room, np.float32)
        packed = scratch("clahe packed", 4 * tables.room, np.float32)
        equalize_planes(
            bins, out.reshape(-1), planes, step, (axis.starts, axis.weights), tables.boxes, tables.spans,
            tables.ranges, setting, (own, levels, packed),
        )  # fmt: skip

    _each(_cuts(x), x, equalize)


def _cuts(x: Array) -> list[tuple[int, int]]:
    """Some planes a task, so many that threads end together."""
    parts = min(x.shape[0], 8 * get_num_threads())
    return list(pairwise([x.shape[0] * k // parts for k in range(parts + 1)]))


def _each(tasks: Any, x: Array, body: Any) -> None:
    if threads_pay(x.size, _NANOSECONDS):
        run(tasks, body)
    else:
        for task in tasks:
            body(task)


class _Tables:
    """The tables of all boxes of a volume: ``boxes``, which bins they span, and what each plane needs of them."""

    def __init__(
        self, bins: Array, step: int, shape: tuple[int, ...], tile_grid: Grid, nbins: int, clip_limit: float,
        span: int, level: np.dtype[Any],
    ) -> None:  # fmt: skip
        depth, height, width = shape
        self.plan, self.axis = plan(height, width, tile_grid[1:]), plane_axis(depth, tile_grid[0])
        self._bins, self._step, self._nbins, self._span = bins, step // (height * width), nbins, span
        voxels = self.axis.tile * math.prod(self.plan.tile)
        self._limit = clip_pixels(clip_limit, voxels, nbins)
        shown = border_index(depth, 0, self.axis.padding, "mirror") * self._step
        self._planes = shown.reshape(tile_grid[0], self.axis.tile)
        self.rows = [(k, j) for k in range(tile_grid[0]) for j in range(tile_grid[1])]
        self.spans, self.ranges, longest = self._found(tile_grid)
        self.room = -(-longest // PAD) * PAD + PAD
        self.boxes = np.empty((*tile_grid, self.room), level)

    def _found(self, tile_grid: Grid) -> tuple[Array, Array, int]:
        """Bins of each table, bins of a plane's tiles by the layers around it, the most bins of a table."""
        inside = np.zeros((*tile_grid, 2), np.int64)
        inside[..., 1] = self._nbins - 1
        if self._nbins > _FEW_BINS:
            run(
                self.rows, lambda at: box_ranges(self._bins, self._planes[at[0]], at[1], self.plan.table, inside[at[0]])
            )
        spans = _with_neighbours(inside, (1, 1, 1))
        both = np.pad(inside, ((1, 1), (0, 0), (0, 0), (0, 0)), mode="edge")
        between = np.stack(
            [np.minimum(both[:-1, ..., 0], both[1:, ..., 0]), np.maximum(both[:-1, ..., 1], both[1:, ..., 1])], -1
        )
        ranges = np.stack([between, _with_neighbours(between, (0, 1, 1))], axis=1)
        return spans, ranges, int((spans[..., 1] - spans[..., 0]).max()) + 1

    def build(self, at: tuple[int, int]) -> None:
        """The tables of row ``at[1]`` of the boxes of layer ``at[0]``."""
        k, j = at
        hist = scratch("clahe histogram", BANKS * self.room, np.int32)
        hist.fill(0)
        setting = (self.plan.table, self.spans[k], self._nbins, self._limit, self._span)
        box_tables(self._bins, self._planes[k], j, setting, hist, self.boxes[k])


def _with_neighbours(ranges: Array, reach: Grid) -> Array:
    """First and last bin of each box and its neighbours within ``reach``."""
    sides = tuple(2 * r + 1 for r in reach)
    wide = np.pad(ranges, (*((r, r) for r in reach), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(wide, sides, axis=(0, 1, 2))
    return np.stack([windows[..., 0, :, :, :].min((-3, -2, -1)), windows[..., 1, :, :, :].max((-3, -2, -1))], axis=-1)
