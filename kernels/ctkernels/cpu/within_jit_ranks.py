"""Ranks of windows that are no odd boxes' medians for a user's own compiled code (see ``within_jit``).

The list of minima and maxima is made while the user's code is compiled, and laid out for an image by compiled code.
Ranks that are known only when it runs are selected bit by bit, without a list.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._core.jit import jit, jit_inline
from ctkernels.cpu._core.vectors import round_up
from ctkernels.cpu._median.footprint_layout import BAND_BYTES, block_of, reach_of, window_program
from ctkernels.cpu._median.program_rows import BLOCK, fill, filter_rows
from ctkernels.cpu._median.programs import Pixel
from ctkernels.cpu._median.rows import decode_row
from ctkernels.cpu.within_jit import aligned, border_table, key_outside

Array = NDArray[Any]


class Ranks(NamedTuple):
    """What ``rank_volumes`` takes of a window and a rank."""

    code: Array
    pixels: Array
    outputs: Array
    window: tuple[int, ...]
    """Temporaries, columns of border, rows above, rows that a window sees, its first and last plane."""


def ranks(pixels: tuple[Pixel, ...], rank: int) -> Ranks:
    """For a window of these pixels: (plane, row, column), counted from the one that it is the window of."""
    made = window_program(pixels, rank)
    kept = max(made.program.temporaries, 1)
    return Ranks(
        made.program.code,
        np.array(made.program.pixels or [(0, 0, 0)], np.int64),
        np.array(made.program.outputs, np.int64),
        (kept, made.reach, made.above, made.span, *made.planes),
    )


def any_rank(pixels: tuple[Pixel, ...]) -> Ranks:
    """The same for a rank that is not known yet."""
    made = reach_of(pixels)
    window = (1, made.columns, made.above, made.span, *made.planes)
    return Ranks(np.empty((0, 5), np.int64), np.array(made.pixels, np.int64), np.zeros(1, np.int64), window)


@jit
def select_rows(
    image, out, top, rows, kind, row_of, column_of, reach, stride, outside, places, rank, keys, found, counts, results
):
    """As ``filter_rows`` for one row at a time; ``places``: of the window's pixels, in keys.

    A rank's key is built from its highest bit on: a bit is set where no more than ``rank`` keys of the window are
    below. ``found`` and ``counts``: as many as are worked on together, which LLVM makes vectors of.
    """
    size = keys.itemsize
    number, small = keys.dtype.type, counts.dtype.type
    width = column_of.size - 2 * reach
    row_bytes = width * (4 if kind == 1 else 8 if kind == 2 else size)
    for r in range(row_of.size):
        if row_of[r] < -1:
            continue
        if not fill(keys, r * stride, width, reach, column_of, image, row_of[r] * row_bytes, kind, outside):
            return False
    lowest = np.iinfo(keys.dtype).min
    for y in range(rows):
        for x in range(0, width, found.size):
            found[:] = lowest
            for bit in range(8 * size - 1, -1, -1):
                step = np.int64(1) << bit
                counts[:] = 0
                for p in places:
                    part = keys[p + y * stride + x :]
                    for k in range(found.size):
                        counts[k] += small(part[np.uint64(k)] < number(found[k] + step))
                for k in range(found.size):
                    found[k] = number(found[k] + step) if counts[k] <= rank else found[k]
            for k in range(min(found.size, width - x)):
                results[x + k] = found[k]
        decode_row(results, 0, out, (top + y) * row_bytes, width, kind)
    return True


@jit_inline
def bytes_of(operand, pixels, rows, stride, size, block):
    """As ``footprint_layout.layout`` lays operands out."""
    k = operand >> 1
    if operand & 1:
        k = ((pixels[k, 0] * rows + pixels[k, 1]) * stride + pixels[k, 2]) * size
    else:
        k *= block
    return 2 * k + (operand & 1)


@jit_inline
def rows_seen(seen, planes, plane_of, plane, row_of, row, before, height, used):
    """As ``footprint_layout.Rows.row_of``, from a ``plane`` and a ``row`` of border tables on; ``used`` rows a plane.

    ``before``: planes before this volume's first.
    """
    tall = seen.size // planes
    for p in range(planes):
        of_plane = plane_of[plane + p]
        for y in range(tall):
            seen[p * tall + y] = -2 if y >= used else -1
            if y < used and of_plane >= 0 and row_of[row + y] >= 0:
                seen[p * tall + y] = (before + of_plane) * height + row_of[row + y]


@jit
def borders_of(sides, window, borders):
    """Where in the tables that follow a plane's and a row's window begins, and border tables of planes, rows, columns.

    ``window``: reach, rows above, rows, and the first and last plane.
    """
    depth, height, width = sides
    reach, above, span, low, high = window
    beyond, around = max(-low, high, 0), max(above, span - 1 - above, 0)
    plane_of, row_of = border_table(depth, beyond, borders[0]), border_table(height, around, borders[1])
    return beyond + low, around - above, plane_of, row_of, border_table(width, reach, borders[2])


@jit
def laid_out(program, outputs, pixels, tall, stride, size, block):
    """A program's instructions and its outputs in bytes, as ``footprint_layout.layout`` lays them out."""
    code, results_at = np.empty(program.shape, np.int64), np.empty(outputs.size, np.int64)
    for i in range(program.shape[0]):
        code[i, 0] = program[i, 0]
        code[i, 1] = bytes_of(program[i, 1], pixels, tall, stride, size, block)
        code[i, 2] = bytes_of(program[i, 2], pixels, tall, stride, size, block)
        code[i, 3], code[i, 4] = program[i, 3] * block, program[i, 4] * block
    for i in range(outputs.size):
        results_at[i] = bytes_of(outputs[i], pixels, tall, stride, size, block)
    return code, results_at


@jit
def placed(pixels, tall, stride, size):
    """Where a window's pixels lie from its first on, in units of which a pixel has ``size``."""
    places = np.empty(pixels.shape[0], np.int64)
    for i in range(places.size):
        places[i] = ((pixels[i, 0] * tall + pixels[i, 1]) * stride + pixels[i, 2]) * size
    return places


@jit
def rank_volumes(x, out, program, pixels, outputs, window, borders, cval, key, kind, rank):
    """Ranks of volumes ``(N, D, H, W)``, images with one plane each; False if some pixel has no key.

    ``rank``: None where a program knows it. ``borders``: of planes, rows, columns; ``key`` is an array of the type of
    keys, ``kind`` that of pixels.
    """
    number, depth, height, width = x.shape
    kept, reach, _, span, low, high = window
    size = key.itemsize
    block = block_of(width * size, kept) if rank is None else BLOCK
    stride = round_up(width + 2 * reach, 64 // size)
    planes, groups = high - low + 1, outputs.size
    rows = max(BAND_BYTES // (stride * size * planes) - span, 4 * groups)
    rows = round_up(min(rows, height), groups)
    tall = rows + span - 1
    code, results_at = laid_out(program, outputs, pixels, tall, stride, size, block)
    outside = np.zeros(1, key.dtype)
    if not key_outside(outside, x, borders, cval, kind):
        return False
    plane, row, plane_of, row_of, column_of = borders_of((depth, height, width), window[1:], borders)
    lanes = block // size
    line = round_up(width, lanes)
    keys = aligned(((rows * planes + planes * (span - 1) + groups) * stride + line + lanes) * size).view(key.dtype)
    temporaries, results = aligned(kept * block), aligned(groups * line * size).view(key.dtype)
    seen = np.empty(planes * tall, np.int64)
    if rank is not None:
        places = placed(pixels, tall, stride, 1)
        found = np.empty(lanes, key.dtype)
        counts = np.empty(lanes, np.int32)
    image, target = x.reshape(-1).view(np.uint8), out.reshape(-1).view(np.uint8)
    for n in range(number):
        for z in range(depth):
            for first in range(0, height, rows):
                last = min(first + rows, height)
                used = last - first + span - 1
                rows_seen(seen, planes, plane_of, z + plane, row_of, first + row, n * depth, height, used)
                top = (n * depth + z) * height + first
                if rank is None:
                    done = filter_rows(
                        image, target, top, last - first, kind, seen, column_of, reach, stride, outside, code,
                        results_at, block, keys, temporaries, results,
                    )  # fmt: skip
                else:
                    done = select_rows(
                        image, target, top, last - first, kind, seen, column_of, reach, stride, outside, places, rank,
                        keys, found, counts, results,
                    )  # fmt: skip
                if not done:
                    return False
    return True
