"""CLAHE of volumes on the CPU: tables of boxes, then each plane from both layers of boxes around it."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._clahe.band import PAD
from ctkernels.cpu._clahe.bins import OWN_BINS, binning, pixel_range
from ctkernels.cpu._clahe.boxes import box_ranges, box_tables, equalize_planes
from ctkernels.cpu._clahe.plan import Plan, plan
from ctkernels.cpu._clahe.tables import BANKS
from ctkernels.cpu._core.parallel import cutting, get_num_threads, run
from ctkernels.cpu._core.scratch import scratch
from ctkernels.cpu._core.spread import threads_pay
from ctkernels.shared.border import border_index
from ctkernels.shared.clahe_tiles import Axis, Pair, clip_pixels, plane_axis, tile_axes

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
    if x.dtype.kind == "u" and value_range is None and nbins == 256**x.itemsize:
        low, high, of_voxels, bins = 0, nbins - 1, OWN_BINS, x.dtype
    else:
        low, high = pixel_range(x, value_range)
        if low == high:
            out[...] = low
            return
        of_voxels, bins = binning(x.dtype, low, high, nbins), np.dtype(np.uint16)
    whole = out.dtype.kind != "f"
    span = int(high) - int(low) if whole else 1
    tables = _Tables(x, (of_voxels, bins), tile_grid, nbins, clip_limit, span, np.dtype("u2" if whole else "f4"))
    _each(tables.rows, x, tables.build)
    p, axis = tables.plan, tables.axis
    ends = (np.int32(low), np.int32(high)) if whole else (low, high)
    setting = (p.table, p.weights, nbins, *ends)

    def equalize(planes: tuple[int, int]) -> None:
        levels = scratch("clahe tables", 2 * tile_grid[2] * tables.room, np.float32)
        packed = scratch("clahe packed", 4 * tables.room, np.float32)
        equalize_planes(
            x, out.reshape(-1), planes, (axis.starts, axis.weights), tables.boxes, tables.spans, tables.ranges,
            of_voxels, setting, (tables.bins(), levels, packed),
        )  # fmt: skip

    _each(_cuts(x), x, equalize)


def _cuts(x: Array) -> list[tuple[int, int]]:
    """A plane a task, more where they are small."""
    depth = x.shape[0]
    planes = math.ceil(cutting.band_nanoseconds / (x[0].size * _NANOSECONDS)) if get_num_threads() > 1 else depth
    return [(z, min(z + planes, depth)) for z in range(0, depth, planes)]


def _each(tasks: Any, x: Array, body: Any) -> None:
    if threads_pay(x.size, _NANOSECONDS):
        run(tasks, body)
    else:
        for task in tasks:
            body(task)


@lru_cache(maxsize=16)
def _geometry(shape: tuple[int, ...], tile_grid: Grid) -> tuple[Plan, Axis, Array, Array, int]:
    """Of planes and of layers; the planes of each layer; numbers of a tile's rows; most voxels of a row of bins."""
    depth, height, width = shape
    image, axis = plan(height, width, tile_grid[1:]), plane_axis(depth, tile_grid[0])
    planes = border_index(depth, 0, axis.padding, "mirror").reshape(tile_grid[0], axis.tile)
    # Where rounding moves a centre to the next row, a row of blocks has one more than a row of tiles.
    starts = tile_axes(height, width, tile_grid[1:])[0].starts
    return image, axis, planes, np.arange(image.tile[0]), max(image.tile[0], int(np.diff(starts).max())) * width


class _Tables:
    """The tables of all boxes of a volume: ``boxes``, which bins they span, and what each plane needs of them."""

    def __init__(
        self, x: Array, binned: tuple[Any, np.dtype[Any]], tile_grid: Grid, nbins: int, clip_limit: float, span: int,
        level: np.dtype[Any],
    ) -> None:  # fmt: skip
        self.plan, self.axis, self._planes, self._order, self._row_voxels = _geometry(x.shape, tile_grid)
        self._x, (self._of_voxels, self._bins), self._nbins, self._span = x, binned, nbins, span
        voxels = self.axis.tile * math.prod(self.plan.tile)
        self._limit = clip_pixels(clip_limit, voxels, nbins)
        self.rows = [(k, j) for k in range(tile_grid[0]) for j in range(tile_grid[1])]
        if nbins <= _FEW_BINS:
            self.spans, self.ranges, longest = _all_bins(tile_grid, nbins)
        else:
            self.spans, self.ranges, longest = self._found(tile_grid)
        self.room = -(-longest // PAD) * PAD + PAD
        self.boxes = scratch("clahe boxes", math.prod(tile_grid) * self.room, level).reshape(*tile_grid, self.room)

    def bins(self) -> Array:
        """This thread's memory for the bins of a row of tiles, or of blocks."""
        return scratch("clahe rows", self._row_voxels, self._bins)

    def _found(self, tile_grid: Grid) -> tuple[Array, Array, int]:
        """Bins of each table, bins of a plane's tiles by the layers around it, the most bins of a table."""
        inside = np.empty((*tile_grid, 2), np.int64)

        def find(at: tuple[int, int]) -> None:
            k, j = at
            box_ranges(
                self._x, self._planes[k], j, self.plan.table, self._of_voxels, self._order, self.bins(), inside[k]
            )

        _each(self.rows, self._x, find)
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
        columns = self.plan.tiles[1]
        counters = scratch("clahe histograms", columns * BANKS * self.room, np.int32).reshape(columns, -1)
        counters.fill(0)
        setting = (self.plan.table, self.spans[k], self._nbins, self._limit, self._span)
        memory = (self.bins(), counters)
        box_tables(self._x, self._planes[k], j, setting, self._of_voxels, self._order, memory, self.boxes[k])


def _all_bins(tile_grid: Grid, nbins: int) -> tuple[Array, Array, int]:
    """As ``_Tables._found``, where every table has all bins: looking for those that occur would cost more."""
    layers, *rest = tile_grid
    spans, ranges = np.zeros((*tile_grid, 2), np.int64), np.zeros((layers + 1, 2, *rest, 2), np.int64)
    spans[..., 1] = ranges[..., 1] = nbins - 1
    return spans, ranges, nbins


def _with_neighbours(ranges: Array, reach: Grid) -> Array:
    """First and last bin of each box and its neighbours within ``reach``."""
    sides = tuple(2 * r + 1 for r in reach)
    wide = np.pad(ranges, (*((r, r) for r in reach), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(wide, sides, axis=(0, 1, 2))
    return np.stack([windows[..., 0, :, :, :].min((-3, -2, -1)), windows[..., 1, :, :, :].max((-3, -2, -1))], axis=-1)
