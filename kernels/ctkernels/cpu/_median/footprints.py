"""Rank filters over windows of any shape: programs of minima and maxima, carried out on blocks of neighbouring pixels.

Nothing is compiled for a footprint: an instruction costs its decoding once for a block, a few nanoseconds for ``BLOCK``
bytes of pixels, and all that it touches stays in the first two levels of cache. Pixels become keys in rows with their
border, those of all planes that a window sees one below the other, so that every pixel of a window is a fixed number of
keys away. Floats are tried as whole numbers first (see ``rows``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

from ctkernels.contract import modes_of
from ctkernels.cpu._core import jit
from ctkernels.cpu._core.parallel import Band, bands, run
from ctkernels.cpu._core.scratch import scratch
from ctkernels.cpu._core.vectors import round_up
from ctkernels.cpu._median import footprint_ranks
from ctkernels.cpu._median.program_rows import BLOCK, filter_rows
from ctkernels.cpu._median.programs import Pixel, Program, program
from ctkernels.cpu._median.rows import PIXELS
from ctkernels.cpu._median.small import KEYS, border_key
from ctkernels.shared.border import border_index

Array = NDArray[Any]
Mode = str | tuple[str, ...]

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
def layout(
    pixels: tuple[Pixel, ...], rank: int, height: int, width: int, itemsize: int, most: int | None = None
) -> Layout:
    """``window_program`` for images of this size and keys of so many bytes; bands of ``most`` rows at most."""
    made, reach, above, span, seen = window_program(pixels, rank)
    stride = int(round_up(width + 2 * reach, 64 // itemsize))
    planes = seen[1] - seen[0] + 1
    outputs = len(made.outputs)
    rows = max(BAND_BYTES // (stride * itemsize * planes) - span, 4 * outputs)
    rows = int(round_up(min(rows, height), outputs)) if most is None else most
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


Tried = Callable[[Array, Array, Band], bool]
"""Filters a band of an image; False if some pixel has no key of the kind that it uses."""


def bind(
    shape: tuple[int, ...], image: np.dtype[Any], pixels: Iterable[Pixel], rank: int, mode: Mode, cval: float
) -> Callable[[Array, Array], None]:
    """What writes the value of one rank (0 is the smallest) around each pixel of an image to another.

    Args:
        shape: of images ``(N, H, W)`` or volumes ``(N, D, H, W)``.
        image: their dtype.
        pixels: of the window: (plane, row, column), counted from the pixel that it is the window of; for images all
            planes are 0.
        rank: below the number of ``pixels``.
        mode: how the border is extended, as in ``ctkernels.contract.MODES``; or of each axis.
        cval: the value outside for ``mode="constant"``.
    """
    window = tuple(sorted(pixels))
    sides = (shape[1] if len(shape) == 4 else 1, shape[-2], shape[-1])
    by_ranks = _rows_by_ranks(sides, image, window, rank)
    tries = []
    for key, kind in KEYS[image.char]:
        outside = border_key(mode, cval, key, kind)
        if by_ranks and int(key[1:]) == image.itemsize:
            tries.append(_by_ranks(sides, layout(window, rank, *sides[1:], 2, by_ranks), mode, cval))
        elif outside is not None:
            made = layout(window, rank, *sides[1:], int(key[1:]))
            tries.append(_by_keys(sides, made, mode, key, kind, outside))
    row_nanoseconds = sides[2] * 2.0 * len(window) ** 0.5

    def filtered(x: Array, out: Array) -> None:
        x = jit.one_type(x)
        planes = x.size // (sides[1] * sides[2])

        def body(band: Band) -> None:
            for tried in tries:
                if tried(x, out, band):
                    return

        run(bands(planes, sides[1], row_nanoseconds), body)

    return filtered


def rank_filter(x: Array, out: Array, pixels: Iterable[Pixel], rank: int, mode: Mode, cval: float) -> None:
    """``bind`` for these arrays, and the call."""
    bind(x.shape, x.dtype, pixels, rank, mode, cval)(x, out)


class _Rows(NamedTuple):
    """Rows of results that are made at once."""

    first: int
    last: int
    row_of: Array
    """The image's row for each row of keys, as ``filter_rows`` takes it."""


@lru_cache(maxsize=128)
def _rows_of(
    depth: int, height: int, band: Band, planes: tuple[int, int], above: int, span: int, rows: int, mode: Mode
) -> tuple[_Rows, ...]:
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
        parts.append(_Rows(first, last, row_of.reshape(-1)))
    return tuple(parts)


class _Memory(NamedTuple):
    keys: Array
    temporaries: Array
    results: Array


def _memory(made: Layout, width: int, key: str) -> _Memory:
    lanes = made.block // int(key[1:])
    line = int(round_up(width, lanes))
    groups, planes = made.outputs.size, made.planes[1] - made.planes[0] + 1
    rows = (made.rows + made.span - 1) * planes + groups
    return _Memory(
        scratch("rank.keys", rows * made.stride + line + lanes, key),
        scratch("rank.temporaries", made.temporaries, np.uint8),
        scratch("rank.results", groups * line, key),
    )


def _by_keys(sides: tuple[int, int, int], made: Layout, mode: Mode, key: str, kind: int, outside: Array) -> Tried:
    depth, height, width = sides
    column_of = border_index(width, made.reach, made.reach, modes_of(mode, 3)[2])

    def tried(x: Array, out: Array, band: Band) -> bool:
        memory = _memory(made, width, key)
        image, result = x.reshape(-1).view(np.uint8), out.reshape(-1).view(np.uint8)
        for part in _rows_of(depth, height, band, made.planes, made.above, made.span, made.rows, mode):
            done = filter_rows(
                image, result, band[0] * height + part.first, part.last - part.first, kind, part.row_of, column_of,
                made.reach, made.stride, outside, made.code, made.outputs, made.block, *memory,
            )  # fmt: skip
            if not done:
                return False
        return True

    return tried


def _rows_by_ranks(sides: tuple[int, int, int], image: np.dtype[Any], pixels: tuple[Pixel, ...], rank: int) -> int:
    """How many rows of results ranks take at once; 0 where they don't pay, or too few rows share them."""
    made = window_program(pixels, rank)
    outputs = len(made.program.outputs)
    if not footprint_ranks.pay(image, len(made.program.code) / outputs):
        return 0
    planes = made.planes[1] - made.planes[0] + 1
    seen = (footprint_ranks.MOST_PIXELS - 1) // (sides[2] * planes)
    rows = min(seen - made.span + 1, sides[1]) // outputs * outputs
    return rows if rows >= made.span else 0


def _by_ranks(sides: tuple[int, int, int], made: Layout, mode: Mode, cval: float) -> Tried:
    depth, height, width = sides
    column_of = border_index(width, made.reach, made.reach, modes_of(mode, 3)[2])

    def tried(x: Array, out: Array, band: Band) -> bool:
        memory = _memory(made, width, "u2")
        lines, filled = x.reshape(-1, width), out.reshape(-1)
        found = scratch("rank.found", made.rows * width, np.uint16)
        for part in _rows_of(depth, height, band, made.planes, made.above, made.span, made.rows, mode):
            needed = np.unique(part.row_of[part.row_of >= 0])
            ranks = scratch("rank.ranks", needed.size * width + 1, np.uint16)
            values = footprint_ranks.ranked(np.append(lines[needed], x.dtype.type(cval)), ranks)
            own = np.where(part.row_of >= 0, np.searchsorted(needed, part.row_of), part.row_of)
            filter_rows(
                ranks.view(np.uint8), found.view(np.uint8), 0, part.last - part.first, PIXELS, own, column_of,
                made.reach, made.stride, ranks[-1:], made.code, made.outputs, made.block, *memory,
            )  # fmt: skip
            start = (band[0] * height + part.first) * width
            footprint_ranks.values_of(found, values, filled[start : start + (part.last - part.first) * width])
        return True

    return tried
