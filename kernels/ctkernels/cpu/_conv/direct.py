"""The plain sum for few input channels (the first layer), written as LLVM IR.

With one or three channels a Winograd tile has almost nothing to multiply: moving it through memory costs more than the
nine products it saves. Here a block of windows has all its sums in registers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ctkernels.cpu._conv.lanes import REGISTER_BYTES, full
from ctkernels.cpu._conv.tiles import load_window_gradient, store_pooled, with_argmax
from ctkernels.cpu._core.vectors import Vectors, emits, whole

WINDOWS: Final = 3 if REGISTER_BYTES == 64 else 1
"""Windows of a block: of 4 sums and 2 registers each, 24 of 32 registers, or 8 of 16."""
SLICE: Final = 2 if REGISTER_BYTES == 64 else 1
"""Registers of output channels in the kernel's gradient: 9 sums and 4 gradients each."""


def _pool_block(v, count: int, first, x, row, channels, kernel, tap, bias, out, argmax, step) -> None:
    """``count`` neighbouring windows from number ``first`` on."""
    b = v.b
    # Window, row, column of each of the convolution's outputs.
    corners = [(w, r, q) for w in range(count) for r in (0, 1) for q in (0, 1)]
    origin = v.at(x, b.mul(first, b.mul(channels, whole(2))))
    offsets = [b.add(b.mul(row, whole(r)), v.at(whole(0), b.mul(channels, whole(2 * w + q)))) for w, r, q in corners]
    # A row of the kernel's 3 x channels numbers lies under as many neighbouring numbers of the image: one loop, three
    # numbers a step, so that one channel takes nine steps in a line (.75 of the time).
    across = b.mul(channels, whole(3))

    sums = [v.constant(0.0)] * (8 * count)
    for dy in range(3):
        source = b.add(origin, b.mul(row, whole(dy)))
        weights = b.add(kernel, b.mul(whole(dy), b.mul(across, tap)))

        def three(n, *state, source=source, weights=weights):
            for k in range(3):
                number = b.add(n, whole(k))
                pixels, taps = v.at(source, number), b.add(weights, b.mul(number, tap))
                w = [v.load(b.add(taps, whole(z * REGISTER_BYTES)), align=v.size) for z in range(2)]
                following = []
                for m, offset in enumerate(offsets):
                    pixel = v.splat(v.load(b.add(pixels, offset), v.scalar, v.size))
                    following += [v.muladd(pixel, w[z], state[2 * m + z]) for z in range(2)]
                state = tuple(following)
            return state

        # 4 outputs x 2 registers a window, in registers from the first tap to the maximum: nothing is stored between.
        sums = v.loop(whole(0), across, 3, three, sums)
    for w in range(count):
        offset = b.mul(b.add(first, whole(w)), step)
        for z in range(2):
            f = b.add(offset, whole(z * v.lanes))
            index = None if argmax is None else b.add(argmax, f)
            add = v.load(b.add(bias, whole(z * REGISTER_BYTES)), align=v.size)
            store_pooled(v, [sums[8 * w + 2 * k + z] for k in range(4)], add, v.at(out, f), index)


@emits(kinds=1)
def pool_row(b, kind, x, row, channels, kernel, tap, bias, windows, out, argmax, step):
    """A row of ``windows`` pooled outputs, two registers of channels wide, from 4 rows of an image.

    ``row`` bytes from row to row of ``x``, ``tap`` from one input channel of the kernel to the next, ``step`` numbers
    from window to window of ``out`` (``argmax``: as many bytes; none where the address is zero).
    """
    v = full(b, kind)

    def all_windows(argmax):
        def block(count):
            return lambda j: _pool_block(v, count, j, x, row, channels, kernel, tap, bias, out, argmax, step)

        if WINDOWS == 1:
            v.loop(whole(0), windows, 1, block(1))
            return
        # The last block is moved back over its neighbour, which rows of fewer windows than a block have not.
        with b.if_else(b.icmp_signed("<", windows, whole(WINDOWS))) as (few, many):
            with few:
                v.loop(whole(0), windows, 1, block(1))
            with many:
                v.blocks(windows, WINDOWS, block(WINDOWS))

    with_argmax(b, argmax, all_windows)


def _windows_gradient(v: Vectors, gradient, argmax, step, j) -> list[list[Any]]:
    """Gradients of the four outputs of window ``j``, for each register of channels."""
    b = v.b
    numbers = [b.add(b.mul(j, step), whole(z * v.lanes)) for z in range(SLICE)]
    return [load_window_gradient(v, v.at(gradient, k), b.add(argmax, k)) for k in numbers]


def _add_over_windows(v: Vectors, cells: list[Any], windows, one: Callable[..., Any]) -> None:
    """Add ``one(j, *sums)`` over all windows to the sums at addresses ``cells``, which stay in registers meanwhile."""
    start = [v.load(cell, align=v.size) for cell in cells]
    for cell, total in zip(cells, v.loop(whole(0), windows, 1, one, start), strict=True):
        v.store(total, cell, v.size)


@emits(kinds=1)
def add_row_gradient(b, kind, x, row, channels, gradient, argmax, step, windows, sums, tap, bias_sums):
    """Add a row of windows to the gradients of the kernel (9 x ``channels`` rows, ``tap`` bytes apart) and the bias.

    ``SLICE`` registers of output channels; ``x`` is the first of the 4 rows of an image, ``row`` bytes apart.
    """
    v = full(b, kind)
    registers = range(SLICE)

    def channel(c):
        taps = [b.mul(b.add(b.mul(channels, whole(t)), c), tap) for t in range(9)]
        cells = [b.add(b.add(sums, t), whole(z * REGISTER_BYTES)) for t in taps for z in registers]

        def one(j, *state):
            g = _windows_gradient(v, gradient, argmax, step, j)
            following = list(state)
            corner = v.at(x, b.add(b.mul(j, b.mul(channels, whole(2))), c))
            # Each of the 16 pixels is loaded once and goes to all taps under which an output sees it.
            for y in range(4):
                for q in range(4):
                    offset = b.add(b.mul(row, whole(y)), v.at(whole(0), b.mul(channels, whole(q))))
                    pixel = v.splat(v.load(b.add(corner, offset), v.scalar, v.size))
                    for r, s in ((r, s) for r in (0, 1) for s in (0, 1) if 0 <= y - r < 3 and 0 <= q - s < 3):
                        for z in registers:
                            k = (3 * (y - r) + q - s) * SLICE + z
                            following[k] = v.muladd(pixel, g[z][2 * r + s], following[k])
            return following

        _add_over_windows(v, cells, windows, one)

    def bias(j, *state):
        g = _windows_gradient(v, gradient, argmax, step, j)
        return [_sum(v, window, before) for window, before in zip(g, state, strict=True)]

    # One input channel at a time: the 9 sums of all at once would not fit the registers.
    v.loop(whole(0), channels, 1, channel)
    _add_over_windows(v, [b.add(bias_sums, whole(z * REGISTER_BYTES)) for z in registers], windows, bias)


def _sum(v: Vectors, window: list[Any], before):
    b = v.b
    return b.fadd(before, b.fadd(b.fadd(window[0], window[1]), b.fadd(window[2], window[3])))
