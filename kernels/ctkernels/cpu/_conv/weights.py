"""Winograd's transform of the kernel and its adjoint, written as LLVM IR; see ``_conv/winograd``."""

from __future__ import annotations

from typing import Any

from numba.core import types

from ctkernels.cpu._conv.lanes import full
from ctkernels.cpu._conv.tiles import both, kernel_adjoint, kernel_terms, over_channels
from ctkernels.cpu._core.vectors import Vectors, intrinsic, whole


@intrinsic
def transform_kernel(
    typing: Any, kind: Any, kernel: Any, tap: Any, row: Any, rows: Any, wide: Any, out: Any, plane: Any, step: Any
) -> Any:
    """``wide`` columns of 9 matrices ``tap`` bytes apart (of ``rows`` rows, ``row`` bytes apart) to 16 planes.

    Rows of a plane are ``step`` bytes apart.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        b = builder
        _, source, tap, row, rows, wide, target, plane, step = args

        def one_row(c: Any) -> None:
            start, goal = b.add(source, b.mul(c, row)), b.add(target, b.mul(c, step))

            def piece(v: Vectors, f: Any) -> None:
                taps = [v.load(b.add(v.at(start, f), b.mul(tap, whole(t))), align=v.size) for t in range(9)]
                u = both([taps[x::3] for x in range(3)], lambda g: kernel_terms(v, g))
                for k in range(16):
                    v.store(u[k // 4][k % 4], b.add(v.at(goal, f), b.mul(plane, whole(k))), v.size)

            over_channels(b, kind, wide, piece)

        full(b, kind).loop(whole(0), rows, 1, one_row)
        return context.get_dummy_value()

    return types.void(kind, *[types.int64] * 8), codegen


@intrinsic
def finish_kernel_gradient(
    typing: Any,
    kind: Any,
    parts: Any,
    part: Any,
    count: Any,
    plane: Any,
    step: Any,
    rows: Any,
    wide: Any,
    out: Any,
    tap: Any,
    row: Any,
) -> Any:
    """Adjoint of ``transform_kernel``, of the sum of ``count`` sets of planes ``part`` bytes apart, in that order."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        b = builder
        _, parts, part, count, plane, step, rows, wide, target, tap, row = args

        def one_row(c: Any) -> None:
            start, goal = b.add(parts, b.mul(c, step)), b.add(target, b.mul(c, row))

            def piece(v: Vectors, f: Any) -> None:
                place = v.at(start, f)

                def add(k: Any, *sums: Any) -> Any:
                    here = b.add(place, b.mul(k, part))
                    found = [v.load(b.add(here, b.mul(plane, whole(n))), align=v.size) for n in range(16)]
                    return [b.fadd(s, u) for s, u in zip(sums, found, strict=True)]

                u = v.loop(whole(0), count, 1, add, [v.constant(0.0)] * 16)
                g = both([u[x::4] for x in range(4)], lambda column: kernel_adjoint(v, column))
                for t in range(9):
                    v.store(g[t // 3][t % 3], b.add(v.at(goal, f), b.mul(tap, whole(t))), v.size)

            over_channels(b, kind, wide, piece)

        full(b, kind).loop(whole(0), rows, 1, one_row)
        return context.get_dummy_value()

    return types.void(kind, *[types.int64] * 10), codegen
