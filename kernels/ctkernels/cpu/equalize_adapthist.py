"""CLAHE as scikit-image computes it: blocks of ``kernel`` pixels from the first on, reflected at the end, 2^14 grays.

Bit for bit the values of ``skimage.exposure.equalize_adapthist`` before its last step, for images and volumes: the
same order of float32 sums, the same way of handing clipped pixels back. Not an operation of the contract: it serves
``ctfast.compat.skimage`` alone.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba.core import types
from numpy.typing import NDArray

from ctkernels.cpu._core.jit import jit, jit_inline
from ctkernels.cpu._core.spread import each_image
from ctkernels.cpu._core.vectors import I32, emits, whole

GRAYS = 1 << 14
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
    corners = np.empty((blocks[0], blocks[1] + 1, blocks[2] + 1, nbins, 4), np.float32)

    def tables(plane: int) -> None:
        _tables(x, plane, rows[0], rows[1], rows[2], kernel, clip_limit, corners[plane])

    def interpolate(plane: int) -> None:
        _interpolate(x, plane, corners, kernel, out)

    each_image(corners, x.size * _BLOCK_PIXEL_NANOSECONDS / corners.size, tables)
    each_image(x, _ROW_PIXEL_NANOSECONDS, interpolate)


def _reflected(size: int, k: int) -> NDArray[np.int64]:
    """Indices of an axis, filled up to whole blocks by reflection as ``numpy.pad`` has it."""
    return np.pad(np.arange(size), (0, -size % k), mode="reflect")


@jit
def _tables(x, plane, z, y, w, kernel, clip_limit, corners):
    """Grays of the bins for one plane of blocks, each put where the four interpolations that need it find it."""
    kz, ky, kx = kernel
    scale = (GRAYS - 1) / (kz * ky * kx)
    nbins, ny, nx = corners.shape[2], corners.shape[0] - 1, corners.shape[1] - 1
    banks, hist = np.empty((2, nbins), np.int32), np.empty(nbins, np.int64)
    for by in range(ny):
        for bx in range(nx):
            banks[:] = 0
            first = bx * kx
            for i in range(plane * kz, (plane + 1) * kz):
                for j in range(by * ky, (by + 1) * ky):
                    row = x[z[i], y[j]]
                    if first + kx <= row.size:
                        _count(row[first : first + kx], banks[0], banks[1])
                    else:
                        for k in w[first : first + kx]:
                            banks[0, row[k]] += 1
            for b in range(nbins):
                hist[b] = banks[0, b] + banks[1, b]
            _clip(hist, clip_limit)
            total = 0
            for b in range(nbins):
                total += hist[b]
                gray = np.float32(np.floor(min(total * scale, GRAYS - 1.0)))
                corners[by + 1, bx + 1, b, 0] = corners[by + 1, bx, b, 1] = gray
                corners[by, bx + 1, b, 2] = corners[by, bx, b, 3] = gray
    _continue_edges(corners)


@jit_inline
def _count(row, even, odd):
    for k in range(row.size // 2):
        even[row[2 * k]] += 1
        odd[row[2 * k + 1]] += 1
    if row.size % 2:
        even[row[row.size - 1]] += 1


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
    while excess > 0:
        before = excess
        for index in range(size):
            under = 0
            for b in range(size):
                under += hist[b] < limit
            step = max(1, under // excess)
            for b in range(index, size, step):
                if hist[b] < limit:
                    hist[b] += 1
                    excess -= 1
            if excess <= 0:
                break
        if before == excess:
            break


@emits(types.float32)
def _four(builder, grays, weights):
    """The sum over four blocks: products in double, each rounded to float32, summed in float32 in order."""
    return _summed(builder, ir.Constant(ir.FloatType(), 0.0), grays, weights)


@emits(types.float32)
def _eight(builder, front, back, weights):
    total = _summed(builder, ir.Constant(ir.FloatType(), 0.0), front, weights)
    return _summed(builder, total, back, builder.add(weights, whole(32)))


def _summed(builder, total, grays, weights):
    single, double = ir.VectorType(ir.FloatType(), 4), ir.VectorType(ir.DoubleType(), 4)
    four = builder.load(builder.inttoptr(grays, single.as_pointer()), align=4)
    factors = builder.load(builder.inttoptr(weights, double.as_pointer()), align=8)
    parts = builder.fptrunc(builder.fmul(builder.fpext(four, double), factors), single)
    for k in range(4):
        total = builder.fadd(total, builder.extract_element(parts, ir.Constant(I32, k)))
    return total


@jit
def _interpolate(x, plane, corners, kernel, out):
    """One plane: each gray is the sum of the grays of its 2, 4 or 8 blocks, in float32 and in scikit-image's order."""
    kz, ky, kx = kernel
    at_z = plane + kz // 2
    bz, fz = at_z // kz, at_z % kz / kz
    front, back = corners[max(bz - 1, 0)], corners[min(bz, corners.shape[0] - 1)]
    flat = fz == 0.0
    weights = np.empty((kx, 4 if flat else 8))
    for j in range(x.shape[1]):
        at_y = j + ky // 2
        by, fy = at_y // ky, at_y % ky / ky
        _weigh(weights, fy, fz)
        row, to = x[plane, j], out[plane, j]
        first = 0
        while first < row.size:
            at_x = first + kx // 2
            bx, start = at_x // kx, at_x % kx
            end = min(row.size, (bx + 1) * kx - kx // 2)
            source, target = row[first:end], to[first:end]
            at = weights[start:].ctypes.data
            ahead, behind = front[by, bx].ctypes.data, back[by, bx].ctypes.data
            if flat:
                for i in range(source.size):
                    target[i] = np.uint16(_four(ahead + 16 * np.int64(source[i]), at + 32 * i))
            else:
                for i in range(source.size):
                    entry = 16 * np.int64(source[i])
                    target[i] = np.uint16(_eight(ahead + entry, behind + entry, at + 64 * i))
            first = end


@jit_inline
def _weigh(weights, fy, fz):
    """The weights of the blocks for each column of a block, multiplied in scikit-image's order."""
    kx = weights.shape[0]
    gy, gz = 1.0 - fy, 1.0 - fz
    for i in range(kx):
        fx = i / kx
        gx = 1.0 - fx
        to = weights[i]
        to[0], to[1], to[2], to[3] = gx * gy, fx * gy, gx * fy, fx * fy
        if weights.shape[1] == 8:
            for k in range(4):
                to[k + 4] = to[k] * fz
                to[k] *= gz


def look_up(x: NDArray, low: int, table: NDArray[np.uint16], out: NDArray[np.uint16]) -> None:
    """``out = table[x - low]`` for whole numbers, one pass."""
    _look_up(x.reshape(-1), low, table, out.reshape(-1))


@jit
def _look_up(x, low, table, out):
    for i in range(x.size):
        out[i] = table[np.int64(x[i]) - low]


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
