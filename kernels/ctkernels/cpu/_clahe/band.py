"""CLAHE over a band of block rows: tables of two tile rows are alive at a time, so they stay in cache.

The kernels work on addresses; see ``_clahe/plan.Plan`` for ``plan``, and ``equalize`` for ``setting`` and ``memory``.
"""

from __future__ import annotations

import numpy as np

from ctkernels.cpu._clahe.ir import blend, extremes, peek
from ctkernels.cpu._clahe.plan import SOURCES
from ctkernels.cpu._clahe.registers import in_registers, look_up
from ctkernels.cpu._clahe.tables import BANKS, accumulate, merge_and_clip, pack
from ctkernels.cpu._core.jit import jit, jit_inline, jit_whole

PAD = 16
"""Bins are counted in multiples of this: the longest vector."""


@jit
def padded(last, first):
    """Bins from ``first`` to ``last``, rounded up."""
    return (last - first) // PAD * PAD + PAD


@jit
def bin_ranges(bins, i, j0, j1, plan, ranges):
    """First and last bin of each tile (``ranges[0]``) and of it with its neighbours (``ranges[1]``).

    ``ranges`` is ``(2, tile rows, tile columns, 2)``; only tile rows ``j0 .. j1 - 1`` are looked at and written.
    Returns the largest number of bins in ``ranges[1]``.
    """
    for j in range(j0, j1):
        for c in range(plan[5]):
            ranges[0, j, c, 0], ranges[0, j, c, 1] = tile_range(bins, i, j, c, plan)
    # Pixels of a block look up bins of four tiles in each of their tables: a table must span its neighbours' bins too.
    longest = 0
    for j in range(j0, j1):
        for c in range(plan[5]):
            low = 65535
            high = 0
            for v in range(max(j - 1, j0), min(j + 2, j1)):
                for u in range(max(c - 1, 0), min(c + 2, plan[5])):
                    low = min(low, ranges[0, v, u, 0])
                    high = max(high, ranges[0, v, u, 1])
            ranges[1, j, c, 0] = low
            ranges[1, j, c, 1] = high
            longest = max(longest, high - low + 1)
    return longest


@jit
def tile_range(bins, i, j, c, plan):
    """First and last bin of one tile of an image."""
    start = bins.ctypes.data + i * plan[0] * plan[1] * 2
    return rows_range(start, plan.ctypes.data + 8 * (SOURCES + j * plan[2]), c, plan)


@jit
def rows_range(start, rows, c, plan):
    """First and last bin of tile column ``c`` in a tile row's uint16 bins: ``rows``, after ``start`` (addresses)."""
    width, tile_h, tile_w, tiles_y = plan[1], plan[2], plan[3], plan[4]
    inside = min(max(width - c * tile_w, 0), tile_w)
    both = extremes(start + 2 * c * tile_w, tile_h, inside, rows, 2 * width)
    low = both & 65535
    high = both >> 32
    # Columns of the padding, which stand anywhere in the image.
    for k in range(c * tile_w + inside, (c + 1) * tile_w):
        column = plan[SOURCES + tile_h * tiles_y + k]
        both = extremes(start + 2 * column, tile_h, 1, rows, 2 * width)
        low = min(low, both & 65535)
        high = max(high, both >> 32)
    return low, high


@jit_inline
def _count_bytes(at, hist, o0, o1, o2, o3):
    """Four bytes, one to each bank; loaded one by one: a word of eight taken apart took a third more."""
    byte = np.uint8(0)
    hist[np.uint64(peek(byte, at)) + o0] += 1
    hist[np.uint64(peek(byte, at + 1)) + o1] += 1
    hist[np.uint64(peek(byte, at + 2)) + o2] += 1
    hist[np.uint64(peek(byte, at + 3)) + o3] += 1


@jit_whole
def _count(bins, start, rows, tile_h, inside, step, first, bank, hist):
    """Histogram of the part of a tile that is inside the image, in ``BANKS`` banks of ``bank`` bins (0: all in one).

    Eight uint8 pixels that equal the tile's first (air, saturated bone) only add to a run; on 16-bit bins mispredicted
    branches cost more than that saves (1.42 against 1.30 ns a pixel). Runs of any value take longer too. Whole: as a
    part, CLAHE of uint8 took 5 % longer.
    """
    # Everything unsigned: an index that LLVM cannot prove to be non-negative costs a test for wrapping around.
    kind = bins.dtype.type(0)
    o0 = np.uint64(-first)
    o1 = np.uint64(bank - first)
    o2 = np.uint64(2 * bank - first)
    o3 = np.uint64(3 * bank - first)
    per_word = 8 // bins.itemsize
    mask = np.uint64(0xFFFF)
    if inside == 0:
        return
    corner = np.uint64(peek(kind, start + peek(np.int64(0), rows) * step))
    corners = corner * np.uint64(0x0101010101010101)
    run = 0
    for y in range(tile_h):
        a = start + peek(np.int64(0), rows + 8 * y) * step
        for k in range(inside // per_word):
            at = a + 8 * k
            w = peek(np.uint64(0), at)
            if per_word == 8 and w == corners:
                run += per_word
            elif per_word == 8:
                _count_bytes(at, hist, o0, o1, o2, o3)
                _count_bytes(at + 4, hist, o0, o1, o2, o3)
            else:
                hist[(w & mask) + o0] += 1
                hist[((w >> np.uint64(16)) & mask) + o1] += 1
                hist[((w >> np.uint64(32)) & mask) + o2] += 1
                hist[(w >> np.uint64(48)) + o3] += 1
        for x in range(inside // per_word * per_word, inside):
            hist[np.uint64(peek(kind, a + x * bins.itemsize)) + o0] += 1
    if run > 0:
        hist[corner + o0] += run


@jit
def _count_outside(bins, start, rows, tile_h, step, plan, k0, k1, first, hist):
    """The padding's share of a tile: columns ``plan[k0:k1]``."""
    kind = bins.dtype.type(0)
    for y in range(tile_h):
        a = start + peek(np.int64(0), rows + 8 * y) * step
        for k in range(k0, k1):
            hist[np.int64(peek(kind, a + plan[k] * bins.itemsize)) - first] += 1


@jit
def count_tile(bins, i, j, c, plan, first, bank, hist):
    """Histogram of a tile of an image, of its padding too."""
    source = bins.ctypes.data + i * plan[0] * plan[1] * bins.itemsize
    count_rows(bins, source, plan.ctypes.data + 8 * (SOURCES + j * plan[2]), c, plan, first, bank, hist)


@jit
def count_rows(bins, source, rows, c, plan, first, bank, hist):
    """Histogram of tile column ``c`` in a tile row's bins: ``rows``, after ``source`` (addresses)."""
    width, tile_h, tile_w, tiles_y = plan[1], plan[2], plan[3], plan[4]
    step = width * bins.itemsize
    inside = min(max(width - c * tile_w, 0), tile_w)
    _count(bins, source + c * tile_w * bins.itemsize, rows, tile_h, inside, step, first, bank, hist)
    if inside < tile_w:
        k = SOURCES + tile_h * tiles_y + c * tile_w
        _count_outside(bins, source, rows, tile_h, step, plan, k + inside, k + tile_w, first, hist)


@jit
def redistribute(hist, first, n, cut, nbins):
    """Spread ``cut`` pixels over all bins as OpenCV does; what each of the ``n`` bins gets, and what bins before got.

    Every bin gets ``each``; the rest goes to bin 0 and from there to one bin in ``every``. The table begins with bin
    ``first``; the sum over the bins before it, which hold nothing else, is known in closed form.
    """
    each = cut // nbins
    residual = cut - each * nbins
    every = max(nbins // max(residual, 1), 1)
    begun = min((first + every - 1) // every, residual)
    for k in range(begun, min(residual, (first + n - 1) // every + 1)):
        hist[k * every - first] += 1
    return each, each * first + begun


@jit
def _table(tables, plan, j, c):
    """Address of a tile's table. Rows of tiles take turns with two rows of tables."""
    tiles_x = plan[5]
    room = tables.size // (2 * tiles_x)
    return tables.ctypes.data + ((j & 1) * tiles_x + c) * room * tables.itemsize


@jit
def _build_tables(bins, i, j, setting, memory):
    """The tables of tile row ``j``."""
    plan, _, ranges, nbins, limit, span, _, _ = setting
    hist, tables, _ = memory
    level = tables.dtype.type(0)
    pixels = plan[2] * plan[3]
    counts = hist.ctypes.data
    for c in range(plan[5]):
        first = ranges[1, j, c, 0]
        n = padded(ranges[1, j, c, 1], first)
        # Banks cost a pass over them all: only where that is less than a pass over the tile.
        bank = n if BANKS * n <= pixels else 0
        count_tile(bins, i, j, c, plan, first, bank, hist)
        # With all in one bank the others are clear wherever they are said to be.
        cut = merge_and_clip(counts, n, 4 * (bank if bank > 0 else hist.size // BANKS), limit)
        each, before = redistribute(hist, first, n, cut, nbins)
        accumulate(level, counts, n, before, each, pixels, span, _table(tables, plan, j, c))


@jit
def _entry(tables, plan, ranges, j, c, first):
    """Address of the level of bin ``first`` in a tile's table."""
    return _table(tables, plan, j, c) + (first - ranges[1, j, c, 0]) * tables.itemsize


@jit
def block_start(plan, b):
    """First row of block row ``b``."""
    return plan[SOURCES + plan[2] * plan[4] + plan[3] * plan[5] + b]


@jit_inline
def halves(side):
    """Whether weights along this side of a tile are whole numbers of it, as small as ``blend`` takes them."""
    return 2 <= side <= 128 and side & (side - 1) == 0


@jit
def blend_row(bins, source, out, i, b, setting, tables, packed):
    """The pixels of block row ``b``, from the tables of the tile rows above and below it.

    Their bins begin at address ``source``; of ``bins`` the type alone counts.
    """
    plan, weights, ranges, _, _, _, low, high = setting
    height, width, tile_h, tile_w, tiles_y, tiles_x = plan[0], plan[1], plan[2], plan[3], plan[4], plan[5]
    starts_x = SOURCES + tile_h * tiles_y + tile_w * tiles_x + tiles_y + 2
    y0, y1 = block_start(plan, b), block_start(plan, b + 1)
    step, out_step = width * bins.itemsize, width * out.itemsize
    target = out.ctypes.data + (i * height + y0) * out_step
    weights_x = weights.ctypes.data
    weights_y = weights_x + 4 * width
    pixel, kind, level = out.dtype.type(0), bins.dtype.type(0), tables.dtype.type(0)
    exact = (tile_h << 32 | tile_w) if halves(tile_h) and halves(tile_w) else 0
    # At the image's rim both tiles are the same one.
    j1, j2 = max(b - 1, 0), min(b, tiles_y - 1)
    for c in range(tiles_x + 1):
        x0, x1 = plan[starts_x + c], plan[starts_x + c + 1]
        if y1 == y0 or x1 == x0:
            continue
        c1, c2 = max(c - 1, 0), min(c, tiles_x - 1)
        # Only the bins that occur in the four tiles are packed.
        first = min(min(ranges[0, j1, c1, 0], ranges[0, j1, c2, 0]), min(ranges[0, j2, c1, 0], ranges[0, j2, c2, 0]))
        last = max(max(ranges[0, j1, c1, 1], ranges[0, j1, c2, 1]), max(ranges[0, j2, c1, 1], ranges[0, j2, c2, 1]))
        above_left = _entry(tables, plan, ranges, j1, c1, first)
        above_right = _entry(tables, plan, ranges, j1, c2, first)
        below_left = _entry(tables, plan, ranges, j2, c1, first)
        below_right = _entry(tables, plan, ranges, j2, c2, first)
        block = (
            y1 - y0, x1 - x0, source + x0 * bins.itemsize, step, target + x0 * out.itemsize, out_step,
            packed.ctypes.data - 4 * tables.itemsize * first, weights_x + 4 * x0, weights_y + 4 * y0,
            exact,
        )  # fmt: skip
        if in_registers(pixel, kind, level) and exact and last - first == 255:
            look_up(pixel, kind, level, low, (*block, above_left, above_right, below_left, below_right))
            continue
        pack(level, padded(last, first), above_left, above_right, below_left, below_right, packed.ctypes.data)
        blend(pixel, kind, level, low, high, block)


@jit
def equalize(bins, out, band, setting, memory):
    """Block rows of one image.

    ``band``: image, first and one past the last block row. ``setting``: ``table`` and ``weights`` of the plan, the
    ranges of bins (``bin_ranges``), bins, clip limit, what whole levels span, both ends of the range of results.
    ``memory``: cleared counters (left cleared), levels of two tile rows, the entries of one block.
    """
    i, b0, b1 = band
    _, tables, packed = memory
    tiles_y = setting[0][4]
    built = max(b0 - 1, 0) - 1
    for b in range(b0, b1):
        # Block row b lies between tile rows b - 1 and b: two rows of tables are all that is ever needed.
        while built < min(b, tiles_y - 1):
            built += 1
            _build_tables(bins, i, built, setting, memory)
        source = bins.ctypes.data + (i * setting[0][0] + block_start(setting[0], b)) * setting[0][1] * bins.itemsize
        blend_row(bins, source, out, i, b, setting, tables, packed)
