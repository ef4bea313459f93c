"""CLAHE of volumes: tables of boxes, counted through planes; each plane blended as an image from tables of its own.

A plane lies between the centres of two layers of boxes. Its tables are theirs, blended by the plane's place, which
costs a pass over tables instead of one over voxels: the blend of images then does the rest.

Voxels become bins twice, a row of tiles or blocks at a time, which stays in cache. Bins of the whole volume would be
fetched from memory in tiles, by rows too short for the processor to ask for the next one: that took longer than all
else together.
"""

from __future__ import annotations

import numpy as np

from ctkernels.cpu._clahe.band import blend_row, block_start, count_rows, padded, redistribute, rows_range
from ctkernels.cpu._clahe.bins import bin_part
from ctkernels.cpu._clahe.plan import SOURCES
from ctkernels.cpu._clahe.tables import BANKS, accumulate, merge_and_clip
from ctkernels.cpu._core.jit import jit


@jit
def _bin_tiles(x, z, j, plan, binning, own):
    """Bins of tile row ``j`` of plane ``z``, with its padding's rows."""
    width = plan[1]
    for y in range(plan[2]):
        bin_part(x[z, plan[SOURCES + j * plan[2] + y]], own[y * width : (y + 1) * width], *binning)


@jit
def box_ranges(x, planes, j, plan, binning, order, own, ranges):
    """First and last bin of each box of row ``j``, to ``ranges[j]``; ``planes``: those of the layer.

    ``order``: the numbers 0, 1, 2... of a tile's rows; ``own``: uint16 bins of a row of tiles.
    """
    for c in range(plan[5]):
        ranges[j, c, 0] = 65535
        ranges[j, c, 1] = 0
    for z in planes:
        _bin_tiles(x, z, j, plan, binning, own)
        for c in range(plan[5]):
            first, last = rows_range(own.ctypes.data, order.ctypes.data, c, plan)
            ranges[j, c, 0] = min(ranges[j, c, 0], first)
            ranges[j, c, 1] = max(ranges[j, c, 1], last)


@jit
def box_tables(x, planes, j, setting, binning, order, memory, tables):
    """The tables of row ``j`` of a layer of boxes, to ``tables[j]``.

    ``setting``: the plan's table, the bins that the tables span (``(rows, columns, 2)``), bins, clip limit, what whole
    levels span. ``memory``: bins of a row of tiles; cleared counters of each of its boxes, left cleared.
    """
    plan, ranges, nbins, limit, span = setting
    own, counters = memory
    level = tables.dtype.type(0)
    voxels = planes.size * plan[2] * plan[3]
    for z in planes:
        _bin_tiles(x, z, j, plan, binning, own)
        for c in range(plan[5]):
            first = ranges[j, c, 0]
            bank = _bank(padded(ranges[j, c, 1], first), voxels)
            count_rows(own, own.ctypes.data, order.ctypes.data, c, plan, first, bank, counters[c])
    for c in range(plan[5]):
        hist = counters[c]
        first = ranges[j, c, 0]
        n = padded(ranges[j, c, 1], first)
        bank = _bank(n, voxels)
        cut = merge_and_clip(hist.ctypes.data, n, 4 * (bank if bank > 0 else hist.size // BANKS), limit)
        each, before = redistribute(hist, first, n, cut, nbins)
        accumulate(level, hist.ctypes.data, n, before, each, voxels, span, tables[j, c].ctypes.data)


@jit
def _bank(n, voxels):
    """Counters of a bank; 0: all in one. Banks cost a pass over them all."""
    return n if BANKS * n <= voxels else 0


@jit
def _mix_row(j, layers, weight, boxes, spans, ranges, tables):
    """The tables of tile row ``j`` of a plane: those of two ``layers`` of boxes, blended by the weight of the second.

    ``boxes`` holds the tables of all boxes, ``spans`` which bins each spans; ``ranges`` those that the plane needs.
    """
    k1, k2 = layers
    kept = np.float32(1.0) - weight
    tiles_x = boxes.shape[2]
    room = tables.size // (2 * tiles_x)
    for c in range(tiles_x):
        first = ranges[1, j, c, 0]
        n = padded(ranges[1, j, c, 1], first)
        start = ((j & 1) * tiles_x + c) * room
        one = boxes[k1, j, c, first - spans[k1, j, c, 0] :]
        two = boxes[k2, j, c, first - spans[k2, j, c, 0] :]
        mixed = tables[start : start + n]
        for i in range(n):
            mixed[i] = np.float32(one[i]) * kept + np.float32(two[i]) * weight


@jit
def equalize_planes(x, out, planes, axis, boxes, spans, ranges, binning, setting, memory):
    """Planes ``planes[0] .. planes[1] - 1`` of a volume.

    ``out`` is flat; it may be the memory of ``x``. ``axis``: where the planes between two layers' centres begin, and
    each plane's weight of the second layer. ``boxes``, ``spans``: see ``_mix_row``. ``ranges[b]``: for planes between
    layers ``b - 1`` and ``b``, the bins of each tile, and of it with its neighbours. ``setting``: the plan's table and
    weights, bins, both ends of the range. ``memory``: bins of a row of blocks, levels of two tile rows, the entries of
    one block.
    """
    starts, weights = axis
    plan, plane_weights, nbins, low, high = setting
    own, tables, packed = memory
    layers, tiles_y = boxes.shape[0], boxes.shape[1]
    width = x.shape[2]
    b = 0
    for z in range(planes[0], planes[1]):
        while starts[b + 1] <= z:
            b += 1
        between = (max(b - 1, 0), min(b, layers - 1))
        plane = (plan, plane_weights, ranges[b], nbins, 0, 0, low, high)
        built = -1
        for row in range(tiles_y + 1):
            while built < min(row, tiles_y - 1):
                built += 1
                _mix_row(built, between, weights[z], boxes, spans, ranges[b], tables)
            first, end = block_start(plan, row), block_start(plan, row + 1)
            bin_part(x[z, first:end].reshape(-1), own[: (end - first) * width], *binning)
            blend_row(own, own.ctypes.data, out, z, row, plane, tables, packed)
