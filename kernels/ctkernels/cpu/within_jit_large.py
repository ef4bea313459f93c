"""Medians of large windows for a user's own compiled code (see ``within_jit``): ``_median.large``, compiled.

Memory is new at each call: 21 x 21 of floats with more than 4,096 distinct values takes 1.2 to 1.3 times the same call
outside.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numba.extending import register_jitable

from ctkernels.cpu._core import digits
from ctkernels.cpu._core.jit import jit, jit_named
from ctkernels.cpu._median import histogram, histogram_volume, ranks
from ctkernels.cpu._median.large import MOST_RANKS, STRIP
from ctkernels.cpu._median.volume import MOST_RANKED
from ctkernels.cpu.within_jit import border_table, shows_constant


@jit
def _mark_integers(part, flip, seen):
    ranks.mark_integers(part, flip, seen)
    return True


@jit
def _mark_whole(part, flip, seen):
    return ranks.mark_whole(part, seen)


@jit
def _spread_whole(part, flip, rank_of, outside, row_of, column_of, spread):
    ranks.spread_whole(part, rank_of, outside, row_of, column_of, spread)


@jit
def _outer_key(one, bits, floats, flip, cval):
    """The key of ``cval``; ``one`` is memory for a pixel, ``bits`` the same as integers."""
    one[0, 0] = cval
    zero, key = np.zeros(1, np.int64), np.zeros(1, np.uint64)
    ranks.spread_keys(bits, floats, flip, flip, zero, zero, key)
    return key[0]


def _of_ranks(planes: int, rows: int, columns: int) -> Callable[..., None]:
    """``large._filter_ranks`` for one size of windows."""
    window_type = "uint16" if planes * rows * columns <= 65535 else "uint32"
    column_type = window_type if window_type == "uint32" or planes * rows > 255 else "uint8"
    of_window, of_column = np.empty(0, window_type), np.empty(0, column_type)
    few, many = ((histogram_volume if planes > 1 else histogram).kernel(base) for base in (16, 64))
    few_steps, many_steps = (histogram.steps(base, column_type) for base in (16, 64))

    def images(kernel: Any) -> Any:
        def run(found, index, rest, want_rest, strip, *memory):
            kernel(found, index[0], rest[0], want_rest, rows, columns, strip, *memory)

        def run_volumes(found, index, rest, want_rest, strip, *memory):
            turns = found.reshape((-1, index.shape[0] + planes - 1, found.shape[1]))
            kernel(turns, index, rest, want_rest, planes, rows, columns, strip, *memory)

        return register_jitable(run_volumes if planes > 1 else run)

    run_few, run_many = images(few), images(many)

    def filter_ranks(found, index, rest, want_rest, count):
        base = 16 if count <= 256 else 64
        strip = min(index.shape[2], STRIP)
        reach = strip + columns - 1
        coarse, fine = np.empty(reach * base, of_column.dtype), np.empty(reach * base * base, of_column.dtype)
        window, window_fine = np.empty(2 * base, of_window.dtype), np.empty(base * base, of_window.dtype)
        valid = np.empty(base, np.int64)
        # A copy of the steps: constants are another type, which would compile the kernels once more.
        if base == 16:
            run_few(found, index, rest, want_rest, strip, coarse, fine, window, window_fine, valid, few_steps.copy())
        else:
            run_many(found, index, rest, want_rest, strip, coarse, fine, window, window_fine, valid, many_steps.copy())

    return jit_named(filter_ranks, f"large_ranks_{planes}x{rows}x{columns}")


@lru_cache(maxsize=64)
def large_medians(planes: int, rows: int, columns: int, dtype: np.dtype[Any]) -> Callable[..., None]:
    """The median of odd windows of one size, for volumes ``(N, D, H, W)``; images have one plane each."""
    filter_ranks = _of_ranks(planes, rows, columns)
    floats, itemsize = dtype.kind == "f", dtype.itemsize
    unsigned = np.empty(0, f"u{itemsize}")
    offset = 0 if dtype.kind == "u" else 32768
    flip = np.uint64(0 if dtype.kind == "u" else 1 << (8 * itemsize - 1))
    codes = 1 << (8 * min(itemsize, 2))
    looked_at = np.empty(0, dtype) if floats else unsigned  # integers as unsigned ones
    mark, spread = (_mark_whole, _spread_whole) if floats else (_mark_integers, ranks.spread_integers)
    pick = _pick_voxels if planes > 1 else _pick_pixels

    def distinct(part, result, row_of, column_of, cval, constant):
        """``large._distinct``."""
        if floats and constant and not (abs(cval) <= 32767 and cval == np.floor(cval)):
            return False
        pixels = part.view(looked_at.dtype)
        seen = np.zeros(codes, np.uint8)
        if not mark(pixels, offset, seen):
            return False
        outside = np.int64(cval) + offset if constant else 0
        if constant:
            seen[outside] = 1
        rank_of, key_of = np.empty(codes, np.uint16), np.empty(codes, np.uint16)
        count = ranks.number(seen, rank_of, key_of)
        if count > MOST_RANKS:
            return False
        found = np.empty((row_of.size, column_of.size), np.uint16)
        spread(pixels, offset, rank_of, np.int64(rank_of[outside]), row_of, column_of, found)
        index = np.empty(result.shape, np.uint16)
        filter_ranks(found, index, index, False, count)
        values = np.empty(count, result.dtype)
        for k in range(count):
            values[k] = np.int64(key_of[k]) - offset
        for z in range(index.shape[0]):
            ranks.look_up(index[z], values, result[z])
        return True

    def ordered(part, result, row_of, column_of, cval):
        """``large._sorted``."""
        bits = part.view(unsigned.dtype)
        size = row_of.size * column_of.size
        one = np.zeros((1, 1), part.dtype)
        outside = _outer_key(one, one.view(unsigned.dtype), floats, flip, cval)
        keys, pairs, other = np.empty(size, np.uint64), np.empty(size, np.uint64), np.empty(size, np.uint64)
        ranks.spread_keys(bits, floats, flip, outside, row_of, column_of, keys)
        counts, numbers = np.empty((digits.PASSES, 1 << digits.BITS), np.int32), np.empty(size, np.int32)
        keys = digits.sort(keys, 8 * itemsize, pairs, other, counts, numbers)
        found, index = np.empty((row_of.size, column_of.size), np.uint16), np.empty(result.shape, np.uint16)
        values, key_of = np.empty(size, unsigned.dtype), np.empty(MOST_RANKS, np.uint64)
        results = result.view(unsigned.dtype)
        count = ranks.number_sorted(keys, numbers, found.reshape(-1), key_of)
        if count > 0:
            filter_ranks(found, index, index, False, count)
            digits.decode(key_of[:count], floats, flip, values)
            for z in range(index.shape[0]):
                ranks.look_up(index[z], values, results[z])
            return
        shift = 0
        while (size - 1) >> (shift + 12):
            shift += 1
        high = planes + result.shape[0] - 1
        order, rest = np.empty(result.shape, np.int32), np.empty(result.shape, np.uint16)
        # Places of sorted pixels: of half the bytes where they fit.
        fits = max(row_of.size, column_of.size) <= 1 << 16
        shape = (3 if high > 1 else 2, size + 128)
        near, far = np.empty(shape if fits else (3, 0), np.uint16), np.empty((3, 0) if fits else shape, np.uint32)
        if fits:
            ranks.cut(numbers, (high, column_of.size), shift, found.reshape(-1), near[-1], near[0], near[1])
        else:
            ranks.cut(numbers, (high, column_of.size), shift, found.reshape(-1), far[-1], far[0], far[1])
        filter_ranks(found, index, rest, True, MOST_RANKS)
        if fits:
            pick(index, rest, shift, near[-1], near[0], near[1], (planes, rows, columns), order)
        else:
            pick(index, rest, shift, far[-1], far[0], far[1], (planes, rows, columns), order)
        digits.decode(keys, floats, flip, values)
        for z in range(index.shape[0]):
            ranks.look_up(order[z], values, results[z])

    by_distinct, by_order = register_jitable(distinct), register_jitable(ordered)

    def medians(x, out, borders, cval):
        number, depth, height, width = x.shape
        plane_of = border_table(depth, planes // 2, borders[0])
        row_of, column_of = border_table(height, rows // 2, borders[1]), border_table(width, columns // 2, borders[2])
        constant = shows_constant(borders)
        block = max(MOST_RANKED // (row_of.size * column_of.size) - planes + 1, 1)
        for n in range(number):
            for first in range(0, depth, block):
                last = min(first + block, depth)
                shown = plane_of[first : last + planes - 1]
                low, high = depth, 0
                for plane in shown:
                    if plane >= 0:
                        low, high = min(low, plane), max(high, plane)
                part = x[n, low : high + 1].reshape((-1, width))
                table = np.empty(row_of.size * shown.size, np.int64)
                for y in range(row_of.size):
                    for k in range(shown.size):
                        inside = row_of[y] >= 0 and shown[k] >= 0
                        table[y * shown.size + k] = (shown[k] - low) * height + row_of[y] if inside else -1
                result = out[n, first:last]
                if not by_distinct(part, result, table, column_of, cval, constant):
                    by_order(part, result, table, column_of, cval)

    return jit_named(medians, f"large_medians_{planes}x{rows}x{columns}_{dtype.name}")


@jit
def _pick_pixels(index, rest, shift, plane_at, row_at, column_at, size, order):
    ranks.pick(index[0], rest[0], shift, row_at, column_at, size[1:], order[0])


@jit
def _pick_voxels(index, rest, shift, plane_at, row_at, column_at, size, order):
    ranks.pick_in_volume(index, rest, shift, plane_at, row_at, column_at, size, order)
