"""Ranks of doubles for a user's own compiled code (see ``within_jit``): ``_median.halves``."""

from __future__ import annotations

from typing import Any

import numpy as np

from ctkernels.cpu._core.jit import jit
from ctkernels.cpu._core.vectors import round_up
from ctkernels.cpu._median import halves
from ctkernels.cpu._median.footprint_layout import BAND_BYTES, block_of
from ctkernels.cpu.within_jit import aligned
from ctkernels.cpu.within_jit_ranks import borders_of, laid_out, placed, rows_seen


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
