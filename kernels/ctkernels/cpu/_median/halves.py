"""Ranks of doubles by halves of 32 bits, which take half of the bytes and a third of the operations of whole keys.

The upper half of a rank is the rank of the upper halves, which a list of minima and maxima finds. Its lower half is
that of the pixels in the window with this upper half: mostly of one pixel or of several equal ones, as upper halves
have 20 bits of a mantissa. Where they differ the rank among them is looked up one by one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types

from ctkernels.cpu._core import jit
from ctkernels.cpu._core.parallel import Band
from ctkernels.cpu._core.scratch import scratch
from ctkernels.cpu._core.vectors import I32, I64, Vectors, emits, whole
from ctkernels.cpu._median.footprint_layout import (
    Array,
    Mode,
    Sides,
    Tried,
    columns_of,
    layout,
    memory,
    reach_of,
    rows_of,
)
from ctkernels.cpu._median.program_rows import carry_out
from ctkernels.cpu._median.programs import Pixel
from ctkernels.cpu._median.rows import turn

LANES = 8
"""Pixels in a vector of halves; rows are not shorter."""

_MOST_UNSETTLED = 32
"""A share of one in so many pixels is looked up one by one; where more are, whole keys take less time."""

_LOWEST = -(1 << 31)


def _of(kind: Any, lanes: int, value: int) -> Any:
    return ir.Constant(ir.VectorType(kind, lanes), [value] * lanes)


@emits()
def _split(builder, pixels, upper, lower, count):
    """Halves of the keys of ``count`` doubles from the address ``pixels`` on; lower halves from the smallest int on."""
    v, b = Vectors(builder, types.float32, LANES), builder
    quads, shorts = ir.VectorType(I64, LANES), ir.VectorType(I32, LANES)

    def block(x):
        bits = v.load(v.at(pixels, x, 8), quads, 8)
        highest = _of(I64, LANES, 2**63 - 1)
        nan = b.icmp_signed(">", b.and_(bits, highest), _of(I64, LANES, 0x7FF0000000000000))
        keys = b.select(nan, highest, turn(b, bits, 64, LANES))
        v.store(b.trunc(b.lshr(keys, _of(I64, LANES, 32)), shorts), v.at(upper, x), 4)
        v.store(b.xor(b.trunc(keys, shorts), _of(I32, LANES, _LOWEST)), v.at(lower, x), 4)

    v.blocks(count, LANES, block)


@emits(types.int64)
def _settle(builder, places, number, upper, lower, found, flags, out, count):
    """Doubles of a row from their upper halves at ``found``: how many of ``count`` are not settled, with their flags.

    ``places``: of the ``number`` pixels of a window, in bytes from the first pixel's on, in ``upper`` as in ``lower``.
    """
    v, b = Vectors(builder, types.float32, LANES), builder
    shorts, quads = ir.VectorType(I32, LANES), ir.VectorType(I64, LANES)
    unsettled = cgutils.alloca_once_value(b, _of(I32, LANES, 0))
    least_key = _of(I32, LANES, _LOWEST)

    def larger(x, y):
        return b.select(b.icmp_signed(">", x, y), x, y)

    def block(x):
        halves = v.load(v.at(found, x), shorts, 4)

        def look(i, most, most_turned):
            at = b.add(b.load(b.inttoptr(v.at(places, i, 8), I64.as_pointer())), v.at(whole(0), x))
            same = b.icmp_signed("==", v.load(b.add(upper, at), shorts, 4), halves)
            low = v.load(b.add(lower, at), shorts, 4)
            turned = b.xor(low, _of(I32, LANES, -1))
            return larger(most, b.select(same, low, least_key)), larger(most_turned, b.select(same, turned, least_key))

        most, most_turned = v.loop(whole(0), number, 1, look, (least_key, least_key))
        differ = b.sext(b.icmp_signed("!=", most, b.xor(most_turned, _of(I32, LANES, -1))), shorts)
        v.store(differ, v.at(flags, x), 4)
        b.store(b.sub(b.load(unsettled), differ), unsettled)
        low = b.zext(b.xor(most, least_key), quads)
        keys = b.or_(b.shl(b.sext(halves, quads), _of(I64, LANES, 32)), low)
        v.store(turn(b, keys, 64, LANES), v.at(out, x, 8), 8)

    v.blocks(count, LANES, block)
    counts = b.load(unsettled)
    total = whole(0)
    for k in range(LANES):
        total = b.add(total, b.sext(b.extract_element(counts, ir.Constant(I32, k)), I64))
    return total


@jit.jit
def halves_of(value):
    """Both halves of the key of a double."""
    pixels, uppers, lowers = np.empty(LANES), np.empty(LANES, np.int32), np.empty(LANES, np.int32)
    for k in range(LANES):
        pixels[k] = value
    _split(pixels.ctypes.data, uppers.ctypes.data, lowers.ctypes.data, LANES)
    uppers[1] = lowers[0]
    return uppers[:2]


@jit.jit_inline
def _lower_half(places, rank, uppers, lowers, at, found):
    """That of the rank whose upper half is ``found``, in the window of the pixel ``at``."""
    rank_left = rank
    for p in places:
        rank_left -= uppers[at + p // 4] < found
    for p in places:
        if uppers[at + p // 4] == found:
            low, below, equal = lowers[at + p // 4], 0, 0
            for q in places:
                if uppers[at + q // 4] == found:
                    below += lowers[at + q // 4] < low
                    equal += lowers[at + q // 4] == low
            if below <= rank_left < below + equal:
                return low
    return lowers[at]  # not reached: some pixel has this rank


@jit.jit_inline
def _fill(uppers, lowers, begin, width, reach, column_of, image, at, outside):
    """One row of halves with its border from ``begin`` on, as ``program_rows.fill``."""
    if at < 0:
        uppers[begin : begin + width + 2 * reach] = outside[0]
        lowers[begin : begin + width + 2 * reach] = outside[1]
        return
    first = begin + reach
    _split(image + at, uppers.ctypes.data + first * 4, lowers.ctypes.data + first * 4, width)
    for half in range(2):
        keys = uppers if half == 0 else lowers
        for x in range(reach):
            left, right = column_of[x], column_of[reach + width + x]
            keys[begin + x] = keys[first + left] if left >= 0 else outside[half]
            keys[first + width + x] = keys[first + right] if right >= 0 else outside[half]


@jit.jit
def filter_halves(
    image, out, top, rows, row_of, column_of, reach, stride, outside, code, outputs, block, places, rank, uppers,
    lowers, temporaries, results, flags,
):  # fmt: skip
    """``program_rows.filter_rows`` of doubles; False if too many pixels are not settled.

    ``outside``: both halves of the key there; ``places``: of the window's pixels, in bytes of a row of halves.
    """
    width = column_of.size - 2 * reach
    source, target = np.int64(image.ctypes.data), np.int64(out.ctypes.data)
    for r in range(row_of.size):
        if row_of[r] >= -1:
            at = row_of[r] * width * 8
            _fill(uppers, lowers, r * stride, width, reach, column_of, source, at, outside)
    lanes, line = block // 4, results.size // outputs.size
    base, made = uppers.ctypes.data, np.int64(results.ctypes.data)
    allowed = rows * width // _MOST_UNSETTLED
    for y in range(0, rows, outputs.size):
        for x in range(0, width, lanes):
            carry_out(uppers, base + (y * stride + x) * 4, temporaries, code, outputs, block, made + x * 4, line * 4)
        for g in range(min(outputs.size, rows - y)):
            begin = (y + g) * stride
            to = target + (top + y + g) * width * 8
            unsettled = _settle(
                places.ctypes.data, places.size, uppers.ctypes.data + begin * 4, lowers.ctypes.data + begin * 4,
                made + g * line * 4, flags.ctypes.data, to, width,
            )  # fmt: skip
            allowed -= unsettled
            if allowed < 0:
                return False
            if unsettled:
                for x in range(width):
                    if flags[x] != 0:
                        half = results[g * line + x]
                        low = _lower_half(places, rank, uppers, lowers, begin + x, half)
                        key = np.int64(half) << 32 | (np.int64(low) + (1 << 31))
                        out.view(np.int64)[(top + y + g) * width + x] = key ^ ((key >> 63) & np.int64(2**63 - 1))
    return True


def bind(sides: Sides, window: tuple[Pixel, ...], rank: int, mode: Mode, cval: float) -> Tried | None:
    """What filters bands; None for rows that are shorter than a vector."""
    depth, height, width = sides
    if width < LANES:
        return None
    made = layout(window, rank, height, width, 4)
    column_of = columns_of(width, made.reach, mode)
    high, seen = made.rows + made.span - 1, reach_of(window).pixels
    places = np.array([((z * high + y) * made.stride + x) * 4 for z, y, x in seen])
    outside = halves_of(float(cval))

    def tried(x: Array, out: Array, band: Band) -> bool:
        kept, flags = memory(made, width, "i4"), scratch("rank.flags", width, np.int32)
        lowers = scratch("rank.lowers", kept.keys.size, np.int32)
        image, result = x.reshape(-1), out.reshape(-1)
        for part in rows_of(depth, height, band, made.planes, made.above, made.span, made.rows, mode):
            done = filter_halves(
                image, result, band[0] * height + part.first, part.last - part.first, part.row_of, column_of,
                made.reach, made.stride, outside, made.code, made.outputs, made.block, places, rank, kept.keys,
                lowers, kept.temporaries, kept.results, flags,
            )  # fmt: skip
            if not done:
                return False
        return True

    return tried
