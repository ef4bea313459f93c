"""Ranks in place of floats with fractions, for long lists of minima and maxima.

What a list costs is the bytes of keys that it reads and writes. The pixels that a few rows of windows see, 65,536 at
most, are sorted once; what stands for a pixel is then its place in that order, two bytes instead of four or eight.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ctkernels.cpu._core.jit import jit
from ctkernels.cpu._core.parallel import Band
from ctkernels.cpu._core.scratch import scratch
from ctkernels.cpu._histogram.order import in_order
from ctkernels.cpu._median.footprint_layout import (
    Array,
    Mode,
    Sides,
    Tried,
    columns_of,
    layout,
    memory,
    rows_of,
    window_program,
)
from ctkernels.cpu._median.program_rows import filter_rows
from ctkernels.cpu._median.programs import Pixel
from ctkernels.cpu._median.rows import PIXELS

MOST_PIXELS = 1 << 16
_FEWEST_INSTRUCTIONS = {4: 450, 8: 300}
"""Instructions a row of results, from which on ranks take less time than keys of four bytes and than halves of doubles;
by bytes of a pixel, measured with AVX2."""


def ranked(pixels: Array, ranks: Array) -> Array:
    """The rank of each of the flat ``pixels`` to ``ranks``; returns the value of each rank, until the next call."""
    values, places = in_order(pixels)
    _number(places, ranks)
    return values


@jit
def _number(places, ranks):
    for i in range(places.size):
        ranks[np.uint64(places[i])] = i


class RankedRows(NamedTuple):
    """Rows of an image whose pixels are ranks."""

    ranks: Array
    """Flat; the last one is that of ``cval``."""
    values: Array
    """By rank."""
    row_of: Array
    """Where each row stands among these; below 0 as it came."""


def ranked_rows(lines: Array, row_of: Array, cval: float) -> RankedRows:
    """The rows of ``lines`` that ``row_of`` names, at most ``MOST_PIXELS - 1`` pixels; in this thread's scratch."""
    needed = np.unique(row_of[row_of >= 0])
    ranks = scratch("rank.ranks", needed.size * lines.shape[1] + 1, np.uint16)
    values = ranked(np.append(lines[needed], lines.dtype.type(cval)), ranks)
    return RankedRows(ranks, values, np.where(row_of >= 0, np.searchsorted(needed, row_of), row_of))


def values_of(ranks: Array, values: Array, out: Array) -> None:
    """``out = values[ranks]``; of flat arrays, the first so many of ``ranks``."""
    bits = np.dtype(f"u{values.itemsize}")
    _values_of(ranks, values.view(bits), out.view(bits))


@jit
def _values_of(ranks, values, out):
    for i in range(out.size):
        out[i] = values[np.uint64(ranks[i])]


def rows_at_once(sides: Sides, image: np.dtype[Any], window: tuple[Pixel, ...], rank: int) -> int:
    """How many rows of results ranks take at once; 0 where they don't pay, or too few rows share them."""
    made = window_program(window, rank)
    outputs = len(made.program.outputs)
    if image.kind != "f" or len(made.program.code) < outputs * _FEWEST_INSTRUCTIONS[image.itemsize]:
        return 0
    planes = made.planes[1] - made.planes[0] + 1
    seen = (MOST_PIXELS - 1) // (sides[2] * planes)
    rows = min(seen - made.span + 1, sides[1]) // outputs * outputs
    return rows if rows >= made.span else 0


def bind(sides: Sides, window: tuple[Pixel, ...], rank: int, mode: Mode, cval: float, rows: int) -> Tried:
    """What filters bands, so many ``rows`` at once."""
    depth, height, width = sides
    made = layout(window, rank, height, width, 2, rows)
    column_of = columns_of(width, made.reach, mode)

    def tried(x: Array, out: Array, band: Band) -> bool:
        kept = memory(made, width, "u2")
        lines, filled = x.reshape(-1, width), out.reshape(-1)
        found = scratch("rank.found", made.rows * width, np.uint16)
        for part in rows_of(depth, height, band, made.planes, made.above, made.span, made.rows, mode):
            ranks, values, own = ranked_rows(lines, part.row_of, cval)
            filter_rows(
                ranks.view(np.uint8), found.view(np.uint8), 0, part.last - part.first, PIXELS, own, column_of,
                made.reach, made.stride, ranks[-1:], made.code, made.outputs, made.block, *kept,
            )  # fmt: skip
            start = (band[0] * height + part.first) * width
            values_of(found, values, filled[start : start + (part.last - part.first) * width])
        return True

    return tried
