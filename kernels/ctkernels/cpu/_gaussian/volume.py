"""The Gaussian over three axes: bands of rows go through all planes, each smoothed, then summed along the planes.

The smoothed rows of a plane wait in lane layout in a ring of ``2 * radius + BLOCK`` planes; a band has as few rows as
keep that ring in cache, so that each voxel is read from memory once and written once. The pass along the planes is the
vertical pass over rows of neighbouring planes. A plane that the border shows again is not smoothed again: what is in
view are neighbouring planes, except around the ends of ``mode="wrap"``, so that each has its place in the ring.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.contract import each_axis, modes_of
from ctkernels.cpu._core.jit import jit
from ctkernels.cpu._core.vectors import VECTOR_BYTES
from ctkernels.cpu._core.viewed import viewed
from ctkernels.cpu._gaussian import plan as planes
from ctkernels.cpu._gaussian.band import leave, smooth
from ctkernels.cpu._gaussian.ir import BLOCK, weigh_rows
from ctkernels.shared.border import border_index
from ctkernels.shared.gaussian_weights import half_kernel

Array = NDArray[Any]

RING_BYTES = 400 << 10
"""Of the ring of smoothed planes, so that it stays in a level-2 cache of 512 kB."""


@dataclass(frozen=True)
class Plan:
    """One per shape, working type and parameters, kept between calls."""

    planes_layout: NDArray[np.int64]
    """Radius along the planes, planes of the ring, bytes of a plane's band, of what ``smooth`` needs; whether planes in
    view are neighbours."""
    planes: NDArray[np.int64]
    """Source plane of each extended plane (-1: ``cval``)."""
    layout: NDArray[np.int64]
    """As ``plan.Plan`` has it for a plane, and so are ``border`` and ``weights``, with the planes' half kernel last."""
    border: NDArray[np.int64]
    weights: Array
    rows: int
    """Of a band."""
    scratch_bytes: int
    voxel_nanoseconds: float
    """Rough cost of a voxel on one thread."""


@lru_cache(maxsize=64)
def plan(
    shape: tuple[int, int, int],
    work: np.dtype[Any],
    sigma: tuple[Any, Any, Any],
    truncate: float | tuple[float, ...],
    mode: str | tuple[str, ...],
    border_exceeds: bool,
) -> Plan:
    """The plan for volumes ``(D, H, W)``; ``border_exceeds`` is what ``plan.exceeds_dtype`` says."""
    depth, height, width = shape
    mode_z, *across = modes_of(mode, 3)
    truncate_z, *ends = each_axis(truncate, 3)
    plane = planes.plan(height, width, work, sigma[1:], tuple(ends), tuple(across), border_exceeds)
    weights = half_kernel(depth, sigma[0], truncate_z, mode_z, work)
    radius = weights.size - 1
    ring = 2 * radius + BLOCK
    layout = plane.layout.copy()
    radii = radius + int(layout[0] + layout[1])
    layout[8] |= radii > planes.SAFE_RADII
    stride = int(layout[5])
    # Rows above and below are smoothed along no axis, but converted again: not more of them than rows of the band.
    rows = max(RING_BYTES // (ring * stride), int(layout[0]), BLOCK)
    rows = min(height, rows // BLOCK * BLOCK)
    slab = planes.apart(rows * stride)
    plane_bytes = plane.scratch_bytes(rows)
    addresses = depth + 2 * radius + BLOCK + 2 * ring
    return Plan(
        planes_layout=np.array([radius, ring, slab, plane_bytes, mode_z != "wrap"], np.int64),
        planes=border_index(depth, radius, radius, mode_z),
        layout=layout,
        border=plane.border,
        weights=np.concatenate([plane.weights, weights]),
        rows=rows,
        scratch_bytes=plane_bytes + ring * slab + (BLOCK + 1) * stride + 8 * addresses,
        voxel_nanoseconds=(0.5 + 0.03 * radii) * work.itemsize / 4,
    )


@jit
def band(x, out, n, y0, y1, planes_layout, planes, layout, border, weights, cval, memory):
    """Rows ``y0 .. y1 - 1`` of all planes of volume ``n``; see ``Plan``."""
    kind = weights.dtype.type(0)
    pixel = x.dtype.type(0)
    depth, height = x.shape[1], x.shape[2]
    row_bytes = x.shape[3] * x.itemsize
    plane_bytes = height * row_bytes
    source = x.ctypes.data + n * depth * plane_bytes
    target = out.ctypes.data + n * depth * plane_bytes + y0 * row_bytes
    radius, ring, slab, smooth_bytes = planes_layout[0], planes_layout[1], planes_layout[2], planes_layout[3]
    vectors, stride, whole_segments, may_leave = layout[2], layout[5], layout[7], layout[8]
    lanes = VECTOR_BYTES // weights.itemsize
    weights_z = weights.ctypes.data + (layout[0] + layout[1] + 2) * weights.itemsize
    # Memory: what ``smooth`` needs (its row of ``cval`` after its ring), the ring of planes, BLOCK rows of sums, a row
    # of pixels, addresses of the rows that are summed, the planes that the ring holds, addresses of planes.
    constant = memory.ctypes.data + layout[3] * stride
    slabs = memory.ctypes.data + smooth_bytes
    sums = slabs + ring * slab
    stage = sums + BLOCK * stride
    table = stage + stride
    window = viewed(memory[table - memory.ctypes.data :], np.int64(0))
    held = window[ring : 2 * ring]
    held[:] = -1
    pointers = window[2 * ring :]
    filled = 0
    for z in range(0, depth, BLOCK):
        while filled < z + ring:
            shown = planes[filled] if filled < planes.size else -1
            pointers[filled] = 0
            if shown >= 0:
                turn = (shown if planes_layout[4] else filled) % ring
                place = slabs + turn * slab
                pointers[filled] = place
                if held[turn] != shown:
                    held[turn] = shown
                    plane = source + shown * plane_bytes
                    smooth(
                        pixel, plane, row_bytes, place, stride, True, height, row_bytes, y0, y1, layout, border,
                        weights, cval, memory,
                    )  # fmt: skip
            filled += 1
        for q in range(y1 - y0):
            for k in range(ring):
                address = pointers[z + k]
                window[k] = address + q * stride if address != 0 else constant
            weigh_rows(kind, pixel, table, weights_z, radius, vectors * lanes, sums, stride)
            for k in range(min(BLOCK, depth - z)):
                row = target + (z + k) * plane_bytes + q * row_bytes
                leave(kind, pixel, sums + k * stride, vectors, may_leave, whole_segments, stage, row, row_bytes)
