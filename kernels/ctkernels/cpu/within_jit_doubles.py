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
from ctkernels.cpu.within_jit import aligned
from ctkernels.cpu.within_jit_ranks import borders_of, laid_out, placed, rows_seen


@lru_cache(maxsize=64)
def selected_volumes(count: int, rank: int) -> Callable[..., bool]:
    """One rank of a window of so many ``pixels``; False if some pixel of an image is NaN or -0, or rows are short."""

    def selected(x, out, pixels, window, borders, cval):
        number, depth, height, width = x.shape
        _, reach, _, span, low, high = window
        if width < selection.lanes_of(8) or not selection.is_plain(cval):
            return False
        planes = high - low + 1
        stride, rows = selection.stride_and_rows(width, height, reach, span, planes)
        tall = rows + span - 1
        places = placed(pixels, tall, stride, 8)
        plane, row, plane_of, row_of, column_of = borders_of((depth, height, width), window[1:], borders)
        keys, seen = aligned(tall * planes * stride * 8).view(np.float64), np.empty(planes * tall, np.int64)
        for n in range(number):
            for z in range(depth):
                for first in range(0, height, rows):
                    last = min(first + rows, height)
                    rows_seen(
                        seen, planes, plane_of, z + plane, row_of, first + row, n * depth, height,
                        last - first + span - 1,
                    )  # fmt: skip
                    if not selection.copy_rows(x, seen, column_of, reach, stride, np.float64(cval), keys):
                        return False
                    for y in range(last - first):
                        to = out.ctypes.data + (((n * depth + z) * height + first + y) * width) * 8
                        base = keys.ctypes.data + y * stride * 8
                        selection.select_row(0.0, places.ctypes.data, base, to, width, count, rank)
        return True

    return jit_named(selected, f"selected_volumes_{rank}_of_{count}")


@jit
def halved_volumes(x, out, program, program_pixels, outputs, pixels, rank, window, borders, cval):
    """As ``within_jit_ranks.rank_volumes``; ``pixels`` are those of the window. False if too many are not settled."""
    number, depth, height, width = x.shape
    kept, reach, _, span, low, high = window
    if width < halves.LANES:
        return False
    block, stride = block_of(width * 4, kept), round_up(width + 2 * reach, 16)
    planes, groups = high - low + 1, outputs.size
    rows = max(BAND_BYTES // (stride * 4 * planes) - span, 4 * groups)
    rows = round_up(min(rows, height), groups)
    tall = rows + span - 1
    code, results_at = laid_out(program, outputs, program_pixels, tall, stride, 4, block)
    places = placed(pixels, tall, stride, 4)
    outside = halves.halves_of(cval)
    plane, row, plane_of, row_of, column_of = borders_of((depth, height, width), window[1:], borders)
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
                    seen, planes, plane_of, z + plane, row_of, first + row, n * depth, height,
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
