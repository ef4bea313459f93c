"""The smallest or largest pixel of windows of any shape: a pixel may count twice, so runs of pixels are shared.

Lists of minima and maxima (``programs``) share pixels between rows of results alone. Minima also share between columns:
those of four neighbours, made once a row, make those of up to sixteen. A footprint is cut into runs along its rows,
equal runs below each other into piles; what several rows of results see of a run or a pile is made once, as a line, and
kept as long as windows see it. A line, and a row of results, is the minimum of any number of lines, each shifted.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from itertools import groupby, product
from typing import Any, Final, NamedTuple

import numpy as np
from numba.extending import register_jitable

from ctkernels.cpu._core import jit
from ctkernels.cpu._core.parallel import Band
from ctkernels.cpu._core.scratch import scratch
from ctkernels.cpu._core.vectors import I64, VECTOR_BYTES, Vectors, emits, is_integer, round_up, whole
from ctkernels.cpu._median.footprint_layout import Array, Mode, Reach, Sides, Tried, columns_of, reach_of, rows_of
from ctkernels.cpu._median.programs import Pixel
from ctkernels.cpu._median.selection import border_pixel, enter, serves

_TOGETHER: Final = 4
"""So many neighbours, or lines of them, make a longer one."""

_LONG: Final = (4, 8, 1 << 30)
"""From which length on runs and piles are made so; what is least for a window is tried."""

VECTORS: Final = 4
"""That are worked on at once."""

Ref = tuple[int, int, int]
"""A line's number, rows back from the last that was made, and columns from its first on."""

Runs = dict[tuple[int, int], list[int]]
"""Rows of a plane that have a run, by its first column and its length."""


class Plan(NamedTuple):
    """Lines are numbered; those of the planes' pixels with their border come first."""

    steps: Array
    """Of a new row of each plane: plane, line, first and last of ``sources``."""
    sources: Array
    """``Ref`` of what steps take, then of what results take."""
    results: int
    """The first of those."""
    depths: Array
    """Rows of each line that are kept."""
    begins: Array
    """The first row of each line among all that are kept, and their number."""
    reach: int
    above: int
    span: int
    planes: tuple[int, int]


class _Maker:
    """``long``: from which length on runs, and piles, are made of lines of four."""

    def __init__(self, runs: list[Runs], span: int, long: tuple[int, int]) -> None:
        self.span, self.long = span, long
        self.lines, self.steps = len(runs), list[tuple[int, int, list[Ref]]]()
        self.known: dict[Any, int] = {}
        self.results = [ref for z, of_plane in enumerate(runs) for ref in self._plane(z, of_plane)]
        self.cost = len(self.results) + sum(len(refs) + 1 for _, _, refs in self.steps)
        """Vectors that are read and written for one of results."""

    def _plane(self, plane: int, runs: Runs) -> list[Ref]:
        refs = []
        last = self.span - 1
        for (x, length), rows in runs.items():
            parts = self._across(plane, x, length)
            if len(parts) > 1 and len(rows) * (len(parts) - 1) > len(parts) + 1:
                parts = [(self._line(plane, parts), 0, 0)]
            for pile in _neighbours(rows):
                if len(parts) == 1:
                    refs += [(k, last - row, at) for k, row, at in self._down(plane, parts[0], pile)]
                else:
                    refs += [(k, last - y, at) for y in pile for k, _, at in parts]
        return refs

    def _across(self, plane: int, x: int, length: int) -> list[Ref]:
        """What the run is the minimum of."""
        line, wide = plane, 1
        while wide * _TOGETHER <= length >= self.long[0]:
            line = self._line(plane, [(line, 0, wide * k) for k in range(_TOGETHER)])
            wide *= _TOGETHER
        return [(line, 0, x + at) for at in _covering(length, wide)]

    def _down(self, plane: int, part: Ref, pile: list[int]) -> list[Ref]:
        """What neighbouring rows ``pile`` are the minimum of: lines, the last row that each sees, columns."""
        line, _, at = part
        high = 1
        while high * _TOGETHER <= len(pile) >= self.long[1]:
            line = self._line(plane, [(line, high * k, 0) for k in range(_TOGETHER)])
            high *= _TOGETHER
        return [(line, pile[0] + first + high - 1, at) for first in _covering(len(pile), high)]

    def _line(self, plane: int, sources: list[Ref]) -> int:
        key = tuple(sources)
        if key not in self.known:
            self.known[key] = self.lines
            self.steps.append((plane, self.lines, sources))
            self.lines += 1
        return self.known[key]


def _runs_of(reach: Reach) -> list[Runs]:
    """Of each plane."""
    rows: dict[tuple[int, int], list[int]] = {}
    for z, y, x in reach.pixels:
        rows.setdefault((z, y), []).append(x)
    found: list[Runs] = [{} for _ in range(reach.planes[1] - reach.planes[0] + 1)]
    for (z, y), columns in sorted(rows.items()):
        for run in _neighbours(columns):
            found[z].setdefault((run[0], len(run)), []).append(y)
    return found


def _neighbours(numbers: list[int]) -> list[list[int]]:
    """Rising numbers, cut where one is missing."""
    return [[n for _, n in group] for _, group in groupby(enumerate(sorted(numbers)), lambda pair: pair[1] - pair[0])]


def _covering(length: int, part: int) -> list[int]:
    """Where parts begin that cover a length; the last one may overlap."""
    return [*range(0, length - part, part), length - part]


@lru_cache(maxsize=128)
def plan(window: tuple[Pixel, ...]) -> Plan:
    """For the pixels of a window, counted from its centre."""
    reach = reach_of(window)
    runs = _runs_of(reach)
    made = min((_Maker(runs, reach.span, long) for long in product(_LONG, _LONG)), key=lambda maker: maker.cost)
    sources: list[Ref] = []
    steps = []
    for plane, line, refs in made.steps:
        steps.append((plane, line, len(sources), len(sources) + len(refs)))
        sources += refs
    depths: Counter[int] = Counter(dict.fromkeys(range(made.lines), 1))
    for line, back, _ in [*sources, *made.results]:
        depths[line] = max(depths[line], back + 1)
    kept = np.array([depths[k] for k in range(made.lines)])
    return Plan(
        np.array(steps, np.int64).reshape(-1, 4), np.array([*sources, *made.results], np.int64), len(sources),
        kept, np.append(0, np.cumsum(kept)), *reach[1:],
    )  # fmt: skip


def _emit(least: bool) -> Any:
    @emits(kinds=1)
    def reduced(builder, kind, table, number, target, count):
        """The minimum, or maximum, of ``count`` pixels at ``number`` addresses; whole blocks are written."""
        size = kind.bitwidth // 8
        lanes = VECTOR_BYTES // size
        b, v = builder, Vectors(builder, kind, lanes)
        compare = b.fcmp_ordered if not is_integer(kind) else b.icmp_signed if kind.signed else b.icmp_unsigned

        def loaded(k, x):
            row = b.load(b.inttoptr(v.at(table, k, 8), I64.as_pointer()))
            at = v.at(row, x)
            return [v.load(b.add(at, whole(n * lanes * size)), align=size) for n in range(VECTORS)]

        def block(x):
            def look(k, *best):
                kept = []
                for p, q in zip(best, loaded(k, x), strict=True):
                    less = compare("<", p, q)
                    kept.append(b.select(less, *((p, q) if least else (q, p))))
                return kept

            best = v.loop(whole(1), number, 1, look, loaded(whole(0), x))
            for n, value in enumerate(best):
                v.store(value, b.add(v.at(target, x), whole(n * lanes * size)), size)

        v.blocks(count, VECTORS * lanes, block)

    return reduced


_least, _largest = _emit(True), _emit(False)


@jit.jit_part
def _reduce(one, least, refs, first, last, lines, slots, depths, begins, stride, places, target, count):
    """One line, or row of results, from ``refs[first:last]``."""
    for i in range(first, last):
        line = refs[i, 0]
        slot = slots[line] - refs[i, 1]
        if slot < 0:
            slot += depths[line]
        places[i - first] = lines + (begins[line] + slot) * stride + refs[i, 2]
    if least:
        _least(one, places.ctypes.data, last - first, target, count)
    else:
        _largest(one, places.ctypes.data, last - first, target, count)


@jit.jit
def filter_rows(
    image, out, top, rows, row_of, tall, column_of, reach, span, least, steps, refs, results, depths, begins, slots,
    outside, stride, keys, made, places,
):  # fmt: skip
    """Rows ``top .. top + rows - 1`` of ``out``; False if some pixel is NaN or -0.

    Args:
        row_of: as ``program_rows.filter_rows`` takes it, ``tall`` rows a plane.
        steps, refs, results, depths, begins: as in ``Plan``, but columns in bytes.
        slots: memory for the last row of each line that was made.
        outside: the value there.
        stride: elements from one row of ``keys`` to the next.
        keys: memory for all lines.
        made: memory for a row of results.
        places: memory for addresses.
    """
    width = column_of.size - 2 * reach
    size, one = image.itemsize, image.dtype.type(0)
    lines, planes, done = keys.ctypes.data, row_of.size // tall, 0
    slots[:] = -1
    for y in range(rows):
        while done < y + span:
            for k in range(slots.size):
                slots[k] = slots[k] + 1 if slots[k] + 1 < depths[k] else 0
            for p in range(planes):
                begin = (begins[p] + slots[p]) * stride
                if enter(image, row_of[p * tall + done] * width, width, reach, column_of, outside, keys, begin):
                    return False
            for s in range(steps.shape[0]):
                line = steps[s, 1]
                target = lines + (begins[line] + slots[line]) * stride * size
                _reduce(
                    one, least, refs, steps[s, 2], steps[s, 3], lines, slots, depths, begins, stride * size, places,
                    target, stride,
                )  # fmt: skip
            done += 1
        to = (top + y) * width
        target = out.ctypes.data + to * size if made.size < 2 else made.ctypes.data
        _reduce(
            one, least, refs, results, refs.shape[0], lines, slots, depths, begins, stride * size, places, target,
            max(width, made.size),
        )  # fmt: skip
        if made.size > 1:
            for x in range(width):
                out[to + x] = made[x]
    return True


@register_jitable
def stride_of(width, reach, itemsize):
    """Pixels from one row of lines to the next."""
    return round_up(max(width + 2 * reach, VECTORS * VECTOR_BYTES // itemsize), 64 // itemsize)


def bind(
    sides: Sides, image: np.dtype[Any], window: tuple[Pixel, ...], rank: int, mode: Mode, cval: float
) -> Tried | None:
    """What filters bands; None for other ranks than the first and the last, and for rows that are too short."""
    depth, height, width = sides
    if rank not in (0, len(window) - 1) or not serves(image, width, mode, cval):
        return None
    made = plan(window)
    column_of, outside = columns_of(width, made.reach, mode), border_pixel(image, mode, cval)
    together = VECTORS * VECTOR_BYTES // image.itemsize
    stride = int(stride_of(width, made.reach, image.itemsize))
    rest = 1 if width >= together else together
    refs = made.sources * [1, 1, image.itemsize]
    least, tall = rank == 0, height + made.span - 1

    def tried(x: Array, out: Array, band: Band) -> bool:
        keys = scratch("rank.keys", int(made.begins[-1] + 2) * stride + together, image)
        results = scratch("rank.results", rest, image)
        places = scratch("rank.places", len(made.sources), np.int64)
        slots = scratch("rank.slots", made.depths.size, np.int64)
        flat, result = x.reshape(-1), out.reshape(-1)
        for part in rows_of(depth, height, band, made.planes, made.above, made.span, height, mode):
            done = filter_rows(
                flat, result, band[0] * height + part.first, part.last - part.first, part.row_of, tall, column_of,
                made.reach, made.span, least, made.steps, refs, made.results, made.depths, made.begins, slots,
                outside, stride, keys, results, places,
            )  # fmt: skip
            if not done:
                return False
        return True

    return tried
