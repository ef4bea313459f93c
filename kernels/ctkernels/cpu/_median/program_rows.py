"""Rows of pixels to keys, and a list of minima and maxima carried out on them, a block of neighbours at a time.

An instruction costs its decoding once for a block, a few nanoseconds, and all that it touches stays in the first two
levels of cache.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from ctkernels.cpu._core import jit
from ctkernels.cpu._core.vectors import I64, VECTOR_BYTES, emits, whole
from ctkernels.cpu._median.programs import EXCHANGE, HIGHER, LOWER
from ctkernels.cpu._median.rows import decode_row, encode_row

BLOCK = 4 * VECTOR_BYTES
"""Bytes of keys that an instruction works on at once; it goes on for as many blocks as it is told."""


def _emit(keep: int) -> Any:
    @emits(kinds=1)
    def kept(builder, kind, a, b, low, high, count):
        """``low[:] = min(a, b)`` and ``high[:] = max(a, b)`` of ``count`` bytes of keys at four addresses."""
        key = kind.dtype
        vector = ir.VectorType(ir.IntType(key.bitwidth), VECTOR_BYTES * 8 // key.bitwidth)
        align = key.bitwidth // 8
        compare = builder.icmp_signed if key.signed else builder.icmp_unsigned

        def block(begin):
            def each(address):
                for k in range(BLOCK // VECTOR_BYTES):
                    place = builder.add(builder.add(address, begin), whole(k * VECTOR_BYTES))
                    yield builder.inttoptr(place, vector.as_pointer())

            # All is read before anything is written, which may be in the same place.
            pairs = [(builder.load(p, align=align), builder.load(q, align=align)) for p, q in zip(each(a), each(b))]
            for (u, v), p, q in zip(pairs, each(low), each(high)):
                less = compare("<", u, v)
                if keep != HIGHER:
                    builder.store(builder.select(less, u, v), p, align=align)
                if keep != LOWER:
                    builder.store(builder.select(less, v, u), q, align=align)

        _each_block(builder, count, block)

    return kept


def _each_block(builder, count, block) -> None:
    """``block(begin)`` at least once, for each ``BLOCK`` of ``count`` bytes."""
    before, loop, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
    builder.branch(loop)
    builder.position_at_end(loop)
    begin = builder.phi(I64)
    begin.add_incoming(whole(0), before)
    block(begin)
    following = builder.add(begin, whole(BLOCK))
    begin.add_incoming(following, loop)
    builder.cbranch(builder.icmp_signed("<", following, count), loop, after)
    builder.position_at_end(after)


_exchange, _lower, _higher = _emit(EXCHANGE), _emit(LOWER), _emit(HIGHER)


@emits(kinds=1)
def _copy(builder, kind, source, target, count):
    """``count`` bytes of keys from one address to another."""
    vector = ir.VectorType(ir.IntType(8), VECTOR_BYTES)

    def block(begin):
        for k in range(BLOCK // VECTOR_BYTES):
            ends = (builder.add(builder.add(x, begin), whole(k * VECTOR_BYTES)) for x in (source, target))
            origin, end = (builder.inttoptr(x, vector.as_pointer()) for x in ends)
            builder.store(builder.load(origin, align=1), end, align=1)

    _each_block(builder, count, block)


@jit.jit_inline
def fill(keys, begin, width, reach, column_of, image, at, kind, outside):
    """One row with its border from ``keys[begin]`` on; False if a pixel has no key. ``at`` below 0: all outside."""
    if at < 0:
        for x in range(width + 2 * reach):
            keys[begin + x] = outside[0]
        return True
    first = begin + reach
    if not encode_row(keys, first, image, at, width, kind):
        return False
    for x in range(reach):
        left, right = column_of[x], column_of[reach + width + x]
        keys[begin + x] = keys[first + left] if left >= 0 else outside[0]
        keys[first + width + x] = keys[first + right] if right >= 0 else outside[0]
    return True


@jit.jit_inline
def carry_out(keys, pixels, temporaries, code, outputs, block, made, line):
    """The instructions on a block of pixels at an address; results of rows to ``made``, ``line`` bytes apart."""
    kept = temporaries.ctypes.data
    for i in range(code.shape[0]):
        a, b = code[i, 1], code[i, 2]
        first = (pixels if a & 1 else kept) + (a >> 1)
        second = (pixels if b & 1 else kept) + (b >> 1)
        low, high = kept + code[i, 3], kept + code[i, 4]
        if code[i, 0] == EXCHANGE:
            _exchange(keys, first, second, low, high, block)
        elif code[i, 0] == LOWER:
            _lower(keys, first, second, low, high, block)
        else:
            _higher(keys, first, second, low, high, block)
    for g in range(outputs.size):
        a = outputs[g]
        _copy(keys, (pixels if a & 1 else kept) + (a >> 1), made + g * line, block)


@jit.jit
def filter_rows(
    image, out, top, rows, kind, row_of, column_of, reach, stride, outside, code, outputs, block, keys, temporaries,
    results,
):  # fmt: skip
    """Rows ``top .. top + rows - 1`` of ``out``; False if some pixel has no key.

    ``image`` and ``out`` are flat bytes; ``row_of`` is the source row of each row of ``keys``, -1 for outside, -2 for
    rows that no window sees, and ``stride`` their distance. An instruction works on ``block`` bytes. Half of an operand
    of ``code`` is a number of bytes, from the block's first pixel on where the operand is odd, else from the first
    temporary on; so are ``outputs``.
    """
    size = keys.itemsize
    width = column_of.size - 2 * reach
    row_bytes = width * (4 if kind == 1 else 8 if kind == 2 else size)
    for r in range(row_of.size):
        if row_of[r] < -1:
            continue
        at = row_of[r] * row_bytes
        if not fill(keys, r * stride, width, reach, column_of, image, at, kind, outside):
            return False
    lanes = block // size
    line = results.size // outputs.size
    base, made = keys.ctypes.data, results.ctypes.data
    for y in range(0, rows, outputs.size):
        for x in range(0, width, lanes):
            pixels = base + (y * stride + x) * size
            carry_out(keys, pixels, temporaries, code, outputs, block, made + x * size, line * size)
        for g in range(min(outputs.size, rows - y)):
            decode_row(results, g * line, out, (top + y + g) * row_bytes, width, kind)
    return True
