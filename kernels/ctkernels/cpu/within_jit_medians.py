"""Medians of volumes, and of windows off their pixel, for a user's own compiled code (see ``within_jit``)."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from ctkernels.cpu._core.jit import jit, jit_named
from ctkernels.cpu._core.vectors import round_up
from ctkernels.cpu._median import planes as by_planes
from ctkernels.cpu._median.emit import lanes, stride
from ctkernels.cpu._median.planes_plan import planes_plan
from ctkernels.cpu.within_jit import aligned, border_table, copy, key_outside, shows_constant


@lru_cache(maxsize=64)
def median_volumes(planes: int, rows: int, columns: int) -> Callable[..., bool]:
    """The median of one size of windows that ``by_planes`` serves, for volumes ``(N, D, H, W)``."""
    kernel, made = by_planes.kernel(planes, rows, columns), planes_plan(planes, rows, columns)
    lanes1, lanes2, lanes4, lanes8 = (lanes(made, size) for size in (1, 2, 4, 8))
    steps1, steps2, steps4, steps8 = (stride(made, size) for size in (1, 2, 4, 8))
    ranks, read = made.ranks, by_planes.GROUP + rows - 1
    group, most = by_planes.GROUP, by_planes.MOST_KEYS

    def volumes(x, out, borders, cval, key, kind):
        """False if some pixel has no key; ``key`` is an array of the type of keys, ``kind`` that of pixels."""
        number, depth, height, width = x.shape
        size = key.itemsize
        lane = lanes1 if size == 1 else lanes2 if size == 2 else lanes4 if size == 4 else lanes8
        step = steps1 if size == 1 else steps2 if size == 2 else steps4 if size == 4 else steps8
        outside = np.zeros(1, key.dtype)
        if not key_outside(outside, x, borders, cval, kind):
            return False
        plane_of = border_table(depth, planes // 2, borders[0])
        row_of, column_of = border_table(height, rows // 2, borders[1]), border_table(width, columns // 2, borders[2])
        pitch = round_up(max(width, lane) + columns - 1, lane) + lane
        block = max(most // ((group + rows) * (width + columns)), 8 * planes) // 2 * 2
        shown = min(block, depth + 1) + planes
        keys = aligned(shown * read * pitch * size).view(key.dtype)
        lists = aligned(ranks * step * size).view(key.dtype)
        table = np.empty(64, np.int64)
        row_bytes = width * x.itemsize
        tall = row_of.size + height % 2  # results are made two by two: a last one of an odd number is seen twice
        for n in range(number):
            image, results = x[n].reshape(-1).view(np.uint8), out[n].reshape(-1).view(np.uint8)
            for z in range(0, depth, block):
                count = min(block, depth - z)
                seen = np.empty((count + planes - 1 + count % 2, tall), np.int64)
                for k in range(seen.shape[0]):
                    plane = plane_of[z + min(k, count + planes - 2)]
                    for y in range(tall):
                        row = row_of[min(y, row_of.size - 1)]
                        seen[k, y] = plane * height + row if plane >= 0 and row >= 0 else -1
                place = z * height * row_bytes
                done = kernel(
                    image, results, place, height * row_bytes, count, height, seen, column_of, outside, kind, keys,
                    pitch, table, lists, step,
                )  # fmt: skip
                if not done:
                    return False
        return True

    return jit_named(volumes, f"median_within_{planes}x{rows}x{columns}")


@jit
def middle(wide, out, before):
    """The part of ``wide`` that begins after so many planes, rows and columns."""
    number, depth, height, width = out.shape
    for n in range(number):
        for z in range(depth):
            for y in range(height):
                row = wide[n, z + before[0], y + before[1]]
                copy(row[before[2] : before[2] + width], out[n, z, y])


@jit
def extended(x, before, after, borders, cval):
    """``_median.shifted.extended`` of volumes ``(N, D, H, W)``, compiled."""
    number, depth, height, width = x.shape
    reach_z, reach_y, reach_x = max(before[0], after[0]), max(before[1], after[1]), max(before[2], after[2])
    planes, rows = border_table(depth, reach_z, borders[0]), border_table(height, reach_y, borders[1])
    columns = border_table(width, reach_x, borders[2])
    sides = (depth + before[0] + after[0], height + before[1] + after[1], width + before[2] + after[2])
    wide = np.empty((number, sides[0], sides[1], sides[2]), x.dtype)
    fill = np.zeros(1, x.dtype)
    if shows_constant(borders):
        fill[0] = cval
    for n in range(number):
        for z in range(sides[0]):
            plane = planes[z + reach_z - before[0]]
            for y in range(sides[1]):
                row = rows[y + reach_y - before[1]]
                for k in range(sides[2]):
                    column = columns[k + reach_x - before[2]]
                    inside = plane >= 0 and row >= 0 and column >= 0
                    wide[n, z, y, k] = x[n, plane, row, column] if inside else fill[0]
    return wide
