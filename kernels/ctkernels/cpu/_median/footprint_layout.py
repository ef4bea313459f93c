"""Where the pixels of a window and the rows that it sees lie in memory; made once a window and size of image."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

from ctkernels.contract import modes_of
from ctkernels.cpu._core.parallel import Band
from ctkernels.cpu._core.scratch import scratch
from ctkernels.cpu._core.vectors import round_up
from ctkernels.cpu._median.program_rows import BLOCK
from ctkernels.cpu._median.programs import Pixel, Program, program
from ctkernels.shared.border import border_index

Array = NDArray[Any]
Mode = str | tuple[str, ...]
Sides = tuple[int, int, int]
"""Of a volume; an image is one of a single plane."""

Tried = Callable[[Array, Array, Band], bool]
"""Filters a band of an image; False if some pixel has no key of the kind that it uses."""

TEMPORARY_BYTES = 128 << 10
"""Of all temporaries of a program, a quarter of the second-level cache, up to which an instruction goes on for more
blocks: decoding takes as long as the minima and maxima of a block."""

_MOST_BLOCKS = 16

BAND_BYTES = 256 << 10
"""Of keys that a band of rows has at once."""


def window_of(mask: Array, origin: int | tuple[int, ...] = 0) -> list[Pixel]:
    """The ones of a footprint of one to three axes, counted from the pixel that it is the window of."""
    places = np.argwhere(mask) - [n // 2 for n in mask.shape] - np.array(origin)
    return [(*(0,) * (3 - mask.ndim), *place) for place in places.tolist()]


class Layout(NamedTuple):
    """A program for rows of keys of one width."""

    code: Array
    outputs: Array
    block: int
    """Bytes of keys that an instruction works on."""
    temporaries: int
    """Bytes."""
    reach: int
    """Columns of border on each side."""
    stride: int
    """Keys from one row to the next."""
    above: int
    """Rows of border above the first."""
    span: int
    """Rows that a window sees of a plane."""
    rows: int
    """Rows of results of a band, at most; ``rows + span - 1`` rows of each plane are in memory."""
    planes: tuple[int, int]
    """The first and the last plane that a window sees, counted from its own."""


class Window(NamedTuple):
    """The program of a window, and how far it reaches; what does not depend on the image."""

    program: Program
    reach: int
    """Columns of border on each side."""
    above: int
    """Rows of border above the first."""
    span: int
    """Rows that it sees of a plane."""
    planes: tuple[int, int]
    """The first and the last plane that it sees, counted from its own."""


class Reach(NamedTuple):
    """Where the pixels of a window lie, and how far it reaches."""

    pixels: tuple[Pixel, ...]
    """Counted from the first of the planes, the first of the rows and ``reach`` columns left of the window's own."""
    columns: int
    above: int
    span: int
    planes: tuple[int, int]


def reach_of(pixels: tuple[Pixel, ...]) -> Reach:
    """``pixels`` are planes, rows and columns counted from the window's centre."""
    first = tuple(min(p[axis] for p in pixels) for axis in range(3))
    last = tuple(max(p[axis] for p in pixels) for axis in range(3))
    reach = max(-first[2], last[2], 0)
    moved = tuple((z - first[0], y - first[1], x + reach) for z, y, x in pixels)
    return Reach(moved, reach, -first[1], last[1] - first[1] + 1, (first[0], last[0]))


def window_program(pixels: tuple[Pixel, ...], rank: int) -> Window:
    """``pixels`` are planes, rows and columns counted from the window's centre."""
    made = reach_of(pixels)
    return Window(program(made.pixels, rank), made.columns, made.above, made.span, made.planes)


@register_jitable
def block_of(row, temporaries):
    """Bytes of a block for a row of so many bytes, which is cut into equal parts, and so many temporaries."""
    most = min(max(TEMPORARY_BYTES // (temporaries * BLOCK), 1), _MOST_BLOCKS) * BLOCK
    parts = (row + most - 1) // most
    return round_up((row + parts - 1) // parts, BLOCK)


@lru_cache(maxsize=128)
def layout(pixels: tuple[Pixel, ...], rank: int, height: int, width: int, itemsize: int, most: int = 0) -> Layout:
    """``window_program`` for images of this size and keys of so many bytes; bands of ``most`` rows, if that is said."""
    made, reach, above, span, seen = window_program(pixels, rank)
    stride = int(round_up(width + 2 * reach, 64 // itemsize))
    planes = seen[1] - seen[0] + 1
    outputs = len(made.outputs)
    rows = max(BAND_BYTES // (stride * itemsize * planes) - span, 4 * outputs)
    rows = most or int(round_up(min(rows, height), outputs))
    # The last rows of a group may lie below the band: they see the rows of the next plane, and nobody sees them.
    high = rows + span - 1
    places = np.array([((z * high + y) * stride + x) * itemsize for z, y, x in made.pixels] or [0])

    temporaries = max(made.temporaries, 1)
    block = int(block_of(width * itemsize, temporaries))

    def bytes_of(operands: Array) -> Array:
        k = operands // 2
        return 2 * np.where(operands % 2, places[np.minimum(k, places.size - 1)], k * block) + operands % 2

    code = made.code.copy()
    code[:, 1], code[:, 2] = bytes_of(code[:, 1]), bytes_of(code[:, 2])
    code[:, 3:] *= block
    return Layout(
        code, bytes_of(np.array(made.outputs)), block, temporaries * block, reach, stride, above, span, rows, seen
    )


class Rows(NamedTuple):
    """Rows of results that are made at once."""

    first: int
    last: int
    row_of: Array
    """The image's row for each row of keys, as ``filter_rows`` takes it."""


@lru_cache(maxsize=128)
def rows_of(
    depth: int, height: int, band: Band, planes: tuple[int, int], above: int, span: int, rows: int, mode: Mode
) -> tuple[Rows, ...]:
    """Those of a band, with what ``Layout`` says; kept for the next image of this size."""
    plane, begin, end = band
    volume, z = divmod(plane, depth)
    low, high = planes
    mode_z, mode_y, _ = modes_of(mode, 3)
    beyond = max(-low, high, 0)
    shown = border_index(depth, beyond, beyond, mode_z)[z + beyond + low : z + beyond + high + 1]
    reach = max(above, span - 1 - above, 0)
    table = border_index(height, reach, reach, mode_y)
    parts = []
    for first in range(begin, end, rows):
        last = min(first + rows, end)
        seen = table[first + reach - above : last + reach - above + span - 1]
        row_of = np.full((shown.size, rows + span - 1), -2, np.int64)
        source = (volume * depth + shown[:, np.newaxis]) * height + seen
        row_of[:, : seen.size] = np.where((shown[:, np.newaxis] >= 0) & (seen >= 0), source, -1)
        parts.append(Rows(first, last, row_of.reshape(-1)))
    return tuple(parts)


class Memory(NamedTuple):
    """What ``program_rows.filter_rows`` works on."""

    keys: Array
    temporaries: Array
    results: Array


def memory(made: Layout, width: int, key: str) -> Memory:
    """This thread's own."""
    lanes = made.block // int(key[1:])
    line = int(round_up(width, lanes))
    groups, planes = made.outputs.size, made.planes[1] - made.planes[0] + 1
    rows = (made.rows + made.span - 1) * planes + groups
    return Memory(
        scratch("rank.keys", rows * made.stride + line + lanes, key),
        scratch("rank.temporaries", made.temporaries, np.uint8),
        scratch("rank.results", groups * line, key),
    )


def columns_of(width: int, reach: int, mode: Mode) -> Array:
    """The column for each of a row's with its border."""
    return border_index(width, reach, reach, modes_of(mode, 3)[2])
