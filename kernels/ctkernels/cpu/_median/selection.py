"""Ranks of few doubles: minima and maxima of vectors in registers, compiled for each number of pixels and each rank.

Where the pixels lie is read when it runs, so windows of so many pixels share their code. Lists of minima and maxima
(``program_rows``) share between rows what this computes for each row anew, but go through memory.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, register_jitable

from ctkernels.cpu._core import jit
from ctkernels.cpu._core.cache import c_function
from ctkernels.cpu._core.parallel import Band
from ctkernels.cpu._core.scratch import scratch
from ctkernels.cpu._core.vectors import I64, Vectors, emits, round_up, whole
from ctkernels.cpu._median.footprint_layout import Array, Mode, Sides, Tried, columns_of, reach_of, rows_of
from ctkernels.cpu._median.programs import Pixel, selected

LANES: Final = 4
"""Doubles in a vector; rows are not shorter."""

MOST_PIXELS: Final = 40
"""Of a window; beyond, vectors that registers have no room for take longer than lists of halves."""


BAND_BYTES: Final = 64 << 10
"""Of doubles that a band of rows has at once."""


@intrinsic(prefer_literal=True)
def select_row(typingctx, places, base, target, width, count, rank):
    """One rank of the doubles at ``base`` and each of the ``places`` in bytes, and so on for ``width`` of them."""
    if not isinstance(count, types.IntegerLiteral) or not isinstance(rank, types.IntegerLiteral):
        return None
    graph, result = selected(count.literal_value, rank.literal_value)

    def emit(context, builder, signature, args):
        b, v = builder, Vectors(builder, types.float64, LANES)
        table, at, to, number = args[:4]
        rows = [
            b.add(at, b.load(b.inttoptr(v.at(table, whole(k)), I64.as_pointer()))) for k in range(count.literal_value)
        ]

        def block(x):
            values: dict[int, Any] = {}
            for node in graph.needed([result]):
                kind, p, q, _ = graph.nodes[node]
                if kind == "load":
                    values[node] = v.load(v.at(rows[p], x), align=8)
                else:
                    first, second = (p, q) if kind == "min" else (q, p)
                    less = b.fcmp_ordered("<", values[p], values[q])  # a minimum is one operation written so
                    values[node] = b.select(less, values[first], values[second])
            v.store(values[result], v.at(to, x), 8)

        v.blocks(number, LANES, block)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4, count, rank), emit


@lru_cache(maxsize=256)
def compiled(count: int, rank: int) -> Any:
    """Code with an ``address``, which takes ``places, base, target, width``; whoever calls it keeps it."""

    def code(places, base, target, width):
        select_row(places, base, target, width, count, rank)

    code.__qualname__ = f"select_row_{rank}_of_{count}"
    return c_function(types.void(*[types.int64] * 4), code)


@emits()
def _call(builder, code, places, base, target, width):
    """The code at an address, as ``address`` gives it."""
    kind = ir.FunctionType(ir.VoidType(), [I64] * 4)
    builder.call(builder.inttoptr(code, kind.as_pointer()), [places, base, target, width])


@emits(types.int64)
def copy_plain(builder, source, target, count):
    """``count`` doubles to another address; not 0 if one of them is NaN or -0, which minima of doubles don't order."""
    v, b = Vectors(builder, types.float64, LANES), builder
    quads = ir.VectorType(I64, LANES)
    wrong = cgutils.alloca_once_value(b, ir.Constant(quads, [0] * LANES))
    negative_zero = ir.Constant(quads, [-(2**63)] * LANES)

    def block(x):
        value = v.load(v.at(source, x), align=8)
        flaws = b.or_(
            b.icmp_signed("==", b.bitcast(value, quads), negative_zero), b.fcmp_unordered("uno", value, value)
        )
        b.store(b.or_(b.load(wrong), b.sext(flaws, quads)), wrong)
        v.store(value, v.at(target, x), 8)

    v.blocks(count, LANES, block)
    flaws = b.load(wrong)
    total = whole(0)
    for k in range(LANES):
        total = b.or_(total, b.extract_element(flaws, ir.Constant(ir.IntType(32), k)))
    return total


@jit.jit_inline
def copy_rows(image, row_of, column_of, reach, stride, outside, keys):
    """Rows of doubles with their border to ``keys``, as ``program_rows.fill``; False if some pixel is NaN or -0."""
    width = column_of.size - 2 * reach
    for r in range(row_of.size):
        begin = r * stride
        first = begin + reach
        if row_of[r] == -1:
            for x in range(begin, first + width + reach):
                keys[x] = outside
        elif row_of[r] >= 0:
            if copy_plain(image.ctypes.data + row_of[r] * width * 8, keys.ctypes.data + first * 8, width):
                return False
            for x in range(reach):
                left, right = column_of[x], column_of[reach + width + x]
                keys[begin + x] = keys[first + left] if left >= 0 else outside
                keys[first + width + x] = keys[first + right] if right >= 0 else outside
    return True


@jit.jit
def filter_rows(code, image, out, top, rows, row_of, column_of, reach, stride, outside, places, keys):
    """``program_rows.filter_rows`` of doubles by the code at an address; False if some pixel is NaN or -0."""
    if not copy_rows(image, row_of, column_of, reach, stride, outside, keys):
        return False
    width = column_of.size - 2 * reach
    base, target = keys.ctypes.data, out.ctypes.data
    for y in range(rows):
        _call(code, places.ctypes.data, base + y * stride * 8, target + (top + y) * width * 8, width)
    return True


@register_jitable
def stride_and_rows(width, height, reach, span, planes):
    """Doubles from one row to the next, and how many rows of results a band has."""
    stride = round_up(width + 2 * reach, 8)
    return stride, min(max(BAND_BYTES // (stride * 8 * planes) - span, span), height)


@register_jitable
def is_plain(value):
    """Whether minima of doubles order it: neither NaN nor -0."""
    return value > 0 or value < 0 or (value == 0 and not np.signbit(value))


def bind(sides: Sides, window: tuple[Pixel, ...], rank: int, mode: Mode, cval: float) -> Tried | None:
    """What filters bands; None for windows of more pixels, and for rows that are shorter than a vector."""
    depth, height, width = sides
    if len(window) > MOST_PIXELS or width < LANES or not is_plain(cval):
        return None
    seen, reach, above, span, planes = reach_of(window)
    column_of = columns_of(width, reach, mode)
    number = planes[1] - planes[0] + 1
    stride, rows = map(int, stride_and_rows(width, height, reach, span, number))
    high = rows + span - 1
    places = np.array([((z * high + y) * stride + x) * 8 for z, y, x in seen])
    code, outside = compiled(len(seen), rank), float(cval)

    def tried(x: Array, out: Array, band: Band) -> bool:
        keys = scratch("rank.keys", high * number * stride, np.float64)
        image, result = x.reshape(-1), out.reshape(-1)
        for part in rows_of(depth, height, band, planes, above, span, rows, mode):
            done = filter_rows(
                code.address, image, result, band[0] * height + part.first, part.last - part.first, part.row_of,
                column_of, reach, stride, outside, places, keys,
            )  # fmt: skip
            if not done:
                return False
        return True

    return tried
