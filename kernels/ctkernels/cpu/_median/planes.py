"""Small-window medians of volumes that share along all three axes (see ``planes_plan``); a call filters a block.

A group of rows of all planes is first written out as keys with the border (``encode_rows``). Results are made two rows
at a time, strip by strip, two planes after two planes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._core import jit
from ctkernels.cpu._core.scratch import scratch
from ctkernels.cpu._core.vectors import round_up
from ctkernels.cpu._median.emit import lanes, planes_stage, stride, vector_bytes
from ctkernels.cpu._median.floats import plain_row
from ctkernels.cpu._median.planes_plan import CORE, PAIR, PLANE, QUAD, RESULT, planes_plan
from ctkernels.cpu._median.rows import FLOAT32, FLOAT64, PIXELS, decode_row, encode_row
from ctkernels.cpu._median.small import extend
from ctkernels.shared.border import border_index

Array = NDArray[Any]
Window = tuple[int, int, int]

_MOST_VOXELS = 343
"""Of a window. 7 x 7 x 7 takes 32 to 45 ns a voxel of int16, histograms 62; 9 x 9 x 9 as long as histograms."""

GROUP = 8
"""Rows of results whose keys are made at once: those of all planes of a block then stay in a second-level cache."""

MOST_KEYS = 1 << 17
"""Of a group of rows in all planes, where these are many enough all the same."""


@jit.jit
def encode_rows(keys, pitch, image, row_of, first, count, row_bytes, column_of, outside, kind):
    """Keys of ``count`` rows of all planes from number ``first`` of ``row_of`` on, ``pitch`` apart, with the border.

    ``image`` is flat bytes. False if a pixel has no key.
    """
    width = row_bytes // (4 if kind == FLOAT32 else 8 if kind == FLOAT64 else keys.itemsize)
    reach = (column_of.size - width) // 2
    for i in range(row_of.shape[0] * count):
        begin = i * pitch + reach
        row = row_of[i // count, first + i % count]
        if row < 0:
            for x in range(begin - reach, begin + width + reach):
                keys[x] = outside[0]
        elif plain_row(keys, image, row * row_bytes, width) and encode_row(
            keys, begin, image, row * row_bytes, width, kind
        ):
            extend(keys, begin, width, reach, column_of, outside[0])
        else:
            return False
    return True


@lru_cache(maxsize=32)
def kernel(planes: int, rows: int, columns: int) -> Callable[..., bool]:
    """The filter for one window size; compiled once for each key type."""
    made = planes_plan(planes, rows, columns)
    vector, strip_bytes, temporary, last_line = vector_bytes(made), made.strip_bytes, made.height, made.ranks - 1
    pairs, core, own, record, evens, odds = made.pairs, made.core, made.own, made.record, made.evens, made.odds
    three, seven = planes == 3, planes == 7
    # Results of a stage, and for how many rows it runs apart.
    results, parts = (4, 1) if three else (2, 2)
    result_at = len(made.roles(RESULT)) - results

    def filter_rows(
        image, out, place, plane_bytes, depth, height, row_of, column_of, outside, kind, keys, pitch, table, lists, step
    ):
        """Medians of ``depth`` planes of ``height`` rows to ``out[place:]``, whose planes are ``plane_bytes`` apart.

        ``row_of`` says which row of ``image`` stands for (plane, row) of the block and its reach. Rows of keys are
        ``pitch`` apart, ranks of ``lists`` ``step``. False if a pixel has no key of this type.
        """
        key_bytes = lists.itemsize
        lane = vector // key_bytes
        pixel_bytes = 4 if kind == FLOAT32 else 8 if kind == FLOAT64 else key_bytes
        # Medians of 32 and 64 bits leave as floats; those of narrow volumes, and keys, go through a line.
        as_they_are = kind == PIXELS or key_bytes >= 4
        width = column_of.size - columns + 1
        row_bytes = width * pixel_bytes
        to_image = as_they_are and width >= lane
        written = max(width, lane)
        strips = (written * key_bytes + strip_bytes - 1) // strip_bytes
        strip = (written + strips - 1) // strips
        keys_address, out_address, lists_address = keys.ctypes.data, out.ctypes.data, lists.ctypes.data
        rank_bytes = step * key_bytes
        record_bytes = record * rank_bytes
        # What is kept, one after the other: what a plane's stage needs, records, the core, lines of results.
        even_records = lists_address + temporary * rank_bytes
        odd_records = even_records + evens * record_bytes
        pair_records = odd_records + odds * record_bytes
        quad = pair_records + 2 * pairs * record_bytes
        core_list = quad + (4 * record_bytes if seven else 0)
        for y in range(0, height, 2):
            in_group = y % GROUP
            if in_group == 0:
                read = min(GROUP, height - y + height % 2) + rows - 1
                if not encode_rows(keys, pitch, image, row_of, y, read, row_bytes, column_of, outside, kind):
                    return False
            for s in range(strips):
                x = min(s * strip, written - strip)
                entered = 0
                for z in range(0, depth, 2):
                    while entered <= z + planes:
                        number = entered // 2
                        even = even_records + number % evens * record_bytes
                        odd = odd_records + number % odds * record_bytes
                        for r in range(rows + 1):
                            table[r] = keys_address + ((entered * read + in_group + r) * pitch + x) * key_bytes
                        table[rows + 1] = odd if entered % 2 else even
                        planes_stage(PLANE, lists, table, strip, planes, rows, columns)
                        if not three and entered % 2 == 0 and entered > 0:
                            table[0], table[1] = odd, even
                            table[2] = pair_records + (number - 1) % pairs * 2 * record_bytes
                            planes_stage(PAIR, lists, table, strip, planes, rows, columns)
                        entered += 1
                    # The core begins with pair number ``first``: planes ``z + 1`` and ``z + 2``.
                    first = z // 2
                    low = even_records + first % evens * record_bytes
                    high = odd_records + (first + pairs) % odds * record_bytes
                    a, b, a_planes = pair_records, pair_records, 2
                    if three:
                        a = odd_records + first % odds * record_bytes
                        b = even_records + (first + 1) % evens * record_bytes
                    else:
                        a += first % pairs * 2 * record_bytes
                        b += (first + 1) % pairs * 2 * record_bytes
                        if seven:
                            # A quad serves two groups: with the pair after it, then with the one before.
                            if first == 0 or first % 2 == 1:
                                begin = first + first % 2
                                table[0] = pair_records + begin % pairs * 2 * record_bytes
                                table[1] = pair_records + (begin + 1) % pairs * 2 * record_bytes
                                table[2] = quad
                                planes_stage(QUAD, lists, table, strip, planes, rows, columns)
                            a, a_planes = quad, 4
                            b = pair_records + (first + (0 if first % 2 else 2)) % pairs * 2 * record_bytes
                        table[0], table[1], table[2] = a, b, core_list
                        planes_stage(CORE, lists, table, strip, planes, rows, columns)
                    for part in range(parts):
                        own_at = (core + part * own) * rank_bytes
                        if three:
                            table[0], table[1], table[2], table[3] = a, b, low, high
                        else:
                            table[0], table[1], table[2] = core_list, a + a_planes * own_at, b + 2 * own_at
                            table[3], table[4], table[5], table[6] = low, low + own_at, high, high + own_at
                        for k in range(results):
                            row, plane = y + part + k // 2, z + k % 2
                            table[result_at + k] = lists_address + (last_line - k) * rank_bytes
                            if to_image and plane < depth and row < height:
                                at = place + plane * plane_bytes + (row * width + x) * pixel_bytes
                                table[result_at + k] = out_address + at
                        planes_stage(RESULT, lists, table, strip, planes, rows, columns)
                        if not to_image:
                            for k in range(results):
                                row, plane = y + part + k // 2, z + k % 2
                                if plane < depth and row < height:
                                    at = place + plane * plane_bytes + (row * width + x) * pixel_bytes
                                    of = PIXELS if as_they_are else kind
                                    decode_row(lists, (last_line - k) * step, out, at, min(strip, width), of)
        return True

    return jit.jit_named(filter_rows, f"filter_rows_{planes}x{rows}x{columns}")


class Block(NamedTuple):
    """Planes and rows of results, and where their windows look."""

    first: tuple[int, int]
    """The first plane and row."""
    shape: tuple[int, int]
    row_of: Array
    """For each plane and row of the block and its reach the row of the volume, -1 for none."""
    column_of: Array


def serves(size: Window, itemsize: int) -> bool:
    """Whether windows of this size are filtered here."""
    planes, rows, columns = size
    return planes in (3, 5, 7) and min(rows, columns) >= 3 and planes * rows * columns <= _MOST_VOXELS


@lru_cache(maxsize=64)
def blocks(shape: Window, first: int, last: int, size: Window, mode: str) -> list[Block]:
    """What the rows from ``first`` to ``last`` of a volume are cut into: some planes each."""
    depth, height, width = shape
    plane_of, row_of, column_of = (
        border_index(length, side // 2, side // 2, mode) for length, side in zip(shape, size, strict=True)
    )
    row_of = _even(row_of[first : last + size[1] - 1], last - first)
    # A block begins with planes of which no result is made.
    planes = max(MOST_KEYS // ((GROUP + size[1]) * (width + size[2])), 8 * size[0]) // 2 * 2
    made = []
    for z in range(0, depth, planes):
        count = min(planes, depth - z)
        planes_of = _even(plane_of[z : z + count + size[0] - 1], count)[:, np.newaxis]
        seen = np.where((planes_of >= 0) & (row_of >= 0), planes_of * height + row_of, -1)
        made.append(Block((z, first), (count, last - first), seen, column_of))
    return made


def _even(index: Array, count: int) -> Array:
    """One more for an odd number of results: those are made two by two."""
    return np.append(index, index[-1:]) if count % 2 else index


def filter_block(
    image: Array, out: Array, shape: Window, block: Block, window: Window, key: str, kind: int, outside: Array
) -> bool:
    """Medians of a block of the volume ``image`` (flat bytes); False if some pixel has no key of this type."""
    made = planes_plan(*window)
    width, row_of, column_of = shape[2], block.row_of, block.column_of
    itemsize = int(key[1:])
    lane, step = lanes(made, itemsize), stride(made, itemsize)
    pitch = round_up(max(width, lane) + column_of.size - width, lane) + lane
    read = GROUP + window[1] - 1
    keys = scratch("median.keys_of_rows", row_of.shape[0] * read * pitch, key)
    table = scratch("median.roles", 64, np.int64)
    lists = scratch("median.lists", made.ranks * step, key)
    row_bytes = width * (itemsize if kind == PIXELS else 4 if kind == FLOAT32 else 8)
    plane_bytes = shape[1] * row_bytes
    place = block.first[0] * plane_bytes + block.first[1] * row_bytes
    where = (image, out, place, plane_bytes, *block.shape, row_of, column_of, outside, kind)
    return kernel(*window)(*where, keys, pitch, table, lists, step)
