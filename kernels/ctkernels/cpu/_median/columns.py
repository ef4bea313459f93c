"""Operations on column histograms of volumes, emitted as explicit vector code; blocks are as in ``blocks``.

A volume's window moves on by as many voxels a column as it has planes, so that what one voxel costs counts most: here
the cumulative coarse block stays in registers for all of them, and the fine counts are plain ones, a single counter
each, which ``block_cumulate`` sums up where the median is looked for.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ctkernels.cpu._median.blocks import load_block, pointer_to_block, store_block

_INT64 = ir.IntType(64)


def _slide_column(typingctx, coarse, at, fine, fine_at, step, ranks, entering, leaving, count, stride, size):
    """``count`` voxels, ``stride`` apart, enter the histograms of a column and as many leave.

    ``ranks`` is an array whose memory from ``entering`` and ``leaving`` on is read; ``step[b * size:]`` is what a voxel
    of the coarse bin ``b`` adds to a cumulative block.
    """
    if not isinstance(size, types.IntegerLiteral):
        return None
    n = size.literal_value
    shift = n.bit_length() - 1

    def emit(context, builder, signature, args):
        pointer, vector = pointer_to_block(context, builder, coarse, args[0], args[1], n)
        counts, table, pixels = (
            context.make_array(kind)(context, builder, value).data
            for kind, value in ((fine, args[2]), (step, args[4]), (ranks, args[5]))
        )
        counts = builder.gep(counts, [args[3]])
        block = cgutils.alloca_once_value(builder, load_block(builder, pointer, coarse))
        zero, one = ir.Constant(_INT64, 0), ir.Constant(_INT64, 1)
        align = coarse.dtype.bitwidth // 8

        def bin_steps(rank):
            high = builder.lshr(rank, ir.Constant(_INT64, shift))
            start = builder.gep(table, [builder.shl(high, ir.Constant(_INT64, shift))])
            return builder.load(builder.bitcast(start, vector.as_pointer()), align=align)

        def counted(rank, number: int) -> None:
            counter = builder.gep(counts, [rank])
            value = builder.load(counter)
            builder.store(builder.add(value, ir.Constant(value.type, number)), counter)

        with cgutils.for_range_slice(builder, zero, args[8], one, _INT64) as (k, _):
            offset = builder.mul(k, args[9])
            new, old = (
                builder.zext(builder.load(builder.gep(pixels, [builder.add(start, offset)])), _INT64)
                for start in (args[6], args[7])
            )
            # Padding and air: nothing changes.
            with builder.if_then(builder.icmp_unsigned("!=", new, old)):
                moved = builder.add(builder.load(block), bin_steps(new))
                builder.store(builder.sub(moved, bin_steps(old)), block)
                counted(new, 1)
                counted(old, -1)
        store_block(builder, builder.load(block), pointer, coarse)
        return context.get_dummy_value()

    whole = types.int64
    return types.void(coarse, whole, fine, whole, step, ranks, whole, whole, whole, whole, size), emit


def _cumulate(typingctx, total, at, part, start, size):
    """``total[at:][:size] = cumsum(part[start:][:size])``."""
    if not isinstance(size, types.IntegerLiteral):
        return None
    n = size.literal_value

    def emit(context, builder, signature, args):
        source, vector = pointer_to_block(context, builder, part, args[2], args[3], n)
        target, _ = pointer_to_block(context, builder, total, args[0], args[1], n)
        value, nothing = load_block(builder, source, part), ir.Constant(vector, None)
        half = 1
        while half < n:
            # The upper half of each pair of halves gets the sum of the lower one: inside 128 bits while it can be.
            mask = [i // half * half - 1 if i & half else n for i in range(n)]
            lanes = ir.Constant(ir.VectorType(ir.IntType(32), n), mask)
            value = builder.add(value, builder.shuffle_vector(value, nothing, lanes))
            half *= 2
        store_block(builder, value, target, total)
        return context.get_dummy_value()

    return types.void(total, types.int64, part, types.int64, size), emit


slide_column = intrinsic(prefer_literal=True)(_slide_column)
block_cumulate = intrinsic(prefer_literal=True)(_cumulate)
