"""Memory by address: words of a job, clearing, adding up partial sums."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from ctkernels.cpu._conv.tiles import over_channels
from ctkernels.cpu._core.vectors import I64, Vectors, intrinsic, whole


@intrinsic
def size_of(typing: Any, kind: Any) -> Any:
    """Bytes of a number, known when compiled."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return whole(kind.bitwidth // 8)

    return types.int64(kind), codegen


@intrinsic
def word(typing: Any, address: Any, index: Any) -> Any:
    """The int64 number ``index`` after an address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = builder.add(args[0], builder.mul(args[1], whole(8)))
        return builder.load(builder.inttoptr(place, I64.as_pointer()))

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def set_word(typing: Any, address: Any, index: Any, value: Any) -> Any:
    """Write the int64 number ``index`` after an address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = builder.add(args[0], builder.mul(args[1], whole(8)))
        builder.store(args[2], builder.inttoptr(place, I64.as_pointer()))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def clear(typing: Any, address: Any, count: Any) -> Any:
    """Zero ``count`` bytes."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        cgutils.memset(builder, builder.inttoptr(args[0], ir.IntType(8).as_pointer()), args[1], 0)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def add_parts(typing: Any, kind: Any, parts: Any, part: Any, count: Any, out: Any, length: Any) -> Any:
    """``length`` sums over ``count`` rows ``part`` bytes apart, added in that order, to ``out``."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        b = builder
        _, parts, part, count, out, length = args

        def piece(v: Vectors, k: Any) -> None:
            def add(p: Any, total: Any) -> Any:
                return (b.fadd(total, v.load(b.add(v.at(parts, k), b.mul(p, part)), align=v.size)),)

            v.store(v.loop(whole(0), count, 1, add, (v.constant(0.0),))[0], v.at(out, k), v.size)

        over_channels(b, kind, length, piece)
        return context.get_dummy_value()

    return types.void(kind, *[types.int64] * 5), codegen
