"""The first and last columns of a filter that reads its rows straight from the image, where windows show the border.

Done row by row, the few pixels at both ends took as long as the whole row between them: short loops, and vectors read
right after single pixels were written to them. So the columns in question are copied to lines of their own, and the
filter of the transposed window runs along these: all rows of a band at once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numba.extending import register_jitable

from ctkernels.cpu._clahe.ir import peek
from ctkernels.cpu._core import jit
from ctkernels.cpu._core.vectors import round_up
from ctkernels.cpu._median.emit import median_strip
from ctkernels.cpu._median.plan import plan

EDGE_ROWS = 64
"""Rows whose edges are done together, while they are in the second-level cache."""

EDGE_ADDRESSES = 32
"""Of a table: at most 12 source lines, 8 lines of results and 9 columns."""


@lru_cache(maxsize=64)
def edge_lines(rows: int, columns: int, by: int) -> int:
    """Lines that the filter of the transposed window reads and writes; 0 where no filter reads from the image.

    That of a window of one row of some planes may keep lists between loops, for which there is no memory here.
    """
    if columns == 1 or len(plan(rows, columns, by).steps) > 1 or len(plan(columns, rows).steps) > 1:
        return 0
    return 3 * (columns // 2) + plan(columns, rows).outputs


@register_jitable
def edge_elements(lines, results, rows, by, lane):
    """Elements of so many lines for so many rows of results of windows of ``rows`` rows, ``by`` rows apart."""
    return lines * (round_up((results - 1) * by + rows, lane) + 2 * lane)


@jit.jit_inline
def _nothing(image, out, top, first, last, row_of, column_of, outside, table, memory, lane):
    return


@lru_cache(maxsize=64)
def edge_filter(rows: int, columns: int, by: int) -> Callable[..., None]:
    """What overwrites the outer ``columns // 2`` columns on each side, for ``small.kernel`` of this window."""
    if not edge_lines(rows, columns, by):
        return _nothing
    reach = columns // 2
    made = plan(columns, rows)
    sources, results = made.sources_read, made.outputs
    needed = 3 * reach  # columns that the windows of ``reach`` columns see

    def filter_edges(image, out, top, first, last, row_of, column_of, outside, table, memory, lane):
        """Rows ``first .. last - 1``; ``image`` and ``out`` flat pixels, ``top`` the number of the image's first row.

        ``table`` is for addresses, ``memory`` for the lines; all else is as for ``small.kernel``.
        """
        row_bytes = (column_of.size - 2 * reach) * memory.itemsize
        count = (last - first - 1) * by + 1
        extended = count + rows - 1
        length = edge_elements(1, last - first, rows, by, lane)
        zero = image.dtype.type(0)
        lines, outs, places = table[:sources], table[sources : sources + results], table[sources + results :]
        for side in range(2):
            begin = side * (column_of.size - needed)
            for k in range(sources + results):
                # What is not needed may be any line.
                table[k] = memory.ctypes.data + max(k - sources + needed, k % needed) * length * memory.itemsize
            for k in range(needed):
                places[k] = image.ctypes.data + max(column_of[begin + k], 0) * memory.itemsize
            # Row by row: a column's pixels are cache lines of few sets, which would be gone when the next one is read.
            # Unsigned, or each index is tested for wrapping around.
            for y in range(extended):
                row = row_of[first * by + y]
                at = (top + max(row, 0)) * row_bytes
                for k in range(needed):
                    memory[np.uint64(k * length + y)] = peek(zero, places[np.uint64(k)] + at) if row >= 0 else outside
            for k in range(needed):
                if column_of[begin + k] < 0:
                    memory[k * length : k * length + extended] = outside
            median_strip(memory, lines, outs, 0, 0, max(count, lane), columns, rows, 1, None)
            results_at = np.uint64(needed * length)
            column = side * (column_of.size - 3 * reach)
            for y in range(last - first):
                for k in range(reach):
                    at = (top + first + y) * (column_of.size - 2 * reach) + column + k
                    out[np.uint64(at)] = memory[results_at + np.uint64(k * length + y * by)]

    return jit.jit_named(filter_edges, f"filter_edges_{rows}x{columns}_by_{by}")
