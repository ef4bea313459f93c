"""Memory by address: words of a job, clearing, adding up partial sums."""

from __future__ import annotations

from llvmlite import ir
from numba.core import cgutils, types

from ctkernels.cpu._conv.tiles import over_channels
from ctkernels.cpu._core.vectors import I64, intrinsic, whole


@intrinsic
def size_of(typing, kind):
    """Bytes of a number, known when compiled."""

    def codegen(context, builder, signature, args):
        # A constant, so that products with it become shifts.
        return whole(kind.bitwidth // 8)

    return types.int64(kind), codegen


@intrinsic
def word(typing, address, index):
    """The int64 number ``index`` after an address."""

    def codegen(context, builder, signature, args):
        address = builder.add(args[0], builder.mul(args[1], whole(8)))
        return builder.load(builder.inttoptr(address, I64.as_pointer()))

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def set_word(typing, address, index, value):
    """Write the int64 number ``index`` after an address."""

    def codegen(context, builder, signature, args):
        address = builder.add(args[0], builder.mul(args[1], whole(8)))
        builder.store(args[2], builder.inttoptr(address, I64.as_pointer()))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def clear(typing, address, count):
    """Zero ``count`` bytes."""

    def codegen(context, builder, signature, args):
        cgutils.memset(builder, builder.inttoptr(args[0], ir.IntType(8).as_pointer()), args[1], 0)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def add_parts(typing, kind, parts, part, count, out, length):
    """``length`` sums over ``count`` rows ``part`` bytes apart, added in that order, to ``out``."""

    def codegen(context, builder, signature, args):
        b = builder
        _, parts, part, count, out, length = args

        def body(v, k):
            # In the order of the parts: the bits do not depend on which thread ended first.
            def add(p, total):
                return (b.fadd(total, v.load(b.add(v.at(parts, k), b.mul(p, part)), align=v.size)),)

            v.store(v.loop(whole(0), count, 1, add, (v.constant(0.0),))[0], v.at(out, k), v.size)

        over_channels(b, kind, length, body)
        return context.get_dummy_value()

    return types.void(kind, *[types.int64] * 5), codegen
