"""CLAHE of volumes for a user's own compiled code (see ``within_jit``): ``_clahe.volume``, compiled."""

from __future__ import annotations

import numpy as np
from numba.core import types
from numba.extending import overload

from ctkernels.cpu._clahe.band import PAD
from ctkernels.cpu._clahe.boxes import box_ranges, box_tables, equalize_planes
from ctkernels.cpu._clahe.tables import BANKS
from ctkernels.cpu._core.jit import jit
from ctkernels.cpu.clahe import FEW_BINS
from ctkernels.cpu.within_jit import border_table
from ctkernels.cpu.within_jit_clahe import MIRROR, axis_of, clip_pixels, ends_of, plan
from ctkernels.cpu.within_jit_statistics import extent


def binning_of(image, low, high, nbins):
    """``_clahe.bins.binning``; compiled code runs the overload."""
    raise NotImplementedError("compiled code only")


@overload(binning_of)
def _binning_of(image, low, high, nbins):
    if isinstance(image.dtype, types.Integer):
        return lambda image, low, high, nbins: (np.int64(low), np.int64(high), None, nbins)

    def floats(image, low, high, nbins):
        number = image.dtype.type
        half = number(0.5)
        first, last = number(low), number(high)
        return first, last, number(number(nbins) / (last * half - first * half)), number(nbins - 1)

    return floats


@jit
def _neighbours(inside, layers_back, layers_on, reach, spans):
    """First and last bin of each box of ``inside`` and of its neighbours, to ``spans``.

    Layer ``k`` of ``spans`` sees layers ``k - layers_back .. k + layers_on``, and ``reach`` rows and columns around.
    """
    layers, rows, columns = inside.shape[0], inside.shape[1], inside.shape[2]
    for k in range(spans.shape[0]):
        for j in range(rows):
            for c in range(columns):
                low, high = inside[min(k, layers - 1), j, c, 0], inside[min(k, layers - 1), j, c, 1]
                for z in range(max(k - layers_back, 0), min(k + layers_on, layers - 1) + 1):
                    for y in range(max(j - reach, 0), min(j + reach, rows - 1) + 1):
                        for x in range(max(c - reach, 0), min(c + reach, columns - 1) + 1):
                            low, high = min(low, inside[z, y, x, 0]), max(high, inside[z, y, x, 1])
                spans[k, j, c, 0], spans[k, j, c, 1] = low, high


@jit
def _ranges(x, planes, table, binning, order, own, few, nbins, layers):
    """``_Tables.spans`` and ``ranges``: which bins each table spans, and those of the planes between two layers."""
    rows, columns = table[4], table[5]
    spans = np.zeros((layers, rows, columns, 2), np.int64)
    ranges = np.zeros((layers + 1, 2, rows, columns, 2), np.int64)
    if few:
        spans[:, :, :, 1] = nbins - 1
        ranges[:, :, :, :, 1] = nbins - 1
        return spans, ranges, nbins
    inside = np.empty((layers, rows, columns, 2), np.int64)
    for k in range(layers):
        for j in range(rows):
            box_ranges(x, planes[k], j, table, binning, order, own, inside[k])
    _neighbours(inside, 1, 1, 1, spans)
    between = np.empty((layers + 1, rows, columns, 2), np.int64)
    _neighbours(inside, 1, 0, 0, between)
    around = np.empty((layers + 1, rows, columns, 2), np.int64)
    _neighbours(between, 0, 0, 1, around)
    for k in range(layers + 1):  # in loops: written as slices, they take Numba seconds more to compile
        for j in range(rows):
            for c in range(columns):
                for end in range(2):
                    ranges[k, 0, j, c, end] = between[k, j, c, end]
                    ranges[k, 1, j, c, end] = around[k, j, c, end]
    longest = np.int64(0)
    for k in range(layers):
        for j in range(rows):
            for c in range(columns):
                longest = max(longest, spans[k, j, c, 1] - spans[k, j, c, 0] + 1)
    return spans, ranges, longest


@jit
def _equalize_volume(x, out, grid, clip_limit, nbins, low, high, binning, bins, level):
    """One volume ``(D, H, W)``, ``out`` flat; ``bins``, ``level``: arrays of the types of bins and of tables."""
    layers, rows, columns = grid
    depth, height, width = x.shape
    table, plane_weights = plan(height, width, rows, columns)
    padding = -depth % layers
    starts, weights = np.empty(layers + 2, np.int64), np.empty(depth, np.float32)
    axis_of(depth, padding, layers, starts, weights)
    planes = border_table(depth, padding, MIRROR)[padding:].reshape((layers, -1))
    # Where rounding moves a centre to the next row, a row of blocks has one more than a row of tiles.
    blocks = table[table.size - columns - rows - 4 : table.size - columns - 2]
    tall = table[2]
    for k in range(rows + 1):
        tall = max(tall, blocks[k + 1] - blocks[k])
    own, order = np.empty(tall * width, bins.dtype), np.arange(table[2])
    spans, ranges, longest = _ranges(x, planes, table, binning, order, own, nbins <= FEW_BINS, nbins, layers)
    room = -(-longest // PAD) * PAD + PAD
    boxes = np.empty((layers, rows, columns, room), level.dtype)
    counters = np.zeros((columns, BANKS * room), np.int32)
    limit = clip_pixels(clip_limit, planes.shape[1] * table[2] * table[3], nbins)
    first, last, span = ends_of(low, high, out)
    for k in range(layers):
        for j in range(rows):
            setting = (table, spans[k], nbins, limit, span)
            box_tables(x, planes[k], j, setting, binning, order, (own, counters), boxes[k])
    memory = (own, np.empty(2 * columns * room, np.float32), np.empty(4 * room, np.float32))
    setting_of_planes = (table, plane_weights, nbins, first, last)
    equalize_planes(
        x, out, (0, depth), (starts, weights), boxes, spans, ranges, binning, setting_of_planes, memory
    )  # fmt: skip


@jit
def clahe_volumes(x, out, grid, clip_limit, nbins, low, high, level):
    """``clahe`` of volumes ``(N, D, H, W)``; a range whose low end is NaN is each volume's own."""
    bins = np.empty(0, np.uint16)
    for i in range(len(x)):
        first, last = low, high
        if np.isnan(low):
            first, last, there = extent(x[i].reshape(-1), -np.inf, np.inf)
            if not there:
                first, last = 0.0, 0.0
        if first == last:
            out[i] = first
            continue
        binning = binning_of(x, first, last, nbins)
        _equalize_volume(x[i], out[i].reshape(-1), grid, clip_limit, nbins, first, last, binning, bins, level)


@jit
def clahe_volumes_own_bins(x, out, grid, clip_limit, nbins, level):
    """The same for unsigned volumes that are their own bins."""
    for i in range(len(x)):
        binning = (None, None, None, None)
        _equalize_volume(x[i], out[i].reshape(-1), grid, clip_limit, nbins, 0.0, nbins - 1.0, binning, x, level)
