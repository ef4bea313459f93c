"""The Gaussian over a band of rows: to lane layout, down the columns, along the rows, back to pixels.

Converted rows wait in a ring of ``2 * radius + BLOCK`` rows; ``BLOCK`` rows leave at a time, so that everything but the
image stays in cache. The kernel works on addresses: slices of arrays in every row, with their atomic reference counts,
were a fifth of the time at sigma 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu._core.jit import jit
from ctkernels.cpu._core.vectors import VECTOR_BYTES
from ctkernels.cpu._gaussian.ir import (
    BLOCK,
    copy_bytes,
    extend_row,
    from_lanes,
    saturate,
    to_lanes,
    weigh_rows,
    weigh_shifts,
)

Array = NDArray[Any]


@jit
def band(x, out, i, y0, y1, layout, places, weights, cval, memory):
    """Rows ``y0 .. y1 - 1`` of image ``i``; see ``_gaussian/plan.Plan`` for ``layout``, ``places`` and ``memory``."""
    kind = weights.dtype.type(0)
    pixel = x.dtype.type(0)
    height = x.shape[1]
    row_bytes = x.shape[2] * x.itemsize
    source = x.ctypes.data + i * height * row_bytes
    target = out.ctypes.data + i * height * row_bytes
    ry = layout[0]
    rx = layout[1]
    vectors = layout[2]
    ring = layout[3]
    inner = layout[4]
    stride = layout[5]
    wide_stride = layout[6]
    whole_segments = layout[7]
    may_leave = layout[8]
    wy = weights.ctypes.data
    wx = wy + (ry + 1) * weights.itemsize
    edges = places.ctypes.data + (height + 2 * ry) * 8
    constant = memory.ctypes.data + ring * stride
    wide = constant + stride
    sums = wide + BLOCK * wide_stride
    stage = sums + stride
    table = stage + stride
    fill = memory.view(weights.dtype)
    for k in range(ring * stride // weights.itemsize, (ring + 1) * stride // weights.itemsize):
        fill[k] = cval
    pointers = memory[table - memory.ctypes.data :].view(np.int64)
    filled = 0
    for y in range(y0, y1, BLOCK):
        first = y - y0
        while filled < first + 2 * ry + BLOCK:
            shown = places[y0 + filled] if y0 + filled < height + 2 * ry else -1
            if shown < 0:
                pointers[filled] = constant
            else:
                slot = memory.ctypes.data + filled % ring * stride
                row = source + shown * row_bytes
                if not whole_segments:
                    copy_bytes(row, stage, row_bytes)
                    row = stage
                to_lanes(kind, pixel, row, vectors, slot)
                pointers[filled] = slot
            filled += 1
        body = wide + rx * VECTOR_BYTES
        weigh_rows(kind, table + 8 * first, wy, ry, vectors * (VECTOR_BYTES // weights.itemsize), body, wide_stride)
        for q in range(min(BLOCK, y1 - y)):
            extend_row(kind, body, vectors, rx, inner, edges, constant)
            weigh_shifts(kind, body, wx, rx, vectors, sums)
            if may_leave:
                saturate(kind, pixel, sums, vectors)
            row = target + (y + q) * row_bytes
            if whole_segments:
                from_lanes(kind, pixel, sums, vectors, row)
            else:
                from_lanes(kind, pixel, sums, vectors, stage)
                copy_bytes(stage, row, row_bytes)
            body += wide_stride
