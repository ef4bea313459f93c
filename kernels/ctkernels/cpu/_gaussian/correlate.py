"""Correlation of float arrays with even or odd weights along one axis, summed in float64: derivatives of Gaussians.

Pixels at equal distances are added (or subtracted) before they are weighted, so that an odd derivative of a constant is
exactly 0, as in SciPy.

Not as fast as the Gaussian's own code, which knows that its weights are symmetric and keeps bands in cache; but a
derivative is the small difference of large sums, for which float32 sums would not do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._core.jit import jit_contract, one_type
from ctkernels.cpu._core.parallel import bands, run
from ctkernels.cpu._core.scratch import scratch
from ctkernels.shared.border import border_index

Array = NDArray[Any]

_BLOCK = 1024
"""Neighbouring sums that are made together: 8 kB of the first-level cache."""

_TOGETHER = 4
"""Pairs of pixels added to the sums at a time: a third less time than one by one, which loads and stores the sums."""

_TAP_NANOSECONDS = 0.1


@jit_contract
def along_rows(x, out, first, last, weights, sign, columns, cval, line, sums):
    """Rows ``first .. last - 1`` of ``(rows, n)``, each along itself; ``columns`` is the border's table.

    ``weights``: of the pixel itself and those behind it; before it they are ``sign`` times these.
    """
    width = x.shape[1]
    reach = weights.size - 1
    by_four = 1 + reach // _TOGETHER * _TOGETHER
    for y in range(first, last):
        row = x[y]
        for i in range(reach):
            line[i] = np.float64(row[columns[i]]) if columns[i] >= 0 else cval
        middle = line[reach : reach + width]
        for i in range(width):
            middle[i] = row[i]
        for i in range(reach + width, columns.size):
            line[i] = np.float64(row[columns[i]]) if columns[i] >= 0 else cval
        for i in range(width):
            sums[i] = weights[0] * middle[i]
        for k in range(1, by_four, _TOGETHER):
            w1, w2, w3, w4 = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
            a1, b1 = line[reach - k : reach - k + width], line[reach + k : reach + k + width]
            a2, b2 = line[reach - k - 1 : reach - k - 1 + width], line[reach + k + 1 : reach + k + 1 + width]
            a3, b3 = line[reach - k - 2 : reach - k - 2 + width], line[reach + k + 2 : reach + k + 2 + width]
            a4, b4 = line[reach - k - 3 : reach - k - 3 + width], line[reach + k + 3 : reach + k + 3 + width]
            for i in range(width):
                near = w1 * (b1[i] + sign * a1[i]) + w2 * (b2[i] + sign * a2[i])
                sums[i] += near + w3 * (b3[i] + sign * a3[i]) + w4 * (b4[i] + sign * a4[i])
        for k in range(by_four, weights.size):
            w = weights[k]
            before = line[reach - k : reach - k + width]
            behind = line[reach + k : reach + k + width]
            for i in range(width):
                sums[i] += w * (behind[i] + sign * before[i])
        result = out[y]
        for i in range(width):
            result[i] = sums[i]


@jit_contract
def across_rows(x, out, first, last, weights, sign, rows, cval, outside, sums):
    """Places ``first .. last - 1`` along the axis of ``(n, inner)``; ``rows`` is the border's table.

    ``outside`` is memory for a block of ``cval``.
    """
    outside[:] = cval
    reach = weights.size - 1
    width = x.shape[1]
    for y in range(first, last):
        here = y + reach
        # How many neighbours are rows; beyond them one by one, with what stands outside.
        near = 0
        while near < reach and rows[here - near - 1] >= 0 and rows[here + near + 1] >= 0:
            near += 1
        by_four = 1 + near // _TOGETHER * _TOGETHER
        for begin in range(0, width, sums.size):
            end = min(begin + sums.size, width)
            count = end - begin
            middle = x[y, begin:end]
            for i in range(count):
                sums[i] = weights[0] * np.float64(middle[i])
            # By numbers of rows: a slice of each, with its reference count, took half of the time.
            for k in range(1, by_four, _TOGETHER):
                w1, w2, w3, w4 = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
                a1, b1 = np.uint64(rows[here - k]), np.uint64(rows[here + k])
                a2, b2 = np.uint64(rows[here - k - 1]), np.uint64(rows[here + k + 1])
                a3, b3 = np.uint64(rows[here - k - 2]), np.uint64(rows[here + k + 2])
                a4, b4 = np.uint64(rows[here - k - 3]), np.uint64(rows[here + k + 3])
                for i in range(count):
                    j = np.uint64(begin + i)
                    one = w1 * (np.float64(x[b1, j]) + sign * np.float64(x[a1, j]))
                    two = w2 * (np.float64(x[b2, j]) + sign * np.float64(x[a2, j]))
                    three = w3 * (np.float64(x[b3, j]) + sign * np.float64(x[a3, j]))
                    four = w4 * (np.float64(x[b4, j]) + sign * np.float64(x[a4, j]))
                    sums[i] += (one + two) + (three + four)
            for k in range(by_four, weights.size):
                w = weights[k]
                above, below = rows[y + reach - k], rows[y + reach + k]
                before = x[above, begin:end] if above >= 0 else outside[:count]
                behind = x[below, begin:end] if below >= 0 else outside[:count]
                for i in range(count):
                    sums[i] += w * (np.float64(behind[i]) + sign * np.float64(before[i]))
            result = out[y, begin:end]
            for i in range(count):
                result[i] = sums[i]


def correlate(x: Array, out: Array, axis: int, weights: Array, sign: float, mode: str, cval: float) -> None:
    """Write the correlation of ``x`` with ``weights`` along ``axis`` to ``out``, as ``scipy.ndimage.correlate1d``.

    Args:
        x: float32 or float64, C-contiguous, of any number of axes.
        out: of its shape and dtype, C-contiguous, and no memory of ``x``.
        axis: from 0 on.
        weights: float64, those of the pixel itself and of pixels behind it.
        sign: 1.0 where weights before the pixel are the same, -1.0 where they are the opposite.
        mode: how the border is extended, as in ``ctkernels.contract.MODES``.
        cval: the value outside for ``mode="constant"``.
    """
    x = one_type(x)
    n, reach = x.shape[axis], weights.size - 1
    table = border_index(n, reach, reach, mode)
    table = one_type(table)
    cost = weights.size * _TAP_NANOSECONDS
    if axis == x.ndim - 1:
        rows, results = x.reshape(-1, n), out.reshape(-1, n)

        def one(band: tuple[int, int, int]) -> None:
            line, sums = scratch("correlate.line", n + 2 * reach, np.float64), scratch("correlate.row", n, np.float64)
            along_rows(rows, results, band[1], band[2], weights, sign, table, cval, line, sums)

        run(bands(1, rows.shape[0], cost * n), one)
        return
    parts, made = (v.reshape(int(np.prod(x.shape[:axis])), n, -1) for v in (x, out))

    def part(band: tuple[int, int, int]) -> None:
        k, first, last = band
        outside, sums = scratch("correlate.outside", _BLOCK, x.dtype), scratch("correlate.sums", _BLOCK, np.float64)
        across_rows(parts[k], made[k], first, last, weights, sign, table, cval, outside, sums)

    run(bands(parts.shape[0], n, cost * parts.shape[2]), part)
