"""Operations on blocks of counters, emitted as explicit vector code.

A block is ``size`` neighbouring counters at an offset of a 1-D array; ``size`` is a compile-time constant. Written as
loops, these few instructions would drown in overlap checks and remainder loops, and the count would run in 64 bits.
LLVM cuts the vectors to the width that the processor has.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


def pointer_to_block(context, builder, kind, array, offset, size: int) -> tuple[Any, Any]:
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


def load_block(builder, pointer, kind):
    value = builder.load(pointer)
    value.align = kind.dtype.bitwidth // 8
    return value


def store_block(builder, value, pointer, kind):
    builder.store(value, pointer).align = kind.dtype.bitwidth // 8


def _add(typingctx, total, at, part, entering, size):
    """``total[at:][:size] += part[entering:][:size]``."""
    if not isinstance(size, types.IntegerLiteral):
        return None
    n = size.literal_value

    def emit(context, builder, signature, args):
        pointer, vector = pointer_to_block(context, builder, total, args[0], args[1], n)
        new, _ = pointer_to_block(context, builder, part, args[2], args[3], n)
        value = builder.zext(load_block(builder, new, part), vector)
        store_block(builder, builder.add(load_block(builder, pointer, total), value), pointer, total)
        return context.get_dummy_value()

    return types.void(total, types.int64, part, types.int64, size), emit


def _slide(typingctx, total, at, part, entering, leaving, size):
    """``total[at:][:size] += part[entering:][:size] - part[leaving:][:size]``."""
    if not isinstance(size, types.IntegerLiteral):
        return None
    n = size.literal_value

    def emit(context, builder, signature, args):
        pointer, vector = pointer_to_block(context, builder, total, args[0], args[1], n)
        new, _ = pointer_to_block(context, builder, part, args[2], args[3], n)
        old, _ = pointer_to_block(context, builder, part, args[2], args[4], n)
        value = builder.add(load_block(builder, pointer, total), builder.zext(load_block(builder, new, part), vector))
        value = builder.sub(value, builder.zext(load_block(builder, old, part), vector))
        store_block(builder, value, pointer, total)
        return context.get_dummy_value()

    return types.void(total, types.int64, part, types.int64, types.int64, size), emit


def _count_up_to(typingctx, block, at, limit, size):
    """How many of ``block[at:][:size]`` are at most ``limit``."""
    if not isinstance(size, types.IntegerLiteral):
        return None
    n = size.literal_value

    def emit(context, builder, signature, args):
        pointer, vector = pointer_to_block(context, builder, block, args[0], args[1], n)
        mask = builder.icmp_unsigned("<=", load_block(builder, pointer, block), _splat(builder, args[2], vector, n))
        bits = builder.ctpop(builder.bitcast(mask, ir.IntType(n)))
        return builder.zext(bits, ir.IntType(64)) if n < 64 else bits

    return types.int64(block, types.int64, types.int64, size), emit


def _places_inside(context, builder, kinds, args):
    """Of 64 places, given by an array for each axis: bit ``i`` says whether ``place[at + i]`` lies in a window.

    ``args`` are the arrays, ``at``, where the window begins on each axis, and its sides.
    """
    axes = (len(args) - 1) // 3
    arrays, at, first, sides = args[:axes], args[axes], args[axes + 1 : 2 * axes + 1], args[2 * axes + 1 :]
    # Saturated differences and one comparison: truth values that are combined LLVM takes apart one by one on AVX2.
    outside: Any = None
    for kind, array, begin, side in zip(kinds, arrays, first, sides, strict=True):
        pointer, vector = pointer_to_block(context, builder, kind, array, at, 64)
        offset = builder.sub(load_block(builder, pointer, kind), _splat(builder, begin, vector, 64))
        last = builder.sub(side, ir.Constant(side.type, 1))
        name = f"llvm.usub.sat.v64i{kind.dtype.bitwidth}"
        saturated = cgutils.get_or_insert_function(builder.module, ir.FunctionType(vector, [vector] * 2), name)
        beyond = builder.call(saturated, [offset, _splat(builder, last, vector, 64)])
        outside = beyond if outside is None else builder.or_(outside, beyond)
    inside = builder.icmp_unsigned("==", outside, ir.Constant(outside.type, None))
    return builder.bitcast(inside, ir.IntType(64))


def _inside(typingctx, rows, columns, at, row, column, height, width):
    """Places of an image."""
    kinds, whole = (rows, columns), types.int64

    def emit(context, builder, signature, args):
        return _places_inside(context, builder, kinds, args)

    return types.uint64(*kinds, whole, whole, whole, whole, whole), emit


def _inside_volume(typingctx, planes, rows, columns, at, plane, row, column, depth, height, width):
    """Places of a volume."""
    kinds, whole = (planes, rows, columns), types.int64

    def emit(context, builder, signature, args):
        return _places_inside(context, builder, kinds, args)

    return types.uint64(*kinds, whole, whole, whole, whole, whole, whole, whole), emit


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
block_inside_volume = intrinsic(_inside_volume)
count_bits = intrinsic(_count_bits)
lowest_bit = intrinsic(_lowest_bit)
block_add = intrinsic(prefer_literal=True)(_add)
block_slide = intrinsic(prefer_literal=True)(_slide)
block_count_up_to = intrinsic(prefer_literal=True)(_count_up_to)
