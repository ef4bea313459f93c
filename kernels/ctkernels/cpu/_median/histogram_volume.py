"""Medians of large windows of volumes by two levels of column histograms (see ``histogram``, for images).

One call filters a block of planes and rows, whose ranks it shares. A column's histograms hold the voxels of all planes
and rows of the window; from one row of results to the next as many enter and leave as the window has planes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._core import jit
from ctkernels.cpu._median.blocks import block_add, block_count_up_to, block_slide
from ctkernels.cpu._median.columns import block_cumulate, slide_column

Array = NDArray[Any]


@lru_cache(maxsize=2)
def kernel(base: int) -> Callable[..., None]:
    """The filter for ranks below ``base * base``; compiled once for each pair of counter dtypes."""
    shift = {16: 4, 64: 6}[base]

    def filter_ranks(
        ranks: Array,
        index: Array,
        rest: Array,
        want_rest: bool,
        planes: int,
        rows: int,
        columns: int,
        strip: int,
        coarse: Array,
        fine: Array,
        window: Array,
        window_fine: Array,
        valid: Array,
        step: Array,
    ) -> None:
        """``ranks`` of (rows, planes, columns) with the window's reach, ``index`` of (planes, rows, columns).

        ``window`` holds two blocks, the second one for the fine counts where the median is looked for.
        """
        depth, height, width = index.shape
        middle = planes * rows * columns // 2
        pitch = ranks.shape[2]
        row_pitch = ranks.shape[1] * pitch
        for first in range(0, width, strip):
            count = min(strip, width - first)
            reach = count + columns - 1
            for z in range(depth):
                coarse[: reach * base] = 0
                fine[: reach * base * base] = 0
                for y in range(rows):
                    for k in range(z, z + planes):
                        for c in range(reach):
                            new = np.int64(ranks[y, k, first + c])
                            block_add(coarse, c * base, step, (new >> shift) * base, base)
                            fine[np.uint64(c * base * base + new)] += 1
                for y in range(height):
                    if y > 0:
                        entering = (y + rows - 1) * row_pitch + z * pitch + first
                        leaving = entering - rows * row_pitch
                        for c in range(reach):
                            slide_column(
                                coarse, c * base, fine, c * base * base, step, ranks,
                                entering + c, leaving + c, planes, pitch, base,
                            )  # fmt: skip
                    # The coarse histogram of the row's first window; from there on a column enters and one leaves.
                    window[:base] = 0
                    for c in range(columns):
                        block_add(window, 0, coarse, c * base, base)
                    # For which window each coarse bin's fine histogram was right last: none of this row.
                    valid[:] = -2 * columns
                    for x in range(count):
                        # Counts are cumulative: as many bins as hold at most ``middle`` come before the median's.
                        high = block_count_up_to(window, 0, middle, base)
                        left: Any = middle
                        if high > 0:
                            left -= np.int64(window[high - 1])
                        at = high * base
                        done = valid[high]
                        # Anew where that takes fewer columns than catching up.
                        if 2 * (x - done) > columns:
                            # No slice: it would count references.
                            for b in range(base):
                                window_fine[np.uint64(at + b)] = 0
                            for c in range(x, x + columns):
                                block_add(window_fine, at, fine, c * base * base + at, base)
                        else:
                            for c in range(done, x):
                                block_slide(
                                    window_fine, at, fine, (c + columns) * base * base + at, c * base * base + at, base
                                )
                        valid[high] = x
                        block_cumulate(window, base, window_fine, at, base)
                        low = block_count_up_to(window, base, left, base)
                        index[z, y, first + x] = at + low
                        if want_rest:
                            if low > 0:
                                left -= np.int64(window[base + low - 1])
                            rest[z, y, first + x] = left
                        if x + 1 < count:
                            block_slide(window, 0, coarse, (x + columns) * base, x * base, base)

    return jit.jit_named(filter_ranks, f"filter_ranks_of_volumes_{base}")
