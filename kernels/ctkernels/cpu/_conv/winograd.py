"""Winograd's minimal filterings F(2 x 2, 3 x 3) and F(4 x 4, 3 x 3), and gradients by the latter, as LLVM IR.

A 2 x 2 tile of convolution outputs, which is also one window of the maximum, takes 16 multiplications a channel instead
of 36: with ``d`` the 4 x 4 inputs and ``g`` the 3 x 3 kernel, ``Y = A' [(G g G') * (B' d B)] A`` (Winograd 1980; Lavin
and Gray, arXiv:1509.09308).

Rounding: one more addition a factor than the plain sum, no divisions. Where the inputs of a tile are constant, or
constant along rows or columns, equal outputs stay equal in every bit (all other terms are exact zeros), so that ties
in the maximum are broken as in the plain convolution.

F(4 x 4, 3 x 3) has tiles of 2 x 2 windows and 36 multiplications instead of 144; see ``filterings``. The gradient of
the kernel is the adjoint of the same formula and as cheap.

Layout: 16 planes (36) of ``tiles x channels``, planes ``plane`` bytes and tiles ``tile`` bytes apart. A vector holds
neighbouring channels; channels that do not fill one are done one by one.
"""

from __future__ import annotations

from functools import partial

from ctkernels.cpu._conv.filterings import F2, F4, Filtering, outputs_adjoint_4
from ctkernels.cpu._conv.tiles import both, load_window_gradient, over_channels, store_pooled, with_argmax
from ctkernels.cpu._core.vectors import emits, whole


def _transform_inputs(
    filtering: Filtering, b, kind, x, row, channels, tiles, out, plane, tile, last_row=None, last_column=None
) -> None:
    def within(number, last):
        return number if last is None else b.select(b.icmp_signed("<", number, last), number, last)

    rows = [b.mul(row, within(whole(r), last_row)) for r in range(filtering.side)]

    def body(v, c):
        start = v.at(x, c)

        def column(number):
            top = b.add(start, v.at(whole(0), b.mul(within(number, last_column), channels)))
            return filtering.inputs(v, [v.load(b.add(top, r), align=v.size) for r in rows])

        def columns(first, count):
            return [column(b.add(first, whole(k))) for k in range(count)]

        _write_factors(filtering, v, tiles, v.at(out, c), plane, tile, columns)

    over_channels(b, kind, channels, body)


def _write_factors(filtering: Filtering, v, tiles, out, plane, tile, columns) -> None:
    """Factors of ``tiles`` tiles to planes; ``columns(first, count)`` gives their columns, transformed."""
    b, side = v.b, filtering.side

    # Two of a tile's columns were its left neighbour's: they stay in registers, transformed.
    def one(j, *before):
        first = b.add(b.mul(j, whole(filtering.tile)), whole(2))
        d = [list(before[:side]), list(before[side:]), *columns(first, filtering.tile)]
        factors = b.add(out, b.mul(j, tile))
        for r in range(side):
            for q, value in enumerate(filtering.inputs(v, [column[r] for column in d])):
                v.store(value, b.add(factors, b.mul(plane, whole(side * r + q))), v.size)
        return (*d[-2], *d[-1])

    # The first two columns before the loop, so that tiles in it compute only new ones.
    v.loop(whole(0), tiles, 1, one, [value for column in columns(whole(0), 2) for value in column])


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
def pool_outputs_4(b, kind, planes, plane, tile, windows, two_rows, channels, bias, out, argmax, line, step):
    """Products of F(4 x 4, 3 x 3) to pooled outputs: tiles of 2 x 2 windows, ``windows`` in a row.

    ``argmax`` is as in ``pool_outputs``. ``step`` numbers from window to window, ``line`` from row to row, whose second
    is left out unless ``two_rows``.
    """

    def body(argmax, v, f):
        add = v.load(v.at(bias, f), align=v.size)
        start, goal = v.at(planes, f), v.at(out, f)

        def one(columns):
            def tile_at(j):
                y = _tile_outputs(F4, v, b.add(start, b.mul(j, tile)), plane)
                corner = b.mul(j, b.mul(step, whole(2)))

                def row(r):
                    for q in range(columns):
                        window = [*y[2 * r][2 * q : 2 * q + 2], *y[2 * r + 1][2 * q : 2 * q + 2]]
                        offset = b.add(corner, b.add(b.mul(line, whole(r)), b.mul(step, whole(q))))
                        index = None if argmax is None else b.add(argmax, b.add(f, offset))
                        store_pooled(v, window, add, v.at(goal, offset), index)

                row(0)
                with b.if_then(b.icmp_signed("!=", two_rows, whole(0))):
                    row(1)

            return tile_at

        whole_tiles = b.sdiv(windows, whole(2))
        v.loop(whole(0), whole_tiles, 1, one(2))
        # Of an odd number of windows, the last tile has one column.
        v.loop(whole_tiles, b.sdiv(b.add(windows, whole(1)), whole(2)), 1, one(1))

    with_argmax(b, argmax, lambda asked: over_channels(b, kind, channels, partial(body, asked)))


@emits(kinds=1)
def pool_outputs(b, kind, planes, plane, tile, tiles, channels, bias, out, argmax, step):
    """Products of ``tiles`` tiles to pooled outputs, ``step`` numbers from tile to tile (argmax: as many bytes)."""

    def body(argmax, v, f):
        # Channels outside, tiles inside: the bias is loaded once.
        add = v.load(v.at(bias, f), align=v.size)
        start, goal = v.at(planes, f), v.at(out, f)

        def one(j):
            y = _tile_outputs(F2, v, b.add(start, b.mul(j, tile)), plane)
            offset = b.mul(j, step)
            index = None if argmax is None else b.add(argmax, b.add(f, offset))
            store_pooled(v, [*y[0], *y[1]], add, v.at(goal, offset), index)

        v.loop(whole(0), tiles, 1, one)

    with_argmax(b, argmax, lambda asked: over_channels(b, kind, channels, partial(body, asked)))


@emits(kinds=1)
def spread_gradient_4(b, kind, gradient, argmax, windows, two_rows, line, step, channels, out, plane, tile, sums):
    """Adjoint of ``pool_outputs_4``: gradients of a row of tiles to planes; the sum of all is added to ``sums``.

    ``windows``, ``two_rows``, ``line`` and ``step`` are those of ``pool_outputs_4``.
    """

    def body(v, f):
        goal, total, none = v.at(out, f), v.at(sums, f), v.constant(0.0)
        second = b.icmp_signed("!=", two_rows, whole(0))

        def one(columns):
            def tile_at(j, before):
                corner = b.add(f, b.mul(j, b.mul(step, whole(2))))
                # Rows of the tile's 4 x 4 outputs; where there is no window, its gradient is zero.
                y = [[none] * 4 for _ in range(4)]
                for r in (0, 1):
                    down = b.select(second, line, whole(0)) if r else whole(0)
                    for q in range(columns):
                        k = b.add(corner, b.add(down, b.mul(step, whole(q))))
                        window = load_window_gradient(v, v.at(gradient, k), b.add(argmax, k))
                        for n, g in enumerate(window):
                            y[2 * r + n // 2][2 * q + n % 2] = b.select(second, g, none) if r else g
                m = both([list(column) for column in zip(*y, strict=True)], lambda c: outputs_adjoint_4(v, c))
                factors = b.add(goal, b.mul(j, tile))
                for n in range(36):
                    v.store(m[n // 6][n % 6], b.add(factors, b.mul(plane, whole(n))), v.size)
                # The bias' gradient on the way: the windows' gradients are in registers anyway.
                rows = [b.fadd(b.fadd(row[0], row[1]), b.fadd(row[2], row[3])) for row in y]
                return (b.fadd(before, b.fadd(b.fadd(rows[0], rows[1]), b.fadd(rows[2], rows[3]))),)

            return tile_at

        whole_tiles = b.sdiv(windows, whole(2))
        found = v.loop(whole(0), whole_tiles, 1, one(2), [v.load(total, align=v.size)])
        found = v.loop(whole_tiles, b.sdiv(b.add(windows, whole(1)), whole(2)), 1, one(1), found)
        v.store(found[0], total, v.size)

    over_channels(b, kind, channels, body)


@emits(kinds=1)
def transform_gradients_4(b, kind, gradient, argmax, y, rows, x, columns, channels, tiles, out, plane, tile):
    """Gradients of windows, spread to their places, to the planes of F(4 x 4, 3 x 3).

    ``gradient`` and ``argmax`` are those of an image of ``rows x columns`` windows. The tiles' 6 x 6 places are those
    of windows of the rows ``y - 1`` to ``y + 1``, and of three columns a tile from ``x - 1`` on, of which neighbours
    share one; beyond the image there are zeros.
    """

    def body(v, f):
        none = v.constant(0.0)

        def window(row, column):
            there = b.and_(b.icmp_unsigned("<", row, rows), b.icmp_unsigned("<", column, columns))
            place = b.mul(b.add(b.mul(row, columns), column), channels)
            k = b.add(f, b.select(there, place, whole(0)))
            return [b.select(there, g, none) for g in load_window_gradient(v, v.at(gradient, k), b.add(argmax, k))]

        def two_columns(number):
            """Six places down in two columns, transformed."""
            found = [window(b.add(y, whole(r)), number) for r in (-1, 0, 1)]
            return [F4.inputs(v, [g[n] for g in found for n in (q, q + 2)]) for q in (0, 1)]

        def new_columns(first, count):
            start = b.add(x, b.sub(b.sdiv(first, whole(2)), whole(1)))
            return [column for k in range(count // 2) for column in two_columns(b.add(start, whole(k)))]

        _write_factors(F4, v, tiles, v.at(out, f), plane, tile, new_columns)

    over_channels(b, kind, channels, body)


@emits(kinds=1)
def write_outputs_4(b, kind, planes, plane, tile, pixels, four_rows, channels, out, row, pixel):
    """Products of F(4 x 4, 3 x 3) to four rows of ``pixels`` pixels each, or two unless ``four_rows``.

    An even number of pixels; the last tile has two columns where it is no multiple of four.
    """

    def body(v, f):
        start, goal = v.at(planes, f), v.at(out, f)

        def one(columns):
            def tile_at(j):
                y = _tile_outputs(F4, v, b.add(start, b.mul(j, tile)), plane)
                corner = b.add(goal, b.mul(j, b.mul(pixel, whole(4))))

                def two(first):
                    for r in (first, first + 1):
                        for q in range(columns):
                            offset = b.add(b.mul(row, whole(r)), b.mul(pixel, whole(q)))
                            v.store(y[r][q], b.add(corner, offset), v.size)

                two(0)
                with b.if_then(b.icmp_signed("!=", four_rows, whole(0))):
                    two(2)

            return tile_at

        whole_tiles = b.sdiv(pixels, whole(4))
        v.loop(whole(0), whole_tiles, 1, one(4))
        v.loop(whole_tiles, b.sdiv(b.add(pixels, whole(3)), whole(4)), 1, one(2))

    over_channels(b, kind, channels, body)
