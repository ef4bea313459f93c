"""The plain sum for few input channels (the first layer), written as LLVM IR.

With one or three channels a Winograd tile has almost nothing to multiply: moving it through memory costs more than the
nine products it saves. Here a block of windows has all its sums in registers.
"""

from __future__ import annotations

from typing import Any, Final

from numba.core import types

from ctkernels.cpu._conv.lanes import REGISTER_BYTES, full
from ctkernels.cpu._conv.tiles import load_window_gradient, store_pooled
from ctkernels.cpu._core.vectors import Vectors, intrinsic, whole

WINDOWS: Final = 3 if REGISTER_BYTES == 64 else 1
"""Windows of a block: of 4 sums and 2 registers each, 24 of 32 registers, or 8 of 16."""
SLICE: Final = 2 if REGISTER_BYTES == 64 else 1
"""Registers of output channels in the kernel's gradient: 9 sums and 4 gradients each."""


@intrinsic
def pool_row(
    typing: Any,
    kind: Any,
    x: Any,
    row: Any,
    channels: Any,
    kernel: Any,
    tap: Any,
    bias: Any,
    windows: Any,
    out: Any,
    places: Any,
    step: Any,
) -> Any:
    """A row of ``windows`` pooled outputs, two registers of channels wide, from 4 rows of an image.

    ``row`` bytes from row to row of ``x``, ``tap`` from one input channel of the kernel to the next, ``step`` numbers
    from window to window of ``out`` (``places``: as many bytes; none where the address is zero).
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        b = builder
        _, x, row, channels, kernel, tap, bias, windows, out, places, step = args
        v = full(b, kind)
        across = b.mul(channels, whole(3))

        def block(count: int, first: Any) -> None:
            corners = [(w, r, q) for w in range(count) for r in (0, 1) for q in (0, 1)]
            origin = v.at(x, b.mul(first, b.mul(channels, whole(2))))
            away = [
                b.add(b.mul(row, whole(r)), v.at(whole(0), b.mul(channels, whole(2 * w + q)))) for w, r, q in corners
            ]

            def down(dy: Any, *sums: Any) -> Any:
                source = b.add(origin, b.mul(dy, row))
                weights = b.add(kernel, b.mul(dy, b.mul(across, tap)))

                def along(n: Any, *state: Any) -> Any:
                    here, taps = v.at(source, n), b.add(weights, b.mul(n, tap))
                    w = [v.load(b.add(taps, whole(z * REGISTER_BYTES)), align=v.size) for z in range(2)]
                    following = []
                    for k, offset in enumerate(away):
                        one = v.splat(v.load(b.add(here, offset), v.scalar, v.size))
                        following += [v.muladd(one, w[z], state[2 * k + z]) for z in range(2)]
                    return following

                return v.loop(whole(0), across, 1, along, sums)

            sums = v.loop(whole(0), whole(3), 1, down, [v.constant(0.0)] * (8 * count))
            for w in range(count):
                apart = b.mul(b.add(first, whole(w)), step)
                for z in range(2):
                    f = b.add(apart, whole(z * v.lanes))
                    index = b.select(b.icmp_signed("==", places, whole(0)), whole(0), b.add(places, f))
                    add = v.load(b.add(bias, whole(z * REGISTER_BYTES)), align=v.size)
                    store_pooled(v, [sums[8 * w + 2 * k + z] for k in range(4)], add, v.at(out, f), index)

        if WINDOWS == 1:
            v.loop(whole(0), windows, 1, lambda j: block(1, j))
        else:
            with b.if_else(b.icmp_signed("<", windows, whole(WINDOWS))) as (few, many):
                with few:
                    v.loop(whole(0), windows, 1, lambda j: block(1, j))
                with many:
                    v.blocks(windows, WINDOWS, lambda j: block(WINDOWS, j))
        return context.get_dummy_value()

    return types.void(kind, *[types.int64] * 10), codegen


@intrinsic
def add_row_gradient(
    typing: Any,
    kind: Any,
    x: Any,
    row: Any,
    channels: Any,
    gradient: Any,
    places: Any,
    step: Any,
    windows: Any,
    sums: Any,
    tap: Any,
    bias_sums: Any,
) -> Any:
    """Add a row of windows to the gradients of the kernel (9 x ``channels`` rows, ``tap`` bytes apart) and the bias.

    ``SLICE`` registers of output channels; ``x`` is the first of the 4 rows of an image, ``row`` bytes apart.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        b = builder
        _, x, row, channels, gradient, places, step, windows, sums, tap, bias_sums = args
        v = full(b, kind)
        parts = range(SLICE)

        def windows_gradient(j: Any) -> list[list[Any]]:
            apart = [b.add(b.mul(j, step), whole(z * v.lanes)) for z in parts]
            return [load_window_gradient(v, v.at(gradient, k), b.add(places, k)) for k in apart]

        def channel(c: Any) -> None:
            taps = [b.mul(b.add(b.mul(channels, whole(t)), c), tap) for t in range(9)]
            cells = [b.add(b.add(sums, t), whole(z * REGISTER_BYTES)) for t in taps for z in parts]

            def one(j: Any, *state: Any) -> Any:
                g = windows_gradient(j)
                following = list(state)
                corner = v.at(x, b.add(b.mul(j, b.mul(channels, whole(2))), c))
                for y in range(4):
                    for q in range(4):
                        away = b.add(b.mul(row, whole(y)), v.at(whole(0), b.mul(channels, whole(q))))
                        pixel = v.splat(v.load(b.add(corner, away), v.scalar, v.size))
                        for r, s in ((r, s) for r in (0, 1) for s in (0, 1) if 0 <= y - r < 3 and 0 <= q - s < 3):
                            for z in parts:
                                k = (3 * (y - r) + q - s) * SLICE + z
                                following[k] = v.muladd(pixel, g[z][2 * r + s], following[k])
                return following

            start = [v.load(cell, align=v.size) for cell in cells]
            for cell, total in zip(cells, v.loop(whole(0), windows, 1, one, start), strict=True):
                v.store(total, cell, v.size)

        def bias(j: Any, *state: Any) -> Any:
            return [_sum(v, g, before) for g, before in zip(windows_gradient(j), state, strict=True)]

        v.loop(whole(0), channels, 1, channel)
        cells = [b.add(bias_sums, whole(z * REGISTER_BYTES)) for z in parts]
        totals = v.loop(whole(0), windows, 1, bias, [v.load(cell, align=v.size) for cell in cells])
        for cell, total in zip(cells, totals, strict=True):
            v.store(total, cell, v.size)
        return context.get_dummy_value()

    return types.void(kind, *[types.int64] * 10), codegen


def _sum(v: Vectors, window: list[Any], before: Any) -> Any:
    b = v.b
    return b.fadd(before, b.fadd(b.fadd(window[0], window[1]), b.fadd(window[2], window[3])))
