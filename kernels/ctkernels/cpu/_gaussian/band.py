"""The Gaussian over a band of rows: to lane layout, down the columns, along the rows, back to pixels.

Converted rows wait in a ring of ``2 * radius + BLOCK`` rows; ``BLOCK`` rows leave at a time, so that everything but the
image stays in cache. The kernel works on addresses: slices of arrays in every row, with their atomic reference counts,
were a fifth of the time at sigma 1.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ctkernels.cpu._core.jit import jit, jit_inline
from ctkernels.cpu._core.vectors import VECTOR_BYTES
from ctkernels.cpu._core.viewed import viewed
from ctkernels.cpu._gaussian.ir import (
    BLOCK,
    copy_bytes,
    extend_row,
    from_lanes,
    saturate,
    to_lanes,
    weigh_rows,
    weigh_rows_odd,
    weigh_shifts,
    weigh_shifts_odd,
)


@jit_inline
def _enter(kind, pixel, row, row_bytes, whole_segments, stage, vectors, slot):
    """A row of pixels to lane layout at ``slot``."""
    # Lanes are whole vectors: where they reach beyond the row, it is copied to where there is room to read on.
    if not whole_segments:
        copy_bytes(row, stage, row_bytes)
        row = stage
    to_lanes(kind, pixel, row, vectors, slot)


@jit_inline
def leave(kind, pixel, sums, vectors, may_leave, whole_segments, stage, row, row_bytes):
    """Sums in lane layout to a row of pixels; the way back of ``_enter``."""
    if may_leave:
        saturate(kind, pixel, sums, vectors)
    if whole_segments:
        from_lanes(kind, pixel, sums, vectors, row)
    else:
        from_lanes(kind, pixel, sums, vectors, stage)
        copy_bytes(stage, row, row_bytes)


@jit_inline
def _rows_symmetric(kind, pixel, sign, rows, weights, radius, width, out, stride):
    weigh_rows(kind, pixel, rows, weights, radius, width, out, stride)


@jit_inline
def _rows_signed(kind, pixel, sign, rows, weights, radius, width, out, stride):
    if sign < 0:
        weigh_rows_odd(kind, pixel, rows, weights, radius, width, out, stride)
    else:
        weigh_rows(kind, pixel, rows, weights, radius, width, out, stride)


@jit_inline
def _shifts_symmetric(kind, sign, row, weights, radius, vectors, out):
    weigh_shifts(kind, row, weights, radius, vectors, out)


@jit_inline
def _shifts_signed(kind, sign, row, weights, radius, vectors, out):
    if sign < 0:
        weigh_shifts_odd(kind, row, weights, radius, vectors, out)
    else:
        weigh_shifts(kind, row, weights, radius, vectors, out)


def _smooth(signed: bool) -> Callable[..., None]:
    """The filter of a band, for symmetric weights or for those that have a sign behind each half kernel."""
    rows_weighed = _rows_signed if signed else _rows_symmetric
    shifts_weighed = _shifts_signed if signed else _shifts_symmetric
    signs = int(signed)

    def smooth(
        pixel,
        source,
        source_stride,
        target,
        target_stride,
        keeps_lanes,
        height,
        row_bytes,
        y0,
        y1,
        layout,
        border,
        weights,
        cval,
        memory,
    ):
        """Rows ``y0 .. y1 - 1`` of the image at ``source`` to ``target``, as pixels, or as sums in lane layout."""
        kind = weights.dtype.type(0)
        ry, rx, vectors, ring, inner = layout[0], layout[1], layout[2], layout[3], layout[4]
        stride, halo_stride, whole_segments, may_leave = layout[5], layout[6], layout[7], layout[8]
        weights_y = weights.ctypes.data
        weights_x = weights_y + (ry + 1 + signs) * weights.itemsize
        sign_y, sign_x = weights[ry + signs], weights[ry + 1 + signs + rx + signs]
        border_x = border.ctypes.data + (height + 2 * ry) * 8
        # Memory: the ring, a row of ``cval``, BLOCK rows with their halo, sums of a row, a row of pixels on the way out
        # and one on the way in, addresses.
        rows = memory.ctypes.data
        constant = rows + ring * stride
        halo_rows = constant + stride
        sums = halo_rows + BLOCK * halo_stride
        stage = sums + stride
        entry = stage + stride
        table = entry + stride
        if not whole_segments:
            # What is read beyond the row is never seen, but arbitrary bytes may be subnormal numbers, with which sums
            # took fifteen times as long.
            for k in range(entry - rows + row_bytes, table - rows):
                memory[k] = 0
        fill = viewed(memory, kind)
        for k in range(ring * stride // weights.itemsize, (ring + 1) * stride // weights.itemsize):
            fill[k] = cval
        pointers = viewed(memory[table - rows :], np.int64(0))
        filled = 0
        for y in range(y0, y1, BLOCK):
            first = y - y0
            # A row is converted once, though 2 * ry + 1 sums need it. The table of addresses, one a row of the band,
            # saves the division by the ring's length in the loop over taps, and rows of ``cval`` need no copy.
            while filled < first + 2 * ry + BLOCK:
                shown = border[y0 + filled] if y0 + filled < height + 2 * ry else -1
                pointers[filled] = constant
                if shown >= 0:
                    pointers[filled] = rows + filled % ring * stride
                    row = source + shown * source_stride
                    _enter(kind, pixel, row, row_bytes, whole_segments, entry, vectors, pointers[filled])
                filled += 1
            # Columns first, BLOCK rows at a time: their windows of rows overlap, so that each is loaded once for all.
            body = halo_rows + rx * VECTOR_BYTES
            lanes = VECTOR_BYTES // weights.itemsize
            rows_weighed(kind, pixel, sign_y, table + 8 * first, weights_y, ry, vectors * lanes, body, halo_stride)
            # Then along each of the rows; the halo is made of sums, so that the border costs no branch in the loop.
            for q in range(min(BLOCK, y1 - y)):
                extend_row(kind, body, vectors, rx, inner, border_x, constant)
                row = target + (first + q) * target_stride
                shifts_weighed(kind, sign_x, body, weights_x, rx, vectors, row if keeps_lanes else sums)
                if not keeps_lanes:
                    leave(kind, pixel, sums, vectors, may_leave, whole_segments, stage, row, row_bytes)
                body += halo_stride

    smooth.__qualname__ = "smooth_signed" if signed else "smooth"
    return jit_inline(smooth)


smooth, smooth_signed = _smooth(False), _smooth(True)


@jit
def band(x, out, i, y0, y1, layout, border, weights, cval, memory):
    """Rows ``y0 .. y1 - 1`` of image ``i``; see ``_gaussian/plan.Plan`` for ``layout``, ``border`` and ``memory``."""
    height = x.shape[1]
    row_bytes = x.shape[2] * x.itemsize
    source = x.ctypes.data + i * height * row_bytes
    target = out.ctypes.data + (i * height + y0) * row_bytes
    pixel = x.dtype.type(0)
    smooth(
        pixel, source, row_bytes, target, row_bytes, False, height, row_bytes, y0, y1, layout, border, weights, cval,
        memory,
    )  # fmt: skip


@jit
def band_signed(x, out, i, y0, y1, layout, border, weights, cval, memory):
    """The same for weights with signs."""
    height = x.shape[1]
    row_bytes = x.shape[2] * x.itemsize
    source = x.ctypes.data + i * height * row_bytes
    target = out.ctypes.data + (i * height + y0) * row_bytes
    pixel = x.dtype.type(0)
    smooth_signed(
        pixel, source, row_bytes, target, row_bytes, False, height, row_bytes, y0, y1, layout, border, weights, cval,
        memory,
    )  # fmt: skip


@jit
def along_planes_signed(x, out, n, y0, y1, layout, border, weights, cval, memory):
    """Down the planes of volume ``n``, for the rows ``y0 .. y1 - 1`` of all of them: each makes an image."""
    depth, height = x.shape[1], x.shape[2]
    row_bytes = x.shape[3] * x.itemsize
    plane_bytes = height * row_bytes
    pixel = x.dtype.type(0)
    for y in range(y0, y1):
        first = n * depth * plane_bytes + y * row_bytes
        smooth_signed(
            pixel, x.ctypes.data + first, plane_bytes, out.ctypes.data + first, plane_bytes, False, depth, row_bytes,
            0, depth, layout, border, weights, cval, memory,
        )  # fmt: skip
