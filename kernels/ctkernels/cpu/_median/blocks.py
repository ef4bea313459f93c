"""Operations on blocks of counters, emitted as explicit vector code.

A block is ``size`` neighbouring counters at an offset of a 1-D array; ``size`` is a compile-time constant. Written as
loops, these few instructions would drown in overlap checks and remainder loops, and the count would run in 64 bits.
LLVM cuts the vectors to the width that the processor has.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


def _block(context, builder, kind, array, offset, size: int) -> tuple[Any, Any]:
    """Pointer to a block, and the block's LLVM vector type."""
    item = context.get_value_type(kind.dtype)
    vector = ir.VectorType(item, size)
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [offset]), vector.as_pointer()), vector


def _splat(builder, value, vector, size: int):
    """A 64-bit integer, cut to the vector's type, in all its places."""
    undefined = ir.Constant(vector, ir.Undefined)
    lane = builder.insert_element(undefined, builder.trunc(value, vector.element), ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(lane, undefined, ir.Constant(ir.VectorType(ir.IntType(32), size), [0] * size))


def _load(builder, pointer, kind):
    value = builder.load(pointer)
    value.align = kind.dtype.bitwidth // 8
    return value


def _store(builder, value, pointer, kind):
    builder.store(value, pointer).align = kind.dtype.bitwidth // 8


def _add(typingctx, total, at, part, entering, size):
    """``total[at:][:size] += part[entering:][:size]``."""
    if not isinstance(size, types.IntegerLiteral):
        return None
    n = size.literal_value

    def emit(context, builder, signature, args):
        pointer, vector = _block(context, builder, total, args[0], args[1], n)
        new, _ = _block(context, builder, part, args[2], args[3], n)
        value = builder.zext(_load(builder, new, part), vector)
        _store(builder, builder.add(_load(builder, pointer, total), value), pointer, total)
        return context.get_dummy_value()

    return types.void(total, types.int64, part, types.int64, size), emit


def _slide(typingctx, total, at, part, entering, leaving, size):
    """``total[at:][:size] += part[entering:][:size] - part[leaving:][:size]``."""
    if not isinstance(size, types.IntegerLiteral):
        return None
    n = size.literal_value

    def emit(context, builder, signature, args):
        pointer, vector = _block(context, builder, total, args[0], args[1], n)
        new, _ = _block(context, builder, part, args[2], args[3], n)
        old, _ = _block(context, builder, part, args[2], args[4], n)
        value = builder.add(_load(builder, pointer, total), builder.zext(_load(builder, new, part), vector))
        value = builder.sub(value, builder.zext(_load(builder, old, part), vector))
        _store(builder, value, pointer, total)
        return context.get_dummy_value()

    return types.void(total, types.int64, part, types.int64, types.int64, size), emit


def _count_up_to(typingctx, block, at, limit, size):
    """How many of ``block[at:][:size]`` are at most ``limit``."""
    if not isinstance(size, types.IntegerLiteral):
        return None
    n = size.literal_value

    def emit(context, builder, signature, args):
        pointer, vector = _block(context, builder, block, args[0], args[1], n)
        mask = builder.icmp_unsigned("<=", _load(builder, pointer, block), _splat(builder, args[2], vector, n))
        bits = builder.ctpop(builder.bitcast(mask, ir.IntType(n)))
        return builder.zext(bits, ir.IntType(64)) if n < 64 else bits

    return types.int64(block, types.int64, types.int64, size), emit


def _inside(typingctx, rows, columns, at, row, column, height, width):
    """Bit ``i``: whether ``(rows[at + i], columns[at + i])`` lies in the window that begins at ``(row, column)``."""

    def emit(context, builder, signature, args):
        mask = None
        for kind, array, first, size in (
            (rows, args[0], args[3], args[5]),
            (columns, args[1], args[4], args[6]),
        ):
            pointer, vector = _block(context, builder, kind, array, args[2], 64)
            offset = builder.sub(_load(builder, pointer, kind), _splat(builder, first, vector, 64))
            within = builder.icmp_unsigned("<", offset, _splat(builder, size, vector, 64))
            mask = within if mask is None else builder.and_(mask, within)
        return builder.bitcast(mask, ir.IntType(64))

    whole = types.int64
    return types.uint64(rows, columns, whole, whole, whole, whole, whole), emit


def _count_bits(typingctx, bits):
    """How many bits are set."""

    def emit(context, builder, signature, args):
        return builder.ctpop(args[0])

    return types.int64(types.uint64), emit


def _lowest_bit(typingctx, bits):
    """The number of the lowest bit that is set; there must be one."""

    def emit(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), emit


block_inside = intrinsic(_inside)
count_bits = intrinsic(_count_bits)
lowest_bit = intrinsic(_lowest_bit)
block_add = intrinsic(prefer_literal=True)(_add)
block_slide = intrinsic(prefer_literal=True)(_slide)
block_count_up_to = intrinsic(prefer_literal=True)(_count_up_to)
