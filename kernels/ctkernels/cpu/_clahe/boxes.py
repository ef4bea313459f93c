"""CLAHE of volumes: tables of boxes, counted through planes; each plane blended as an image from tables of its own.

A plane lies between the centres of two layers of boxes. Its tables are theirs, blended by the plane's place, which
costs a pass over tables instead of one over voxels: the blend of images then does the rest.
"""

from __future__ import annotations

import numpy as np

from ctkernels.cpu._clahe.band import blend_row, count_tile, padded, redistribute, tile_range
from ctkernels.cpu._clahe.tables import BANKS, accumulate, merge_and_clip
from ctkernels.cpu._core.jit import jit


@jit
def box_ranges(bins, planes, j, plan, ranges):
    """First and last bin of each box of row ``j``, to ``ranges[j]``; ``planes``: those of the layer, in steps of bins.

    ``bins`` are uint16.
    """
    for c in range(plan[5]):
        low = 65535
        high = 0
        for plane in planes:
            first, last = tile_range(bins, plane, j, c, plan)
            low = min(low, first)
            high = max(high, last)
        ranges[j, c, 0] = low
        ranges[j, c, 1] = high


@jit
def box_tables(bins, planes, j, setting, hist, tables):
    """The tables of row ``j`` of a layer of boxes, to ``tables[j]``; ``hist``: cleared counters, left cleared.

    ``setting``: the plan's table, the bins that the tables span (``(rows, columns, 2)``), bins, clip limit, what whole
    levels span.
    """
    plan, ranges, nbins, limit, span = setting
    level = tables.dtype.type(0)
    voxels = planes.size * plan[2] * plan[3]
    counts = hist.ctypes.data
    table_bytes = tables.shape[2] * tables.itemsize
    for c in range(plan[5]):
        first = ranges[j, c, 0]
        n = padded(ranges[j, c, 1], first)
        bank = n if BANKS * n <= voxels else 0
        for plane in planes:
            count_tile(bins, plane, j, c, plan, first, bank, hist)
        cut = merge_and_clip(counts, n, 4 * (bank if bank > 0 else hist.size // BANKS), limit)
        each, before = redistribute(hist, first, n, cut, nbins)
        table = tables.ctypes.data + (j * tables.shape[1] + c) * table_bytes
        accumulate(level, counts, n, before, each, voxels, span, table)


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
def equalize_planes(bins, out, planes, step, axis, boxes, spans, ranges, setting, memory):
    """Planes ``planes[0] .. planes[1] - 1`` of a volume.

    ``bins``: flat, those of plane ``z`` begin at ``z * step``; they may lie in ``out``, flat too, in the same plane's
    memory. ``axis``: where the planes between two layers' centres begin, and each plane's weight of the second layer.
    ``boxes``, ``spans``: see ``_mix_row``. ``ranges[b]``: for planes between layers ``b - 1`` and ``b``, the bins of
    each tile, and of it with its neighbours. ``setting``: the plan's table and weights, bins, both ends of the range.
    ``memory``: bins of a plane, levels of two tile rows, the entries of one block.
    """
    starts, weights = axis
    plan, plane_weights, nbins, low, high = setting
    own, tables, packed = memory
    layers, tiles_y = boxes.shape[0], boxes.shape[1]
    b = 0
    for z in range(planes[0], planes[1]):
        while starts[b + 1] <= z:
            b += 1
        between = (max(b - 1, 0), min(b, layers - 1))
        plane = (plan, plane_weights, ranges[b], nbins, 0, 0, low, high)
        for i in range(own.size):
            own[i] = bins[z * step + i]
        result = out[z * own.size : (z + 1) * own.size]
        built = -1
        for row in range(tiles_y + 1):
            while built < min(row, tiles_y - 1):
                built += 1
                _mix_row(built, between, weights[z], boxes, spans, ranges[b], tables)
            blend_row(own, result, 0, row, plane, tables, packed)
