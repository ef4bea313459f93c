"""CLAHE as scikit-image computes it: blocks of ``kernel`` pixels from the first on, reflected at the end, 2^14 grays.

Bit for bit the values of ``skimage.exposure.equalize_adapthist`` before its last step, for images and volumes: the
same order of float32 sums, the same way of handing clipped pixels back. Not an operation of the contract: it serves
``ctfast.compat.skimage`` alone.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from llvmlite import ir
from numba.core import types
from numpy.typing import NDArray

from ctkernels.cpu._core.jit import jit, jit_inline
from ctkernels.cpu._core.scratch import scratch
from ctkernels.cpu._core.spread import each_image
from ctkernels.cpu._core.vectors import I32, I64, Vectors, emits, whole

GRAYS = 1 << 14
_BANKS = 4
_BLOCK_PIXEL_NANOSECONDS = 1.0
_ROW_PIXEL_NANOSECONDS = 2.5


def equalize(
    x: NDArray[np.uint16], out: NDArray[np.uint16], *, kernel: tuple[int, int, int], clip_limit: int, nbins: int
) -> None:
    """Equalise a volume ``(D, H, W)`` of bin numbers; an image is a volume of one slice and kernel 1 there.

    Args:
        x: bins, each below ``nbins``.
        out: grays, 0 to 16383.
        kernel: voxels of a block, (planes, rows, columns).
        clip_limit: the most pixels that a bin keeps.
        nbins: number of bins.
    """
    rows = [_reflected(size, k) for size, k in zip(x.shape, kernel)]
    blocks = tuple(len(r) // k for r, k in zip(rows, kernel))
    shape = (blocks[0], blocks[1] + 1, blocks[2] + 1, nbins, 4)
    corners = scratch("adapthist corners", math.prod(shape), np.float32).reshape(shape)

    def tables(plane: int) -> None:
        _tables(x, plane, rows[0], rows[1], rows[2], kernel, clip_limit, corners[plane])

    def interpolate(plane: int) -> None:
        _interpolate(x, plane, corners, kernel, out)

    each_image(corners, x.size * _BLOCK_PIXEL_NANOSECONDS / corners.size, tables)
    each_image(x, _ROW_PIXEL_NANOSECONDS, interpolate)


@lru_cache(maxsize=64)
def _reflected(size: int, k: int) -> NDArray[np.int64]:
    """Indices of an axis, filled up to whole blocks by reflection as ``numpy.pad`` has it."""
    return np.pad(np.arange(size), (0, -size % k), mode="reflect")


@jit
def _tables(x, plane, z, y, w, kernel, clip_limit, corners):
    """Grays of the bins for one plane of blocks, each put where the four interpolations that need it find it."""
    kz, ky, kx = kernel
    scale = (GRAYS - 1) / (kz * ky * kx)
    nbins, ny, nx = corners.shape[2], corners.shape[0] - 1, corners.shape[1] - 1
    # Neighbours are mostly in one bin: their counts go to four places, so that none waits for the one before.
    banks, hist = np.empty((_BANKS, nbins), np.int32), np.empty(nbins, np.int64)
    for by in range(ny):
        for bx in range(nx):
            banks[:] = 0
            first = bx * kx
            for i in range(plane * kz, (plane + 1) * kz):
                for j in range(by * ky, (by + 1) * ky):
                    # By numbers: a slice, with its reference count, took as long as the pixels.
                    at, line = np.uint64(z[i]), np.uint64(y[j])
                    if first + kx <= x.shape[2]:
                        _count(x, at, line, first, kx, banks)
                    else:
                        for k in range(first, first + kx):
                            banks[0, np.uint64(x[at, line, np.uint64(w[k])])] += 1
            for b in range(nbins):
                hist[b] = banks[0, b] + banks[1, b] + banks[2, b] + banks[3, b]
            _clip(hist, clip_limit)
            total = 0
            for b in range(nbins):
                total += hist[b]
                gray = np.float32(np.floor(min(total * scale, GRAYS - 1.0)))
                corners[by + 1, bx + 1, b, 0] = corners[by + 1, bx, b, 1] = gray
                corners[by, bx + 1, b, 2] = corners[by, bx, b, 3] = gray
    _continue_edges(corners)


@jit_inline
def _count(x, z, y, first, pixels, banks):
    whole_turns = first + pixels // _BANKS * _BANKS
    for k in range(first, whole_turns, _BANKS):
        i = np.uint64(k)
        banks[0, np.uint64(x[z, y, i])] += 1
        banks[1, np.uint64(x[z, y, i + np.uint64(1)])] += 1
        banks[2, np.uint64(x[z, y, i + np.uint64(2)])] += 1
        banks[3, np.uint64(x[z, y, i + np.uint64(3)])] += 1
    for k in range(whole_turns, first + pixels):
        banks[0, np.uint64(x[z, y, np.uint64(k)])] += 1


@jit_inline
def _continue_edges(corners):
    """Beyond the outer blocks their own grays go on."""
    for bx in range(corners.shape[1]):
        for b in range(corners.shape[2]):
            first, last = corners[0, bx, b], corners[-1, bx, b]
            first[0], first[1], last[2], last[3] = first[2], first[3], last[0], last[1]
    for by in range(corners.shape[0]):
        for b in range(corners.shape[2]):
            first, last = corners[by, 0, b], corners[by, -1, b]
            first[0], first[2], last[1], last[3] = first[1], first[3], last[0], last[2]


@jit_inline
def _clip(hist, limit):
    """Cut bins at ``limit`` and hand the pixels back: evenly, then one by one in scikit-image's strides."""
    size = hist.size
    excess = 0
    for b in range(size):
        if hist[b] > limit:
            excess += hist[b] - limit
            hist[b] = limit
    share = excess // size
    upper = limit - share
    for b in range(size):
        if hist[b] < upper:
            excess -= share
            hist[b] += share
            # A bin that was below ``upper`` may now be at or above it, and counts as one of those between.
        if upper <= hist[b] < limit:
            excess += hist[b] - limit
            hist[b] = limit
    under = 0
    for b in range(size):
        under += hist[b] < limit
    while excess > 0:
        before = excess
        for index in range(size):
            step = max(1, under // excess)
            for b in range(index, size, step):
                if hist[b] < limit:
                    hist[b] += 1
                    excess -= 1
                    under -= hist[b] == limit
            if excess <= 0:
                break
        if before == excess:
            break


_PIXELS = 8
"""Neighbours that are summed together: a vector of single precision of 256 bits."""


@emits()
def _sum_together(builder, source, front, back, weights, pitch, target):
    """Grays of ``_PIXELS`` pixels from their bins at ``source`` to ``target``.

    A gray is the sum over its four blocks of ``front``, and then the four of ``back`` unless that is 0: products in
    double, each rounded to float32, summed in float32 in scikit-image's order. Weights of neighbouring columns stand
    side by side, those of the next block ``pitch`` bytes on.
    """
    v = Vectors(builder, types.float32, _PIXELS)
    bins = v.load(source, ir.VectorType(ir.IntType(16), _PIXELS), 2)
    places = [
        builder.shl(builder.zext(builder.extract_element(bins, ir.Constant(I32, k)), I64), whole(4))
        for k in range(_PIXELS)
    ]
    four, wide = ir.VectorType(ir.FloatType(), 4), ir.VectorType(ir.DoubleType(), _PIXELS)

    def parts(grays, first):
        loaded = [v.load(builder.add(grays, place), four, 4) for place in places]
        rows = [v.shuffle(loaded[k], loaded[k + 4], range(8)) for k in range(4)]
        for k, row in enumerate(v.transposed_lanes(rows)):
            address = builder.add(weights, builder.mul(pitch, whole(first + k)))
            product = builder.fmul(builder.fpext(row, wide), v.load(address, wide, 8))
            yield builder.fptrunc(product, v.type)

    def added(totals):
        total = None
        for part in totals:
            total = part if total is None else builder.fadd(total, part)
        return total

    def store(total):
        short = ir.VectorType(ir.IntType(16), _PIXELS)
        v.store(builder.trunc(builder.fptosi(total, ir.VectorType(I32, _PIXELS)), short), target, 2)

    total = added(parts(front, 0))
    with builder.if_else(builder.icmp_signed("==", back, whole(0))) as (flat, deep):
        with flat:
            store(total)
        with deep:
            store(added([total, *parts(back, 4)]))


@jit_inline
def _summed(bin_number, front, back, weights, column):
    """The same of one pixel; ``back`` is not looked at where there are four weights."""
    total = np.float32(0.0)
    for k in range(weights.shape[0]):
        gray = front[bin_number, k] if k < 4 else back[bin_number, k - 4]
        total += np.float32(np.float64(gray) * weights[k, column])
    return np.uint16(total)


@jit
def _interpolate(x, plane, corners, kernel, out):
    """One plane: each gray is the sum of the grays of its 2, 4 or 8 blocks, in float32 and in scikit-image's order."""
    kz, ky, kx = kernel
    at_z = plane + kz // 2
    bz, fz = at_z // kz, at_z % kz / kz
    front, back = corners[max(bz - 1, 0)], corners[min(bz, corners.shape[0] - 1)]
    flat = fz == 0.0
    # Room for the vector that is read beyond the last column.
    weights = np.empty((4 if flat else 8, kx + _PIXELS))
    pitch = weights.shape[1] * 8
    along, against = np.empty(kx), np.empty(kx)
    for i in range(kx):
        along[i] = i / kx
        against[i] = 1.0 - along[i]
    for j in range(x.shape[1]):
        at_y = j + ky // 2
        by, fy = at_y // ky, at_y % ky / ky
        _weigh(weights, along, against, fy, fz)
        row, to = x[plane, j], out[plane, j]
        first = 0
        while first < row.size:
            at_x = first + kx // 2
            bx, start = at_x // kx, at_x % kx
            end = min(row.size, (bx + 1) * kx - kx // 2)
            ahead, behind = front[by, bx], back[by, bx]
            if end - first >= _PIXELS:
                source, target = row.ctypes.data, to.ctypes.data
                behind_at = 0 if flat else behind.ctypes.data
                for k in range(first, end, _PIXELS):
                    i = min(k, end - _PIXELS)
                    at = weights.ctypes.data + (start + i - first) * 8
                    _sum_together(source + 2 * i, ahead.ctypes.data, behind_at, at, pitch, target + 2 * i)
            else:
                for i in range(first, end):
                    to[i] = _summed(np.int64(row[i]), ahead, behind, weights, start + i - first)
            first = end


@jit_inline
def _weigh(weights, along, against, fy, fz):
    """The weights of the blocks for each column of a block, multiplied in scikit-image's order."""
    gy, gz = 1.0 - fy, 1.0 - fz
    for i in range(along.size):
        weights[0, i] = against[i] * gy
        weights[1, i] = along[i] * gy
        weights[2, i] = against[i] * fy
        weights[3, i] = along[i] * fy
    if weights.shape[0] == 8:
        for k in range(4):
            for i in range(along.size):
                weights[k + 4, i] = weights[k, i] * fz
                weights[k, i] *= gz


def look_up(x: NDArray, low: int, table: NDArray[np.uint16], out: NDArray[np.uint16]) -> None:
    """``out = table[x - low]`` for whole numbers, one pass."""
    _look_up(x.reshape(-1), low, table, out.reshape(-1))


@jit
def _look_up(x, low, table, out):
    for i in range(x.size):
        out[i] = table[np.uint64(np.int64(x[i]) - low)]


def quantized(x: NDArray, out: NDArray[np.uint16]) -> None:
    """Floats to 16 bits as ``skimage.util.img_as_uint`` does it, in the floats' own precision."""
    _quantized(x.reshape(-1), x.dtype.type(65535), out.reshape(-1))


@jit
def _quantized(x, most, out):
    zero = most - most
    for i in range(x.size):
        out[i] = np.uint16(min(max(np.rint(x[i] * most), zero), most))


def rescaled(x: NDArray[np.uint16], low: float, high: float, out: NDArray) -> None:
    """``(x - low) / (high - low)`` in the precision of ``out``."""
    kind = out.dtype.type
    _rescaled(x.reshape(-1), kind(low), kind(high) - kind(low), out.reshape(-1))


@jit
def _rescaled(x, low, width, out):
    for i in range(x.size):
        out[i] = (x[i] - low) / width
