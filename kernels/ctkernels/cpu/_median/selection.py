"""Ranks of few pixels: minima and maxima of vectors in registers, compiled for each number of pixels and each rank.

Where the pixels lie is read when it runs, so windows of so many pixels share their code. Lists of minima and maxima
(``program_rows``) share between rows what this computes for each row anew, but go through memory. Pixels are compared
as they are; of floats, NaN and -0 are looked for when a row enters the memory that windows see.
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
from ctkernels.cpu._core.vectors import I64, VECTOR_BYTES, Vectors, emits, is_integer, round_up, whole
from ctkernels.cpu._median.footprint_layout import Array, Mode, Sides, Tried, columns_of, reach_of, rows_of
from ctkernels.cpu._median.programs import Pixel, selected

MOST_PIXELS: Final = {"B": 16, "H": 16, "h": 16, "f": 40, "d": 40}
"""Of a window, by the letter of an image's dtype. Lists of minima and maxima of whole numbers take 1.2 to 2 times as
long up to 32 pixels, but need no code of their own; beyond 40, registers have no room and lists, which rows share, take
less time."""

AT_ONCE: Final = {"f": 16, "d": 9}
"""Up to so many pixels floats need not be tried as whole numbers first."""


@register_jitable
def lanes_of(size):
    """Pixels of so many bytes in a vector; rows are not shorter."""
    return VECTOR_BYTES // size


@intrinsic(prefer_literal=True)
def select_row(typingctx, kind, places, base, target, width, count, rank):
    """One rank of the pixels at ``base`` and each of the ``places`` in bytes, and so on for ``width`` of them.

    ``kind`` stands for their type.
    """
    if not isinstance(count, types.IntegerLiteral) or not isinstance(rank, types.IntegerLiteral):
        return None
    pixels = count.literal_value
    graph, result = selected(pixels, rank.literal_value)
    kind = getattr(kind, "literal_type", kind)

    def emit(context, builder, signature, args):
        size = kind.bitwidth // 8
        lanes = int(lanes_of(size))
        b, v = builder, Vectors(builder, kind, lanes)
        table, at, to, number = args[1:5]
        addresses = (b.inttoptr(v.at(table, whole(k), 8), I64.as_pointer()) for k in range(pixels))
        rows = [b.add(at, b.load(address)) for address in addresses]
        if not is_integer(kind):
            compare = b.fcmp_ordered
        else:
            compare = b.icmp_signed if kind.signed else b.icmp_unsigned

        def block(x):
            values: dict[int, Any] = {}
            for node in graph.needed([result]):
                how, p, q, _ = graph.nodes[node]
                if how == "load":
                    values[node] = v.load(v.at(rows[p], x), align=size)
                else:
                    first, second = (p, q) if how == "min" else (q, p)
                    less = compare("<", values[p], values[q])  # a minimum is one operation written so
                    values[node] = b.select(less, values[first], values[second])
            v.store(values[result], v.at(to, x), size)

        v.blocks(number, lanes, block)
        return context.get_dummy_value()

    return types.void(kind, *[types.int64] * 4, count, rank), emit


@lru_cache(maxsize=256)
def compiled(char: str, count: int, rank: int) -> Any:
    """Code with an ``address``, which takes ``places, base, target, width``; whoever calls it keeps it.

    ``char``: NumPy's letter for the type of pixels.
    """
    kind = np.dtype(char).type(0)

    def code(places, base, target, width):
        select_row(kind, places, base, target, width, count, rank)

    code.__qualname__ = f"select_row_{rank}_of_{count}_{char}"
    return c_function(types.void(*[types.int64] * 4), code)


@emits()
def call(builder, code, places, base, target, width):
    """The code at an address, as ``address`` gives it."""
    kind = ir.FunctionType(ir.VoidType(), [I64] * 4)
    builder.call(builder.inttoptr(code, kind.as_pointer()), [places, base, target, width])


def _look(builder, kind, source, target, count):
    """``flaws`` of pixels on their way to ``target``, unless that is None."""
    size = kind.bitwidth // 8
    lanes = int(lanes_of(size))
    v, b = Vectors(builder, kind, lanes), builder
    bits = ir.VectorType(ir.IntType(kind.bitwidth), lanes)
    wrong = cgutils.alloca_once_value(b, ir.Constant(bits, [0] * lanes))
    negative_zero = ir.Constant(bits, [-(1 << (kind.bitwidth - 1))] * lanes)

    def block(x):
        value = v.load(v.at(source, x), align=size)
        if not is_integer(kind):
            flawed = b.or_(
                b.icmp_signed("==", b.bitcast(value, bits), negative_zero), b.fcmp_unordered("uno", value, value)
            )
            b.store(b.or_(b.load(wrong), b.sext(flawed, bits)), wrong)
        if target is not None:
            v.store(value, v.at(target, x), size)

    v.blocks(count, lanes, block)
    every = ir.IntType(kind.bitwidth * lanes)
    return b.zext(b.icmp_unsigned("!=", b.bitcast(b.load(wrong), every), ir.Constant(every, 0)), I64)


@emits(types.int64, kinds=1)
def flaws(builder, kind, source, count):
    """Not 0 if one of ``count`` pixels is NaN or -0, which minima of floats don't order; ``kind``: see ``select_row``.

    There are no fewer than a vector has.
    """
    return whole(0) if is_integer(kind) else _look(builder, kind, source, None, count)


@emits(types.int64, kinds=1)
def copy_plain(builder, kind, source, target, count):
    """``flaws``, and the pixels to another address."""
    return _look(builder, kind, source, target, count)


@jit.jit_part
def enter(image, source, width, reach, column_of, outside, keys, begin):
    """The row from ``image[source]`` on with its border, from ``keys[begin]`` on; 1 if some pixel is NaN or -0.

    ``source`` below 0: all outside.
    """
    wrong, first = np.int64(0), begin + reach
    if source < 0:
        for x in range(begin, first + width + reach):
            keys[x] = outside[0]
    else:
        size = image.itemsize
        wrong = copy_plain(
            image.dtype.type(0), image.ctypes.data + source * size, keys.ctypes.data + first * size, width
        )
        for x in range(reach):
            left, right = column_of[x], column_of[reach + width + x]
            keys[begin + x] = keys[first + left] if left >= 0 else outside[0]
            keys[first + width + x] = keys[first + right] if right >= 0 else outside[0]
    return wrong


def _filter_rows(select: Any) -> Any:
    def filter_rows(
        code, image, out, top, rows, row_of, tall, column_of, reach, span, pixels, outside, stride, keys, places
    ):  # fmt: skip
        """Rows ``top .. top + rows - 1`` of ``out`` by ``select``; False if some pixel is NaN or -0.

        Args:
            row_of: as ``program_rows.filter_rows`` takes it, ``tall`` rows a plane.
            pixels: of the window: plane, row, and column from the border's first on.
            outside: the value there.
            stride: pixels from one row of ``keys`` to the next.
            keys: memory for ``span`` rows of each plane, which take turns.
            places: memory for an address a pixel.
        """
        width, size = column_of.size - 2 * reach, image.itemsize
        planes, done = row_of.size // tall, 0
        for y in range(rows):
            while done < y + span:
                for z in range(planes):
                    begin = (z * span + done % span) * stride
                    row = row_of[z * tall + done]
                    if enter(image, row * width, width, reach, column_of, outside, keys, begin):
                        return False
                done += 1
            for p in range(places.size):
                slot = pixels[p, 1] + y % span
                slot = slot - span if slot >= span else slot
                places[p] = ((pixels[p, 0] * span + slot) * stride + pixels[p, 2]) * size
            target = out.ctypes.data + (top + y) * width * size
            select(code, keys.dtype.type(0), places.ctypes.data, keys.ctypes.data, target, width)
        return True

    return filter_rows


@jit.jit_inline
def _by_address(code, one, places, base, target, width):
    call(code, places, base, target, width)


filter_rows = jit.jit_named(_filter_rows(_by_address), "filter_rows_by_address")
"""By the code at an address."""


@lru_cache(maxsize=64)
def filter_rows_of(count: int, rank: int) -> Any:
    """``filter_rows`` with the code of one rank of so many pixels in it."""

    def select(code, one, places, base, target, width):
        select_row(one, places, base, target, width, count, rank)

    select.__qualname__ = f"select_{rank}_of_{count}"
    return jit.jit_named(_filter_rows(jit.jit_inline(select)), f"filter_rows_{rank}_of_{count}")


def serves(image: np.dtype[Any], width: int, mode: Mode, cval: float) -> bool:
    """Whether rows have a vector, and what lies outside can be compared as it is."""
    return width >= lanes_of(image.itemsize) and (image.kind != "f" or "constant" not in mode or bool(is_plain(cval)))


def border_pixel(image: np.dtype[Any], mode: Mode, cval: float) -> Array:
    """The pixel outside, where ``mode`` shows any."""
    return np.full(1, cval if "constant" in mode else 0).astype(image)


@register_jitable
def is_plain(value):
    """Whether minima of doubles order it: neither NaN nor -0."""
    return value > 0 or value < 0 or (value == 0 and not np.signbit(value))


def bind(
    sides: Sides, image: np.dtype[Any], window: tuple[Pixel, ...], rank: int, mode: Mode, cval: float
) -> Tried | None:
    """What filters bands; None for windows of more pixels, and for rows that are shorter than a vector."""
    depth, height, width = sides
    if len(window) > MOST_PIXELS[image.char] or not serves(image, width, mode, cval):
        return None
    seen, reach, above, span, planes = reach_of(window)
    column_of, outside = columns_of(width, reach, mode), border_pixel(image, mode, cval)
    tall, stride = height + span - 1, int(round_up(width + 2 * reach, 64 // image.itemsize))
    pixels, number = np.array(seen, np.int64), planes[1] - planes[0] + 1
    code = compiled(image.char, len(seen), rank)

    def tried(x: Array, out: Array, band: Band) -> bool:
        keys = scratch("rank.keys", span * number * stride, image)
        places = scratch("rank.places", len(seen), np.int64)
        flat, result = x.reshape(-1), out.reshape(-1)
        for part in rows_of(depth, height, band, planes, above, span, height, mode):
            done = filter_rows(
                code.address, flat, result, band[0] * height + part.first, part.last - part.first, part.row_of, tall,
                column_of, reach, span, pixels, outside, stride, keys, places,
            )  # fmt: skip
            if not done:
                return False
        return True

    return tried
