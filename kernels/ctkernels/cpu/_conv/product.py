"""The matrix products at the heart of the convolution, written as LLVM IR: sums stay in registers.

Numba's own loops can't hold a block of sums in registers; LLVM's vectoriser keeps them in memory.
"""

from __future__ import annotations

from typing import Any

from numba.core import types

from ctkernels.cpu._conv.lanes import REGISTER_BYTES, ROWS, full
from ctkernels.cpu._core.vectors import intrinsic, whole


def _emit(context: Any, builder: Any, signature: Any, args: Any, *, accumulate: bool) -> Any:
    b = builder
    kind = signature.args[0]
    v = full(b, kind)
    left, left_row, left_step, right, right_step, out, out_row, rows, depth = args[1:]
    cells = [(r, z) for r in range(ROWS) for z in range(2)]

    def block(first: Any) -> None:
        start = b.add(left, b.mul(first, left_row))
        target = b.add(out, b.mul(first, out_row))
        starts = [b.mul(left_row, whole(r)) for r in range(ROWS)]
        places = [b.add(b.add(target, b.mul(out_row, whole(r))), whole(z * REGISTER_BYTES)) for r, z in cells]
        sums = [v.load(p, align=REGISTER_BYTES) if accumulate else v.constant(0.0) for p in places]

        def step(p: Any, source: Any, weights: Any, *state: Any) -> Any:
            w = [v.load(b.add(weights, whole(z * REGISTER_BYTES)), align=REGISTER_BYTES) for z in range(2)]
            following = []
            for r in range(ROWS):
                one = v.splat(v.load(b.add(source, starts[r]), v.scalar, v.size))
                following += [v.muladd(one, w[z], state[2 * r + z]) for z in range(2)]
            return (b.add(source, left_step), b.add(weights, right_step), *following)

        found = v.loop(whole(0), depth, 1, step, (start, right, *sums))[2:]
        for place, total in zip(places, found, strict=True):
            v.store(total, place, REGISTER_BYTES)

    v.loop(whole(0), rows, ROWS, block)
    return context.get_dummy_value()


@intrinsic
def product(
    typing: Any,
    kind: Any,
    left: Any,
    left_row: Any,
    left_step: Any,
    right: Any,
    right_step: Any,
    out: Any,
    out_row: Any,
    rows: Any,
    depth: Any,
) -> Any:
    """``out[r, :] = sum over p of left[r, p] * right[p, :]``: ``rows`` (a multiple of ``ROWS``), two registers wide.

    All but ``kind`` (a number of the type) are addresses, distances in bytes or counts; ``right`` and ``out`` are
    aligned to a register.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _emit(context, builder, signature, args, accumulate=False)

    return types.void(kind, *[types.int64] * 9), codegen


@intrinsic
def add_product(
    typing: Any,
    kind: Any,
    left: Any,
    left_row: Any,
    left_step: Any,
    right: Any,
    right_step: Any,
    out: Any,
    out_row: Any,
    rows: Any,
    depth: Any,
) -> Any:
    """As ``product``, added to what is in ``out``."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _emit(context, builder, signature, args, accumulate=True)

    return types.void(kind, *[types.int64] * 9), codegen
