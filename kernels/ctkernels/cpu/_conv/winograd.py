"""Winograd's minimal filterings F(2 x 2, 3 x 3), with its adjoint, and F(4 x 4, 3 x 3), written as LLVM IR.

A 2 x 2 tile of convolution outputs, which is also one window of the maximum, takes 16 multiplications a channel instead
of 36: with ``d`` the 4 x 4 inputs and ``g`` the 3 x 3 kernel, ``Y = A' [(G g G') * (B' d B)] A`` (Winograd 1980; Lavin
and Gray, arXiv:1509.09308). Both gradients are the adjoint of the same formula and as cheap.

Rounding: one more addition a factor than the plain sum, no divisions. Where the inputs of a tile are constant, or
constant along rows or columns, equal outputs stay equal in every bit (all other terms are exact zeros), so that ties
in the maximum are broken as in the plain convolution.

F(4 x 4, 3 x 3), for predictions, has tiles of 2 x 2 windows and 36 multiplications instead of 144; see ``filterings``.

Layout: 16 planes (36) of ``tiles x channels``, planes ``plane`` bytes and tiles ``tile`` bytes apart. A vector holds
neighbouring channels; channels that do not fill one are done one by one.
"""

from __future__ import annotations

from ctkernels.cpu._conv.filterings import F2, F4, Filtering
from ctkernels.cpu._conv.tiles import (
    both,
    inputs_adjoint,
    load_window_gradient,
    outputs_adjoint,
    over_channels,
    store_pooled,
)
from ctkernels.cpu._core.vectors import emits, whole


def _transform_inputs(
    filtering: Filtering, b, kind, x, row, channels, tiles, out, plane, tile, last_row=None, last_column=None
) -> None:
    side = filtering.side

    def within(number, last):
        return number if last is None else b.select(b.icmp_signed("<", number, last), number, last)

    rows = [b.mul(row, within(whole(r), last_row)) for r in range(side)]

    def body(v, c):
        start, goal = v.at(x, c), v.at(out, c)

        def column(number):
            top = b.add(start, v.at(whole(0), b.mul(within(number, last_column), channels)))
            return filtering.inputs(v, [v.load(b.add(top, r), align=v.size) for r in rows])

        # Two of a tile's columns were its left neighbour's: they stay in registers, transformed.
        def one(j, *before):
            first = b.mul(j, whole(filtering.tile))
            columns = [list(before[:side]), list(before[side:])]
            columns += [column(b.add(first, whole(k))) for k in range(2, side)]
            factors = b.add(goal, b.mul(j, tile))
            for r in range(side):
                for q, value in enumerate(filtering.inputs(v, [d[r] for d in columns])):
                    v.store(value, b.add(factors, b.mul(plane, whole(side * r + q))), v.size)
            return (*columns[-2], *columns[-1])

        # The first two columns before the loop, so that tiles in it compute only new ones.
        v.loop(whole(0), tiles, 1, one, (*column(whole(0)), *column(whole(1))))

    over_channels(b, kind, channels, body)


@emits(kinds=1)
def transform_inputs(b, kind, x, row, channels, tiles, out, plane, tile):
    """4 rows of an image, ``row`` bytes apart, to the planes of ``tiles`` tiles; neighbours share two columns."""
    _transform_inputs(F2, b, kind, x, row, channels, tiles, out, plane, tile)


@emits(kinds=1)
def transform_inputs_4(b, kind, x, row, channels, tiles, out, plane, tile, last_row, last_column):
    """6 rows to the planes of F(4 x 4, 3 x 3).

    ``last_row`` and ``last_column`` are the numbers of the last that there are. Where windows are odd in number a tile
    reaches beyond: it reads the last ones again, for outputs that have no window.
    """
    _transform_inputs(F4, b, kind, x, row, channels, tiles, out, plane, tile, last_row, last_column)


def _tile_outputs(filtering: Filtering, v, products, plane):
    """Rows of a tile's outputs."""
    b, side = v.b, filtering.side
    m = [v.load(b.add(products, b.mul(plane, whole(k))), align=v.size) for k in range(side * side)]
    return both([m[x::side] for x in range(side)], lambda column: filtering.outputs(v, column))


@emits(kinds=1)
def pool_outputs_4(b, kind, planes, plane, tile, windows, two_rows, channels, bias, out, line, step):
    """Products of F(4 x 4, 3 x 3) to pooled outputs: tiles of 2 x 2 windows, ``windows`` in a row.

    ``step`` numbers from window to window, ``line`` from row to row, whose second is left out unless ``two_rows``.
    """

    def body(v, f):
        add = v.load(v.at(bias, f), align=v.size)
        start, goal = v.at(planes, f), v.at(out, f)

        def one(columns):
            def tile_at(j):
                y = _tile_outputs(F4, v, b.add(start, b.mul(j, tile)), plane)
                corner = v.at(goal, b.mul(j, b.mul(step, whole(2))))

                def row(r):
                    for q in range(columns):
                        window = [*y[2 * r][2 * q : 2 * q + 2], *y[2 * r + 1][2 * q : 2 * q + 2]]
                        offset = b.add(b.mul(line, whole(r)), b.mul(step, whole(q)))
                        store_pooled(v, window, add, v.at(corner, offset), None)

                row(0)
                with b.if_then(b.icmp_signed("!=", two_rows, whole(0))):
                    row(1)

            return tile_at

        whole_tiles = b.sdiv(windows, whole(2))
        v.loop(whole(0), whole_tiles, 1, one(2))
        # Of an odd number of windows, the last tile has one column.
        v.loop(whole_tiles, b.sdiv(b.add(windows, whole(1)), whole(2)), 1, one(1))

    over_channels(b, kind, channels, body)


@emits(kinds=1)
def pool_outputs(b, kind, planes, plane, tile, tiles, channels, bias, out, argmax, step):
    """Products of ``tiles`` tiles to pooled outputs, ``step`` numbers from tile to tile (argmax: as many bytes)."""

    def body(v, f):
        # Channels outside, tiles inside: the bias is loaded once.
        add = v.load(v.at(bias, f), align=v.size)
        start, goal = v.at(planes, f), v.at(out, f)

        def one(j):
            y = _tile_outputs(F2, v, b.add(start, b.mul(j, tile)), plane)
            offset = b.mul(j, step)
            # 0 stays 0, which ``store_pooled`` knows: one code for both forms of the pass.
            index = b.select(b.icmp_signed("==", argmax, whole(0)), whole(0), b.add(b.add(argmax, f), offset))
            store_pooled(v, [*y[0], *y[1]], add, v.at(goal, offset), index)

        v.loop(whole(0), tiles, 1, one)

    over_channels(b, kind, channels, body)


@emits(kinds=1)
def spread_gradient(b, kind, gradient, argmax, step, tiles, channels, out, plane, tile, sums):
    """Adjoint of ``pool_outputs``: gradients of ``tiles`` windows to planes; their sum is added to ``sums``."""

    def body(v, f):
        goal, total = v.at(out, f), v.at(sums, f)

        # Nothing is scattered: the gradient is compared with all four argmax, and three of four are zeros.
        def one(j, before):
            k = b.add(f, b.mul(j, step))
            g = load_window_gradient(v, v.at(gradient, k), b.add(argmax, k))
            m = both([[g[0], g[2]], [g[1], g[3]]], lambda column: outputs_adjoint(b, column))
            factors = b.add(goal, b.mul(j, tile))
            for n in range(16):
                v.store(m[n // 4][n % 4], b.add(factors, b.mul(plane, whole(n))), v.size)
            # The bias' gradient on the way: the window's gradient is in registers anyway.
            return (b.fadd(before, b.fadd(b.fadd(g[0], g[1]), b.fadd(g[2], g[3]))),)

        v.store(v.loop(whole(0), tiles, 1, one, (v.load(total, align=v.size),))[0], total, v.size)

    over_channels(b, kind, channels, body)


@emits(kinds=1)
def gather_inputs(b, kind, planes, plane, tile, tiles, channels, carry, out, row, pixel):
    """Adjoint of ``transform_inputs``: overlapping 4 x 4 tiles are added up.

    ``out`` are the two upper rows, ``row`` bytes apart, complete now; ``carry`` are two rows from the tiles above (as
    wide as the tiles reach, pixels ``tile`` bytes apart), replaced by the two lower rows. Pixels of ``out`` are
    ``pixel`` bytes apart.
    """
    # Bytes of a carry row: two pixels a tile, and the two that the last one reaches beyond.
    reach = b.mul(b.add(b.mul(tiles, whole(2)), whole(2)), tile)

    def body(v, c):
        start, goal, rest = v.at(planes, c), v.at(out, c), v.at(carry, c)

        def finished(column, values):
            """Four rows of one column that no tile further right adds to."""
            # Two are complete with what the tiles above left; the other two wait for the tiles below.
            for r in (0, 1):
                kept = b.add(b.add(rest, b.mul(column, tile)), b.mul(reach, whole(r)))
                total = b.fadd(values[r], v.load(kept, align=v.size))
                v.store(values[r + 2], kept, v.size)
                v.store(total, b.add(b.add(goal, b.mul(column, pixel)), b.mul(row, whole(r))), v.size)

        def one(j, *before):
            products = b.add(start, b.mul(j, tile))
            m = [v.load(b.add(products, b.mul(plane, whole(k))), align=v.size) for k in range(16)]
            d = both([m[x::4] for x in range(4)], lambda column: inputs_adjoint(b, column))
            for q in (0, 1):
                values = [b.fadd(d[r][q], before[4 * q + r]) for r in range(4)]
                finished(b.add(b.mul(j, whole(2)), whole(q)), values)
            # The right neighbour adds to the other two columns: they wait in registers.
            return [d[r][q] for q in (2, 3) for r in range(4)]

        # The first tile has no left neighbour: zeros. What the last one leaves for the right is complete.
        last = v.loop(whole(0), tiles, 1, one, [v.constant(0.0)] * 8)
        for q in (0, 1):
            finished(b.add(b.mul(tiles, whole(2)), whole(q)), last[4 * q : 4 * q + 4])

    over_channels(b, kind, channels, body)


@emits(kinds=1)
def move_pixels(b, kind, source, source_step, out, out_step, count, channels):
    """Copy ``channels`` numbers of ``count`` pixels; a ``source_step`` of zero repeats one."""

    def body(v, c):
        def one(j):
            value = v.load(v.at(b.add(source, b.mul(j, source_step)), c), align=v.size)
            v.store(value, v.at(b.add(out, b.mul(j, out_step)), c), v.size)

        v.loop(whole(0), count, 1, one)

    over_channels(b, kind, channels, body)
