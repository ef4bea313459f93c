"""Ranks of doubles for a user's own compiled code (see ``within_jit``): ``_median.selection`` and ``halves``."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from ctkernels.cpu._core.jit import jit, jit_named
from ctkernels.cpu._core.vectors import round_up
from ctkernels.cpu._median import halves, selection
from ctkernels.cpu._median.footprint_layout import BAND_BYTES, block_of
from ctkernels.cpu.within_jit import aligned, border_table
from ctkernels.cpu.within_jit_ranks import bytes_of, rows_seen


@lru_cache(maxsize=64)
def selected_volumes(count: int, rank: int) -> Callable[..., bool]:
    """One rank of a window of so many ``pixels``; False if some pixel of an image is NaN or -0, or rows are short."""

    def selected(x, out, pixels, window, borders, cval):
        number, depth, height, width = x.shape
        _, reach, above, span, low, high = window
        if width < selection.LANES or not selection.is_plain(cval):
            return False
        planes = high - low + 1
        stride, rows = selection.stride_and_rows(width, height, reach, span, planes)
        tall = rows + span - 1
        places = np.empty(count, np.int64)
        for i in range(count):
            places[i] = ((pixels[i, 0] * tall + pixels[i, 1]) * stride + pixels[i, 2]) * 8
        beyond, around = max(-low, high, 0), max(above, span - 1 - above, 0)
        plane_of, row_of = border_table(depth, beyond, borders[0]), border_table(height, around, borders[1])
        column_of = border_table(width, reach, borders[2])
        keys, seen = aligned(tall * planes * stride * 8).view(np.float64), np.empty(planes * tall, np.int64)
        for n in range(number):
            for z in range(depth):
                for first in range(0, height, rows):
                    last = min(first + rows, height)
                    rows_seen(
                        seen, planes, plane_of, z + beyond + low, row_of, first + around - above, n * depth, height,
                        last - first + span - 1,
                    )  # fmt: skip
                    if not selection.copy_rows(x, seen, column_of, reach, stride, np.float64(cval), keys):
                        return False
                    for y in range(last - first):
                        to = out.ctypes.data + (((n * depth + z) * height + first + y) * width) * 8
                        base = keys.ctypes.data + y * stride * 8
                        selection.select_row(places.ctypes.data, base, to, width, count, rank)
        return True

    return jit_named(selected, f"selected_volumes_{rank}_of_{count}")


@jit
def halved_volumes(x, out, program, program_pixels, outputs, pixels, rank, window, borders, cval):
    """As ``within_jit_ranks.rank_volumes``; ``pixels`` are those of the window. False if too many are not settled."""
    number, depth, height, width = x.shape
    kept, reach, above, span, low, high = window
    if width < halves.LANES:
        return False
    block, stride = block_of(width * 4, kept), round_up(width + 2 * reach, 16)
    planes, groups = high - low + 1, outputs.size
    rows = max(BAND_BYTES // (stride * 4 * planes) - span, 4 * groups)
    rows = round_up(min(rows, height), groups)
    tall = rows + span - 1
    code, results_at = np.empty(program.shape, np.int64), np.empty(groups, np.int64)
    for i in range(program.shape[0]):
        code[i, 0] = program[i, 0]
        code[i, 1] = bytes_of(program[i, 1], program_pixels, tall, stride, 4, block)
        code[i, 2] = bytes_of(program[i, 2], program_pixels, tall, stride, 4, block)
        code[i, 3], code[i, 4] = program[i, 3] * block, program[i, 4] * block
    for i in range(groups):
        results_at[i] = bytes_of(outputs[i], program_pixels, tall, stride, 4, block)
    places = np.empty(pixels.shape[0], np.int64)
    for i in range(places.size):
        places[i] = ((pixels[i, 0] * tall + pixels[i, 1]) * stride + pixels[i, 2]) * 4
    outside = halves.halves_of(cval)
    beyond, around = max(-low, high, 0), max(above, span - 1 - above, 0)
    plane_of, row_of = border_table(depth, beyond, borders[0]), border_table(height, around, borders[1])
    column_of = border_table(width, reach, borders[2])
    lanes = block // 4
    line = round_up(width, lanes)
    size = ((rows + span - 1) * planes + groups) * stride + line + lanes
    uppers, lowers = aligned(size * 4).view(np.int32), aligned(size * 4).view(np.int32)
    temporaries, results = aligned(kept * block), aligned(groups * line * 4).view(np.int32)
    flags, seen = np.empty(width, np.int32), np.empty(planes * tall, np.int64)
    image, target = x.reshape(-1), out.reshape(-1)
    for n in range(number):
        for z in range(depth):
            for first in range(0, height, rows):
                last = min(first + rows, height)
                rows_seen(
                    seen, planes, plane_of, z + beyond + low, row_of, first + around - above, n * depth, height,
                    last - first + span - 1,
                )  # fmt: skip
                top = (n * depth + z) * height + first
                done: Any = halves.filter_halves(
                    image, target, top, last - first, seen, column_of, reach, stride, outside, code, results_at, block,
                    places, rank, uppers, lowers, temporaries, results, flags,
                )  # fmt: skip
                if not done:
                    return False
    return True
