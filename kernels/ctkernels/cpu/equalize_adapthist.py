"""CLAHE as scikit-image computes it: blocks of ``kernel`` pixels from the first on, reflected at the end, 2^14 grays.

Bit for bit the values of ``skimage.exposure.equalize_adapthist`` before its last step, for images and volumes: the
same order of float32 sums, the same way of handing clipped pixels back. Not an operation of the contract: it serves
``ctfast.compat.skimage`` alone.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import types
from numpy.typing import NDArray

from ctkernels.cpu._adapthist.bins import GRAYS, Binning, bin_pixels, binning, bins_dtype, extent
from ctkernels.cpu._adapthist.grays import grays_within, rescaled
from ctkernels.cpu._clahe.ir import entries_of, peek
from ctkernels.cpu._clahe.tables import BANKS, merge_and_clip, pack
from ctkernels.cpu._core.jit import jit, jit_inline
from ctkernels.cpu._core.scratch import scratch
from ctkernels.cpu._core.spread import each_image
from ctkernels.cpu._core.vectors import I32, Vectors, emits, whole

__all__ = ["GRAYS", "Binning", "bin_pixels", "binning", "bins_dtype", "equalize", "extent", "grays_within", "rescaled"]

_BLOCK_PIXEL_NANOSECONDS = 1.0
_ROW_PIXEL_NANOSECONDS = 1.0
_WHOLE_VECTORS = 16
"""Tables are as long as a multiple of this: the longest vector."""


def equalize(
    x: NDArray[Any], out: NDArray[np.uint16], *, kernel: tuple[int, int, int], clip_limit: int, nbins: int
) -> tuple[int, int]:
    """Equalise a volume ``(D, H, W)`` of bin numbers; an image is a volume of one slice and kernel 1 there.

    Args:
        x: bins, each below ``nbins``, of ``bins_dtype``.
        out: grays, 0 to 16383.
        kernel: voxels of a block, (planes, rows, columns).
        clip_limit: the most pixels that a bin keeps.
        nbins: number of bins.

    Returns:
        The smallest and the largest gray.
    """
    p = _plan(x.shape, kernel, nbins)
    corners = scratch("adapthist corners", p.size, np.float32).reshape(p.shape)
    ends = np.empty((x.shape[0], 2), np.uint16)

    def tables(plane: int) -> None:
        _tables(x, plane, p.rows, kernel, clip_limit, nbins, corners[plane])

    def interpolate(plane: int) -> None:
        _interpolate(x, plane, corners, kernel, p.one, out, ends[plane])

    each_image(corners, x.size * _BLOCK_PIXEL_NANOSECONDS / corners.size, tables)
    each_image(x, _ROW_PIXEL_NANOSECONDS, interpolate)
    pairs = ends.tolist()  # Python's minimum of few numbers takes a tenth of NumPy's
    return min(low for low, _ in pairs), max(high for _, high in pairs)


class _Plan(NamedTuple):
    rows: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
    """Indices of each axis, filled up to whole blocks by reflection as ``numpy.pad`` has it."""
    shape: tuple[int, ...]
    """Of the tables: planes of blocks, rows and columns of places between four of them, bins, the four."""
    size: int
    one: Any
    """Of the type of weights."""


@lru_cache(maxsize=64)
def _plan(shape: tuple[int, ...], kernel: tuple[int, int, int], nbins: int) -> _Plan:
    """What does not depend on pixels."""
    planes, rows, columns = (np.pad(np.arange(n), (0, -n % k), mode="reflect") for n, k in zip(shape, kernel))
    padded = -(-nbins // _WHOLE_VECTORS) * _WHOLE_VECTORS
    blocks = (planes.size // kernel[0], rows.size // kernel[1] + 1, columns.size // kernel[2] + 1)
    # Where sides are powers of two, as of 512 x 512 pixels, weights are whole numbers of a block's part: products of
    # float32, rounded once, are then those of double, rounded to float32.
    exact = math.prod(kernel) <= 1 << 24 and not any(k & (k - 1) for k in kernel)
    tables = (*blocks, padded, 4)
    return _Plan((planes, rows, columns), tables, math.prod(tables), np.float32(1) if exact else np.float64(1))


@jit
def _tables(x, plane, rows, kernel, clip_limit, nbins, corners):
    """Grays of the bins for one plane of blocks, then those of four blocks together, as interpolation needs them."""
    kz, ky, kx = kernel
    z, y, w = rows
    ny, nx, padded = corners.shape[0] - 1, corners.shape[1] - 1, corners.shape[2]
    grays = np.empty((ny, nx, padded), np.float32)
    # Neighbours are mostly in one bin: their counts go to four places, so that none waits for the one before.
    banks, total = np.zeros(BANKS * padded, np.int32), np.zeros(padded, np.int32)
    hist, limit = banks[:nbins], min(clip_limit, 0x7FFFFFFF)
    row_bytes = x.shape[2] * x.itemsize
    for by in range(ny):
        for bx in range(nx):
            first = bx * kx
            begin = x.ctypes.data + (z[plane * kz] * x.shape[1] + y[by * ky]) * row_bytes + first * x.itemsize
            corner = np.uint64(peek(x.dtype.type(0), begin))
            for i in range(plane * kz, (plane + 1) * kz):
                for j in range(by * ky, (by + 1) * ky):
                    row = x.ctypes.data + (z[i] * x.shape[1] + y[j]) * row_bytes
                    if first + kx <= x.shape[2]:
                        _count(x, row + first * x.itemsize, kx, corner, padded, banks)
                    else:
                        for k in range(first, first + kx):
                            banks[np.uint64(peek(x.dtype.type(0), row + w[k] * x.itemsize))] += 1
            cut = merge_and_clip(banks.ctypes.data, padded, padded * 4, limit)
            _hand_back(hist, np.int32(limit), cut)
            _accumulate(hist, total, (GRAYS - 1) / (kz * ky * kx), grays[by, bx])
    start, step = grays.ctypes.data, padded * 4
    for by in range(ny + 1):
        above, below = start + max(by - 1, 0) * nx * step, start + min(by, ny - 1) * nx * step
        for bx in range(nx + 1):
            left, right = max(bx - 1, 0) * step, min(bx, nx - 1) * step
            to = corners.ctypes.data + (by * (nx + 1) + bx) * 4 * step
            pack(np.float32(0), padded, above + left, above + right, below + left, below + right, to)


@jit_inline
def _count(x, row, pixels, corner, bank, banks):
    """Bins from address ``row`` on, to the banks in turns; eight bytes of the block's first bin only add to a run."""
    kind, size = x.dtype.type(0), x.itemsize
    o1, o2, o3 = np.uint64(bank), np.uint64(2 * bank), np.uint64(3 * bank)
    corners = corner * np.uint64(0x0101010101010101)
    eight, run = pixels // 8 * 8, 0
    for k in range(0, eight, 8):
        at = row + k * size
        if size == 1 and peek(np.uint64(0), at) == corners:
            run += 8
        else:
            for half in range(0, 8, 4):
                a = at + half * size
                banks[np.uint64(peek(kind, a))] += 1
                banks[np.uint64(peek(kind, a + size)) + o1] += 1
                banks[np.uint64(peek(kind, a + 2 * size)) + o2] += 1
                banks[np.uint64(peek(kind, a + 3 * size)) + o3] += 1
    for k in range(eight, pixels):
        banks[np.uint64(peek(kind, row + k * size))] += 1
    banks[corner] += run


@jit_inline
def _accumulate(hist, total, scale, grays):
    """Grays of the bins: the share of pixels up to each, as a whole number below ``GRAYS``; clears ``hist``."""
    running = np.int32(0)
    for b in range(hist.size):
        running = np.int32(running + hist[b])
        total[b] = running
        hist[b] = 0
    most = GRAYS - 1.0
    for b in range(grays.size):
        share = total[b] * scale
        grays[b] = np.float32(np.floor(share if share < most else most))


@jit_inline
def _hand_back(hist, most, cut):
    """Hand ``cut`` pixels to bins below ``most``: evenly, then one by one in scikit-image's strides."""
    size = hist.size
    share = np.int32(cut // size)
    upper = np.int32(most - share)
    handed = np.int32(0)
    under = np.int32(0)
    for b in range(size):
        before = hist[b]
        after = np.int32(before + share) if before < upper else before
        # A bin that was below ``upper`` may now be at or above it, and counts as one of those between.
        after = most if after >= upper else after
        handed = np.int32(handed + (after - before))
        under = np.int32(under + np.int32(after < most))
        hist[b] = after
    excess, left = cut - int(handed), int(under)
    while excess > 0:
        before_round = excess
        for index in range(size):
            step = max(1, left // excess)
            for b in range(index, size, step):
                if hist[b] < most:
                    hist[b] += 1
                    excess -= 1
                    left -= hist[b] == most
            if excess <= 0:
                break
        if before_round == excess:
            break


_PIXELS = 8
"""Neighbours that are summed together: a vector of single precision of 256 bits."""


@emits(kinds=2)
def _sum_together(builder, kind, weight, source, front, back, across, columns, down, target):
    """Grays of ``_PIXELS`` pixels from their bins of a ``kind`` at ``source`` to ``target``.

    A gray is the sum over its four blocks of ``front``, and then the four of ``back`` unless that is 0: products in
    the type of ``weight``, each rounded to float32, summed in float32 in scikit-image's order. Weights of neighbouring
    columns stand at ``across``, those of the other column ``columns`` bytes on; at ``down`` those of both rows and of
    both planes.
    """
    v, b = Vectors(builder, types.float32, _PIXELS), builder
    w = Vectors(builder, weight, _PIXELS)
    sides = [w.load(across, align=w.size), w.load(b.add(across, columns), align=w.size)]
    rows, planes = ([w.splat(w.load(w.at(down, whole(2 * i + k)), w.scalar, w.size)) for k in (0, 1)] for i in (0, 1))

    def parts(grays, depth):
        levels = entries_of(v, 32, grays, source, ir.IntType(kind.bitwidth), share=False)
        for k, level in enumerate(levels):
            factor = b.fmul(sides[k % 2], rows[k // 2])
            factor = factor if depth is None else b.fmul(factor, depth)
            if w.type == v.type:
                yield b.fmul(level, factor)
            else:
                yield b.fptrunc(b.fmul(b.fpext(level, w.type), factor), v.type)

    def store(totals):
        total = None
        for part in totals:
            total = part if total is None else b.fadd(total, part)
        short = ir.VectorType(ir.IntType(16), _PIXELS)
        v.store(b.trunc(b.fptosi(total, ir.VectorType(I32, _PIXELS)), short), target, 2)

    with b.if_else(b.icmp_signed("==", back, whole(0))) as (flat, deep):
        with flat:
            store(parts(front, None))
        with deep:
            store([*parts(front, planes[0]), *parts(back, planes[1])])


@jit_inline
def _summed(bin_number, front, back, is_flat, across, column, down):
    """The same of one pixel."""
    total = np.float32(0.0)
    for k in range(4 if is_flat else 8):
        factor = np.float64(across[k % 2, column]) * np.float64(down[k // 2 % 2])
        factor = factor if is_flat else factor * np.float64(down[2 + k // 4])
        gray = front[bin_number, k] if k < 4 else back[bin_number, k - 4]
        total += np.float32(np.float64(gray) * factor)
    return np.uint16(total)


@jit
def _interpolate(x, plane, corners, kernel, one, out, ends):
    """One plane: each gray is the sum of the grays of its 2, 4 or 8 blocks, in float32 and in scikit-image's order.

    Block by block, whose table stays in the first-level cache. Weights are of the type of ``one``. The smallest and
    the largest gray go to ``ends``.
    """
    kind, size = x.dtype.type(0), x.itemsize
    kz, ky, kx = kernel
    at_z = plane + kz // 2
    bz, fz = at_z // kz, at_z % kz / kz
    front, back = corners[max(bz - 1, 0)], corners[min(bz, corners.shape[0] - 1)]
    is_flat = fz == 0.0
    across, down = np.empty((2, kx), type(one)), np.empty(4, type(one))
    for i in range(kx):
        across[1, i] = i / kx
        across[0, i] = 1.0 - i / kx
    down[2], down[3] = 1.0 - fz, fz
    height, width = x.shape[1], x.shape[2]
    image, result = x.ctypes.data + plane * height * width * size, out.ctypes.data + plane * height * width * 2
    columns = kx * across.itemsize
    for by in range(corners.shape[1]):
        top = by * ky - ky // 2
        for bx in range(corners.shape[2]):
            left = bx * kx - kx // 2
            first, end = max(left, 0), min(left + kx, width)
            ahead, behind = front[by, bx], back[by, bx]
            ahead_at, behind_at = ahead.ctypes.data, 0 if is_flat else behind.ctypes.data
            for j in range(max(top, 0), min(top + ky, height)):
                fy = (j - top) / ky
                down[0], down[1] = 1.0 - fy, fy
                if end - first >= _PIXELS:
                    for k in range(first, end, _PIXELS):
                        i = min(k, end - _PIXELS)
                        _sum_together(
                            kind, one, image + (j * width + i) * size, ahead_at, behind_at,
                            across.ctypes.data + (i - left) * across.itemsize, columns, down.ctypes.data,
                            result + (j * width + i) * 2,
                        )  # fmt: skip
                else:
                    for i in range(first, end):
                        level = np.int64(x[plane, j, i])
                        out[plane, j, i] = _summed(level, ahead, behind, is_flat, across, i - left, down)
    least, most = np.uint16(GRAYS), np.uint16(0)
    for j in range(height):
        made = out[plane, j]
        for i in range(width):
            least = made[i] if made[i] < least else least
            most = made[i] if made[i] > most else most
    ends[0], ends[1] = least, most
