"""Medians of large windows by two levels of column histograms, at nearly the same cost for every window size.

After Perreault and Hebert, "Median filtering in constant time", IEEE Trans. Image Processing 16(9), 2007: each column
of a strip keeps the histogram of its ``rows`` pixels, the window's histogram is slid by adding one column and taking
one away, and the fine level of a coarse bin is brought up to date only when the median falls into it.

Ours differ in that the counts are *cumulative*: the bin that holds the median is found by one vector comparison and a
population count in place of a scan. Values are ranks below ``base * base`` (base 16 or 64), so that 12-bit data, or
any data with at most 4096 distinct values, take two levels.

Counters of columns hold at most ``rows``, counters of windows at most ``rows * columns``: the caller chooses dtypes
that can.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._core import jit
from ctkernels.cpu._median.blocks import block_add, block_count_up_to, block_slide

Array = NDArray[Any]


@lru_cache(maxsize=4)
def steps(base: int, dtype: str) -> Array:
    """Row ``b``: what a pixel of bin ``b`` adds to a cumulative block, then the same taken away (modulo the dtype)."""
    up = np.tri(base, dtype=np.int64).T
    table: Array = np.concatenate([up, -up]).astype(dtype).ravel()
    return table


@lru_cache(maxsize=2)
def kernel(base: int) -> Callable[..., None]:
    """The filter for ranks below ``base * base``; compiled once for each pair of counter dtypes."""
    shift = {16: 4, 64: 6}[base]

    def filter_ranks(
        ranks: Array,
        index: Array,
        rest: Array,
        want_rest: bool,
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
        height, width = index.shape
        middle = rows * columns // 2
        # Strips of columns, so that their histograms stay in cache.
        for first in range(0, width, strip):
            count = min(strip, width - first)
            reach = count + columns - 1
            coarse[: reach * base] = 0
            fine[: reach * base * base] = 0
            # All rows of the first window but the last, which the loop below adds.
            for y in range(rows - 1):
                for c in range(reach):
                    new = np.int64(ranks[y, first + c])
                    block_add(coarse, c * base, step, (new >> shift) * base, base)
                    block_add(fine, c * base * base + (new >> shift) * base, step, (new & (base - 1)) * base, base)
            for y in range(height):
                entering = y + rows - 1
                for c in range(reach):
                    new = np.int64(ranks[entering, first + c])
                    if y > 0:
                        old = np.int64(ranks[y - 1, first + c])
                        # Padding and air: nothing changes.
                        if old == new:
                            continue
                        block_slide(coarse, c * base, step, (new >> shift) * base, (old >> shift) * base, base)
                        away = (base + (old & (base - 1))) * base
                        block_add(fine, c * base * base + (old >> shift) * base, step, away, base)
                    else:
                        block_add(coarse, c * base, step, (new >> shift) * base, base)
                    block_add(fine, c * base * base + (new >> shift) * base, step, (new & (base - 1)) * base, base)
                # The coarse histogram of the row's first window; from there on a column enters and one leaves.
                window[:] = 0
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
                    low = block_count_up_to(window_fine, at, left, base)
                    index[y, first + x] = at + low
                    if want_rest:
                        if low > 0:
                            left -= np.int64(window_fine[at + low - 1])
                        rest[y, first + x] = left
                    if x + 1 < count:
                        block_slide(window, 0, coarse, (x + columns) * base, x * base, base)

    return jit.jit_named(filter_ranks, f"filter_ranks_{base}")
