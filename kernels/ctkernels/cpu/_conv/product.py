"""The matrix products at the heart of the convolution, written as LLVM IR: sums stay in registers.

Numba's own loops can't hold a block of sums in registers; LLVM's vectoriser keeps them in memory.
"""

from __future__ import annotations

from ctkernels.cpu._conv.lanes import REGISTER_BYTES, ROWS, full
from ctkernels.cpu._core.vectors import emits, whole


def _product(
    b,
    kind,
    left,
    left_row,
    left_step,
    right,
    right_step,
    out,
    out_row,
    rows,
    depth,
    *,
    accumulate: bool,
    registers: int = 2,
) -> None:
    v = full(b, kind)

    def block(first, count: int) -> None:
        """``count`` rows of sums from row ``first`` on: a step loads ``registers`` and ``count`` numbers."""
        cells = [(r, z) for r in range(count) for z in range(registers)]
        start = b.add(left, b.mul(first, left_row))
        target = b.add(out, b.mul(first, out_row))
        starts = [b.mul(left_row, whole(r)) for r in range(count)]
        goals = [b.add(b.add(target, b.mul(out_row, whole(r))), whole(z * REGISTER_BYTES)) for r, z in cells]
        sums = [v.load(p, align=v.size) if accumulate else v.constant(0.0) for p in goals]

        # Addresses are carried along instead of computed from the number of the step: two additions a step.
        def step(p, source, weights, *state):
            # The right side in vectors, the left one number after the other, spread over a vector: no transposition.
            w = [v.load(b.add(weights, whole(z * REGISTER_BYTES)), align=v.size) for z in range(registers)]
            following = []
            for r in range(count):
                number = v.splat(v.load(b.add(source, starts[r]), v.scalar, v.size))
                following += [v.muladd(number, w[z], state[registers * r + z]) for z in range(registers)]
            return (b.add(source, left_step), b.add(weights, right_step), *following)

        totals = v.loop(whole(0), depth, 1, step, (start, right, *sums))[2:]
        for goal, total in zip(goals, totals, strict=True):
            v.store(total, goal, v.size)

    # Rows are divided evenly, into blocks that differ by one: a last block of one row would keep the multipliers
    # waiting for each sum. The blocks that are one row larger come first.
    blocks = b.sdiv(b.add(rows, whole(ROWS - 1)), whole(ROWS))
    small = b.sdiv(rows, b.select(b.icmp_signed(">", blocks, whole(0)), blocks, whole(1)))
    larger = b.sub(rows, b.mul(small, blocks))
    middle = b.mul(larger, b.add(small, whole(1)))
    for count in range(1, ROWS + 1):
        first, last = whole(0), whole(0)
        is_small, is_large = (b.icmp_signed("==", small, whole(count - k)) for k in (0, 1))
        first = b.select(is_small, middle, whole(0))
        last = b.select(is_small, rows, b.select(is_large, middle, whole(0)))
        v.loop(first, last, count, lambda row, count=count: block(row, count))


@emits(kinds=1)
def product(b, kind, left, left_row, left_step, right, right_step, out, out_row, rows, depth):
    """``out[r, :] = sum over p of left[r, p] * right[p, :]``: any number of ``rows``, two registers wide.

    All but ``kind`` (a number of the type) are addresses, distances in bytes or counts.
    """
    _product(
        b, kind, left, left_row, left_step, right, right_step, out, out_row, rows, depth, accumulate=False
    )  # fmt: skip


@emits(kinds=1)
def add_product(b, kind, left, left_row, left_step, right, right_step, out, out_row, rows, depth):
    """As ``product``, added to what is in ``out``."""
    _product(
        b, kind, left, left_row, left_step, right, right_step, out, out_row, rows, depth, accumulate=True
    )  # fmt: skip


@emits(kinds=1)
def narrow_product(b, kind, left, left_row, left_step, right, right_step, out, out_row, rows, depth):
    """As ``product``, one register wide."""
    _product(
        b, kind, left, left_row, left_step, right, right_step, out, out_row, rows, depth, accumulate=False, registers=1
    )  # fmt: skip
