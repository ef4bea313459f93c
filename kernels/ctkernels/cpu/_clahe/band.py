"""CLAHE over a band of block rows: tables of two tile rows are alive at a time, so they stay in cache.

The kernels work on addresses; see ``_clahe/plan.Plan`` for ``plan``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._clahe.ir import blend, extremes, peek
from ctkernels.cpu._clahe.tables import BANKS, accumulate, merge_and_clip, pack
from ctkernels.cpu._core.jit import jit

Array = NDArray[Any]
PAD = 16
"""Bins are counted in multiples of this: the longest vector."""


@jit
def bin_ranges(bins, i, j0, j1, plan, ranges):
    """First and last bin of each tile (``ranges[0]``) and of it with its neighbours (``ranges[1]``).

    ``ranges`` is ``(2, tile rows, tile columns, 2)``; only tile rows ``j0 .. j1 - 1`` are looked at and written.
    Returns the largest number of bins in ``ranges[1]``.
    """
    height, width, tile_h, tile_w, tiles_y, tiles_x = plan[0], plan[1], plan[2], plan[3], plan[4], plan[5]
    start = bins.ctypes.data + i * height * width * 2
    sources = plan.ctypes.data + 8 * 8
    for j in range(j0, j1):
        rows = sources + 8 * j * tile_h
        for c in range(tiles_x):
            inside = min(max(width - c * tile_w, 0), tile_w)
            both = extremes(start + 2 * c * tile_w, tile_h, inside, rows, 2 * width)
            low = both & 65535
            high = both >> 32
            for k in range(c * tile_w + inside, (c + 1) * tile_w):
                column = plan[8 + tile_h * tiles_y + k]
                both = extremes(start + 2 * column, tile_h, 1, rows, 2 * width)
                low = min(low, both & 65535)
                high = max(high, both >> 32)
            ranges[0, j, c, 0] = low
            ranges[0, j, c, 1] = high
    longest = 0
    for j in range(j0, j1):
        for c in range(tiles_x):
            low = 65535
            high = 0
            for v in range(max(j - 1, j0), min(j + 2, j1)):
                for u in range(max(c - 1, 0), min(c + 2, tiles_x)):
                    low = min(low, ranges[0, v, u, 0])
                    high = max(high, ranges[0, v, u, 1])
            ranges[1, j, c, 0] = low
            ranges[1, j, c, 1] = high
            longest = max(longest, high - low + 1)
    return longest


@jit
def _count(bins, start, rows, tile_h, inside, step, first, bank, hist):
    """Histogram of the part of a tile that is inside the image, in ``BANKS`` banks of ``bank`` bins.

    A word of equal uint8 pixels that equals the last such word (air, saturated bone) only adds to a run; on 16-bit bins
    mispredicted branches cost more than that saves (1.42 against 1.30 ns a pixel).
    """
    kind = bins.dtype.type(0)
    o0 = np.uint64(-first)
    o1 = np.uint64(bank - first)
    o2 = np.uint64(2 * bank - first)
    o3 = np.uint64(3 * bank - first)
    per_word = 8 // bins.itemsize
    bits = np.uint64(8 * bins.itemsize)
    mask = np.uint64((1 << (8 * bins.itemsize)) - 1)
    last = np.uint64(0)
    run = 0
    for y in range(tile_h):
        a = start + peek(np.int64(0), rows + 8 * y) * step
        for k in range(inside // per_word):
            w = peek(np.uint64(0), a + 8 * k)
            if per_word == 8 and w == last:
                run += per_word
            elif per_word == 8 and w == ((w << bits) | (w >> (np.uint64(64) - bits))):
                if run > 0:
                    hist[(last & mask) + o0] += run
                last = w
                run = per_word
            elif per_word == 8:
                hist[(w & mask) + o0] += 1
                hist[((w >> np.uint64(8)) & mask) + o1] += 1
                hist[((w >> np.uint64(16)) & mask) + o2] += 1
                hist[((w >> np.uint64(24)) & mask) + o3] += 1
                hist[((w >> np.uint64(32)) & mask) + o0] += 1
                hist[((w >> np.uint64(40)) & mask) + o1] += 1
                hist[((w >> np.uint64(48)) & mask) + o2] += 1
                hist[(w >> np.uint64(56)) + o3] += 1
            else:
                hist[(w & mask) + o0] += 1
                hist[((w >> np.uint64(16)) & mask) + o1] += 1
                hist[((w >> np.uint64(32)) & mask) + o2] += 1
                hist[(w >> np.uint64(48)) + o3] += 1
        for x in range(inside // per_word * per_word, inside):
            hist[np.uint64(peek(kind, a + x * bins.itemsize)) + o0] += 1
    if run > 0:
        hist[(last & mask) + o0] += run


@jit
def _count_outside(bins, start, rows, tile_h, step, plan, k0, k1, first, hist):
    """The padding's share of a tile: columns ``plan[k0:k1]``."""
    kind = bins.dtype.type(0)
    for y in range(tile_h):
        a = start + peek(np.int64(0), rows + 8 * y) * step
        for k in range(k0, k1):
            hist[np.int64(peek(kind, a + plan[k] * bins.itemsize)) - first] += 1


@jit
def equalize(bins, out, i, b0, b1, plan, weights, ranges, nbins, limit, span, low, high, hist, tables, packed):
    """Block rows ``b0 .. b1 - 1`` of image ``i``.

    ``tables`` (levels of two tile rows), ``packed`` (one block's entries) and ``hist`` (cleared) are scratch.
    """
    height, width, tile_h, tile_w, tiles_y, tiles_x = plan[0], plan[1], plan[2], plan[3], plan[4], plan[5]
    pixel = out.dtype.type(0)
    level = tables.dtype.type(0)
    kind = bins.dtype.type(0)
    size = tables.itemsize
    step = width * bins.itemsize
    out_step = width * out.itemsize
    source = bins.ctypes.data + i * height * step
    target = out.ctypes.data + i * height * out_step
    sources = plan.ctypes.data + 8 * 8
    columns = 8 + tile_h * tiles_y
    starts_y = columns + tile_w * tiles_x
    starts_x = starts_y + tiles_y + 2
    xa = weights.ctypes.data
    ya = xa + 4 * width
    longest = hist.size // BANKS
    room = tables.size // (2 * tiles_x)
    counts = hist.ctypes.data
    pixels = tile_h * tile_w
    built = max(b0 - 1, 0) - 1
    for b in range(b0, b1):
        j1 = max(b - 1, 0)
        j2 = min(b, tiles_y - 1)
        while built < j2:
            built += 1
            rows = sources + 8 * built * tile_h
            for c in range(tiles_x):
                first = ranges[1, built, c, 0]
                bank = (ranges[1, built, c, 1] - first) // PAD * PAD + PAD
                if 4 * bank > pixels:
                    bank = 0
                n = (ranges[1, built, c, 1] - first) // PAD * PAD + PAD
                inside = min(max(width - c * tile_w, 0), tile_w)
                _count(bins, source + c * tile_w * bins.itemsize, rows, tile_h, inside, step, first, bank, hist)
                if inside < tile_w:
                    k = columns + c * tile_w
                    _count_outside(bins, source, rows, tile_h, step, plan, k + inside, k + tile_w, first, hist)
                if bank > 0:
                    cut = merge_and_clip(counts, n, 4 * bank, limit)
                else:
                    cut = merge_and_clip(counts, n, 4 * longest, limit)
                each = cut // nbins
                residual = cut - each * nbins
                every = max(nbins // max(residual, 1), 1)
                begun = min((first + every - 1) // every, residual)
                for k in range(begun, min(residual, (first + n - 1) // every + 1)):
                    hist[k * every - first] += 1
                table = tables.ctypes.data + ((built & 1) * tiles_x + c) * room * size
                accumulate(level, counts, n, each * first + begun, each, pixels, span, table)
        y0 = plan[starts_y + b]
        y1 = plan[starts_y + b + 1]
        if y1 == y0:
            continue
        for c in range(tiles_x + 1):
            x0 = plan[starts_x + c]
            x1 = plan[starts_x + c + 1]
            if x1 == x0:
                continue
            i1 = max(c - 1, 0)
            i2 = min(c, tiles_x - 1)
            first = min(
                min(ranges[0, j1, i1, 0], ranges[0, j1, i2, 0]), min(ranges[0, j2, i1, 0], ranges[0, j2, i2, 0])
            )
            last = max(max(ranges[0, j1, i1, 1], ranges[0, j1, i2, 1]), max(ranges[0, j2, i1, 1], ranges[0, j2, i2, 1]))
            upper = tables.ctypes.data + (j1 & 1) * tiles_x * room * size
            lower = tables.ctypes.data + (j2 & 1) * tiles_x * room * size
            pack(
                level, (last - first) // PAD * PAD + PAD,
                upper + (i1 * room + first - ranges[1, j1, i1, 0]) * size,
                upper + (i2 * room + first - ranges[1, j1, i2, 0]) * size,
                lower + (i1 * room + first - ranges[1, j2, i1, 0]) * size,
                lower + (i2 * room + first - ranges[1, j2, i2, 0]) * size,
                packed.ctypes.data)  # fmt: skip
            blend(
                pixel, kind, level, low, high,
                (
                    y1 - y0, x1 - x0, source + y0 * step + x0 * bins.itemsize, step,
                    target + y0 * out_step + x0 * out.itemsize, out_step,
                    packed.ctypes.data - 4 * size * first, xa + 4 * x0, ya + 4 * y0,
                ))  # fmt: skip
