"""Winograd's transform of the kernel and its adjoint, written as LLVM IR; see ``winograd``."""

from __future__ import annotations

from llvmlite import ir
from numba.core import types

from ctkernels.cpu._conv.filterings import F2, F4, Filtering, kernel_adjoint_4
from ctkernels.cpu._conv.lanes import full
from ctkernels.cpu._conv.tiles import both, over_channels
from ctkernels.cpu._core.vectors import Vectors, emits, whole


def _transform_kernel(filtering: Filtering, b, kind, kernel, tap, row, rows, columns, out, plane, step) -> None:
    side = filtering.side

    # A row is an input channel; a vector holds output channels, as in the products that read the planes.
    def one_row(c):
        start, goal = b.add(kernel, b.mul(c, row)), b.add(out, b.mul(c, step))

        def body(v, f):
            taps = [v.load(b.add(v.at(start, f), b.mul(tap, whole(t))), align=v.size) for t in range(9)]
            # F(4, 3) has thirds in its weights: in float64, every factor is rounded once.
            exact = Vectors(b, types.float64, v.lanes) if filtering is F4 else v
            taps = [_converted(exact, t) for t in taps]
            u = both([taps[x::3] for x in range(3)], lambda g: filtering.kernel_terms(exact, g))
            for k in range(side * side):
                v.store(_converted(v, u[k // side][k % side]), b.add(v.at(goal, f), b.mul(plane, whole(k))), v.size)

        over_channels(b, kind, columns, body)

    full(b, kind).loop(whole(0), rows, 1, one_row)


def _converted(v: Vectors, value):
    """In the type of ``v``."""
    if value.type == v.type:
        return value
    return v.b.fpext(value, v.type) if isinstance(v.scalar, ir.DoubleType) else v.b.fptrunc(value, v.type)


@emits(kinds=1)
def transform_kernel(b, kind, kernel, tap, row, rows, columns, out, plane, step):
    """``columns`` columns of 9 matrices ``tap`` bytes apart (of ``rows`` rows, ``row`` bytes apart) to 16 planes.

    Rows of a plane are ``step`` bytes apart.
    """
    _transform_kernel(F2, b, kind, kernel, tap, row, rows, columns, out, plane, step)


@emits(kinds=1)
def transform_kernel_4(b, kind, kernel, tap, row, rows, columns, out, plane, step):
    """As ``transform_kernel``, to the 36 planes of F(4 x 4, 3 x 3)."""
    _transform_kernel(F4, b, kind, kernel, tap, row, rows, columns, out, plane, step)


@emits(kinds=1)
def finish_kernel_gradient(b, kind, parts, part, count, plane, step, rows, columns, out, tap, row):
    """Adjoint of ``transform_kernel_4``, of the sum of ``count`` sets of planes ``part`` bytes apart, in that order."""

    def one_row(c):
        start, goal = b.add(parts, b.mul(c, step)), b.add(out, b.mul(c, row))

        def body(v, f):
            exact = Vectors(b, types.float64, v.lanes)
            first = v.at(start, f)

            # Parts are added up here, a column of planes at a time, so that sums are never written. One loop for a
            # column, as LLVM takes its time over each: 36 loops compiled in five seconds, and again in every caller.
            def column(x):
                planes = [b.add(first, b.mul(plane, whole(k))) for k in range(x, 36, 6)]

                def add(n, *sums):
                    at = b.mul(n, part)
                    return [b.fadd(s, v.load(b.add(p, at), align=v.size)) for s, p in zip(sums, planes, strict=True)]

                return [_converted(exact, s) for s in v.loop(whole(0), count, 1, add, [v.constant(0.0)] * 6)]

            g = both([column(x) for x in range(6)], lambda terms: kernel_adjoint_4(exact, terms))
            for t in range(9):
                v.store(_converted(v, g[t // 3][t % 3]), b.add(v.at(goal, f), b.mul(tap, whole(t))), v.size)

        over_channels(b, kind, columns, body)

    full(b, kind).loop(whole(0), rows, 1, one_row)
