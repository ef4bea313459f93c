"""Operations for a user's own compiled code: the kernels with their plans made by compiled code too, on one thread.

The interpreter's entries (``median_filter`` and so on) look their plans up and use this package's threads; compiled
code can do neither, and brings its own ``prange``. Images are ``(N, H, W)``, C-contiguous. Borders are given by number,
``BORDERS``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Final

import numpy as np
from numba.core import types
from numba.extending import overload

from ctkernels.cpu._core.jit import jit, jit_inline, jit_named
from ctkernels.cpu._core.vectors import VECTOR_BYTES, round_up
from ctkernels.cpu._gaussian.band import along_planes_signed, band_signed
from ctkernels.cpu._gaussian.band import band as gaussian_band
from ctkernels.cpu._gaussian.derivative import rounded
from ctkernels.cpu._gaussian.ir import BLOCK
from ctkernels.cpu._gaussian.plan import SAFE_RADII
from ctkernels.cpu._gaussian.volume import RING_BYTES
from ctkernels.cpu._gaussian.volume import band as gaussian_volume_band
from ctkernels.cpu._median import small
from ctkernels.cpu._median.edges import EDGE_ROWS, edge_elements, edge_lines
from ctkernels.cpu._median.emit import scratch_size, vector_bytes
from ctkernels.cpu._median.plan import plan as median_plan
from ctkernels.cpu._median.rows import PIXELS, encode_row
from ctkernels.cpu._median.small import table_size
from ctkernels.shared.gaussian_weights import NO_WIDTH

BORDERS: Final = {"reflect": 0, "mirror": 1, "nearest": 2, "wrap": 3, "constant": 4}
_REFLECT, _MIRROR, _NEAREST, _WRAP, CONSTANT = range(5)
_FURTHEST: Final = 65_536


@jit
def border_table(n, reach, border):
    """``shared.border.border_index(n, reach, reach, mode)``, compiled."""
    table = np.empty(n + 2 * reach, np.int64)
    for k in range(table.size):
        i = k - reach
        if border == _NEAREST:
            table[k] = min(max(i, 0), n - 1)
        elif border == _WRAP:
            table[k] = i % n
        elif border == _REFLECT:
            i = i % (2 * n)
            table[k] = min(i, 2 * n - 1 - i)
        elif border == _MIRROR:
            period = max(2 * n - 2, 1)
            i = i % period
            table[k] = min(i, period - i) if n > 1 else 0
        else:
            table[k] = i if 0 <= i < n else -1
    return table


@jit_inline
def aligned(count):
    """So many bytes, 64-byte aligned as the emitted code expects."""
    memory = np.empty(count + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + count]


@jit_inline
def copy(values, out):
    """To where ``out`` begins. As ``out[:] = values`` it would bring the words of an error along: 8 s of compiling."""
    for i in range(values.size):
        out[i] = values[i]


@jit_inline
def shows_constant(borders):
    """Whether a border of any axis is ``cval``."""
    shown = False
    for border in borders:
        shown |= border == CONSTANT
    return shown


@jit_inline
def key_outside(outside, x, borders, cval, kind):
    """``small.border_key``, compiled: False if keys of this type have none for ``cval``."""
    if not shows_constant(borders):
        return True
    if kind == PIXELS:
        outside[0] = np.int64(cval)
        return True
    pixel = np.empty(1, x.dtype)
    pixel[0] = cval
    return encode_row(outside, 0, pixel.view(np.uint8), 0, 1, kind)


@lru_cache(maxsize=64)
def median_images(rows: int, columns: int) -> Callable[..., bool]:
    """The median of one window size, ``small.serves`` it; compiled once for each type of keys."""
    kernel, made = small.kernel(rows, columns), median_plan(rows, columns)
    reach, outputs, ring = columns // 2, made.outputs, made.sources_read
    vector = vector_bytes(made)
    edges = edge_lines(rows, columns, 1)
    lists = {size: scratch_size(made, size) for size in (1, 2, 4, 8)}
    lists1, lists2, lists4, lists8 = lists[1], lists[2], lists[4], lists[8]

    def images(x, out, border, cval, key, kind):
        """False if some pixel has no key; ``key`` is an array of the type of keys, ``kind`` that of pixels."""
        number, height, width = x.shape
        size = key.itemsize
        row_of, column_of = border_table(height, rows // 2, border), border_table(width, reach, border)
        lane = vector // size
        length = round_up(reach, lane) + round_up(width + reach, lane) + 2 * lane
        room = lists1 if size == 1 else lists2 if size == 2 else lists4 if size == 4 else lists8
        table = np.empty(table_size(row_of.size, 2 * outputs), np.int64)
        room += edge_elements(edges, EDGE_ROWS + outputs, rows, 1, lane)
        lines = aligned(((ring + outputs) * length + room) * size).view(key.dtype)
        outside = np.zeros(1, key.dtype)
        if not key_outside(outside, x, (border,), cval, kind):
            return False
        pixels, results = x.reshape(-1).view(np.uint8), out.reshape(-1).view(np.uint8)
        for i in range(number):
            if not kernel(pixels, results, i, 0, height, height, kind, row_of, column_of, outside, table, lines):
                return False
        return True

    return jit_named(images, f"median_within_{rows}x{columns}")


@jit
def _folded(half, n, border):
    """``shared.gaussian_weights._folded``, compiled: taps beyond an axis go to those that meet the same pixels."""
    period = 2 * n if border == _REFLECT else n if border == _WRAP else max(2 * n - 2, 1) if border == _MIRROR else 0
    if period == 0:
        folded = half[: n + 1].copy()
        folded[n] = half[n:].sum()
        return folded
    both = np.zeros(period)
    for k in range(half.size):
        both[k % period] += half[k]
        if k > 0:
            both[-k % period] += half[k]
    folded = both[: period // 2 + 1].copy()
    if period % 2 == 0:
        folded[-1] /= 2
    return folded


@jit
def _half_kernel(sigma, truncate, n, border, work):
    """``shared.gaussian_weights.half_kernel``, compiled."""
    sigma = sigma or 1e-300  # whose kernel is the pixel itself
    radius = np.int64(truncate * sigma + 0.5)
    half = np.empty(radius + 1, np.float64)
    total = 0.0
    for k in range(radius + 1):
        half[k] = math.exp(-0.5 * (k / sigma) ** 2)
        total += half[k] if k == 0 else 2.0 * half[k]
    half /= total
    if radius > n:
        half = _folded(half, n, border)
    weights = np.empty(half.size, work.dtype)
    tiny = np.finfo(work.dtype).tiny
    for k in range(half.size):
        weights[k] = max(half[k], tiny) if half[k] > 0 else 0.0
    return weights


@jit
def gaussian_widths(sigma, spacing, radius, truncate, axes):
    """Widths of planes, rows and columns in pixels, and where their kernels end in widths.

    ``sigma`` and ``spacing``: one number or one an axis, as arrays; so is ``radius``, and empty if there is none.
    """
    widths, ends = np.zeros(3), np.full(3, np.float64(truncate))
    for k in range(axes):
        at = 3 - axes + k
        widths[at] = sigma[min(k, sigma.size - 1)] / spacing[min(k, spacing.size - 1)]
        if radius.size > 0:
            # As the dispatcher has it: a quarter of a pixel beyond, so that no rounding leads to another radius.
            ends[at] = (radius[min(k, radius.size - 1)] + 0.25) / widths[at] if widths[at] > 0 else 1.0
    if not (widths.min() >= 0 and 0 < widths.sum() < np.inf and ends.min() > 0 and (widths * ends).max() < _FURTHEST):
        raise ValueError(
            "ctfast.gaussian_filter: sigma above 0, or 0 for an axis, and truncate above 0 are allowed, and a reach "
            "below 65,536 pixels"
        )
    return widths, ends


@jit
def _gaussian_plane(height, width, wy, wx, border_y, border_x, exceeds, radii):
    """Layout, border and ``fixed_bytes`` of ``_gaussian.plan.Plan``; ``radii``: the sum of those of all axes."""
    ry, rx = wy.size - 1, wx.size - 1
    lanes = VECTOR_BYTES // wx.itemsize
    vectors = max(-(-width // lanes), lanes)
    inner = min(rx, vectors * lanes - width)
    rows, columns = border_table(height, ry, border_y), border_table(width, rx, border_x)
    # As plan.Plan.border: rows, then the elements of a row in lane layout left of it, right of it, and beyond its end.
    table = np.empty(rows.size + 2 * rx + 2 * inner, np.int64)
    copy(rows, table)
    at = rows.size
    for k in range(rx):
        table[at + k] = _element(columns[rx - 1 - k], vectors, lanes)
        table[at + rx + k] = _element(columns[rx + width + k], vectors, lanes)
    at += 2 * rx
    for k in range(inner):
        table[at + k] = _element(0, vectors, lanes)
        table[at + inner + k] = _element(width + k, vectors, lanes)
    ring = 2 * ry + BLOCK
    stride = (vectors | 1) * VECTOR_BYTES
    halo_stride = ((vectors + 2 * rx) | 1) * VECTOR_BYTES
    layout = np.empty(9, np.int64)
    layout[0], layout[1], layout[2], layout[3], layout[4] = ry, rx, vectors, ring, inner
    layout[5], layout[6], layout[7] = stride, halo_stride, np.int64(vectors * lanes == width)
    layout[8] = np.int64(exceeds or radii > SAFE_RADII)
    return layout, table, (ring + 4) * stride + BLOCK * halo_stride


@jit_inline
def _plane_bytes(fixed, rows, reach):
    return (fixed + 8 * (rows + 2 * reach + BLOCK) + 63) // 64 * 64


@jit
def gaussian_images(x, out, widths, ends, borders, cval, exceeds, work):
    """``gaussian_filter`` in the type of the array ``work``; ``exceeds`` as ``plan.exceeds_dtype`` says."""
    number, height, width = x.shape
    wy = _half_kernel(widths[1], ends[1], height, borders[1], work)
    wx = _half_kernel(widths[2], ends[2], width, borders[2], work)
    radii = wy.size + wx.size - 2
    layout, table, fixed = _gaussian_plane(height, width, wy, wx, borders[1], borders[2], exceeds, radii)
    weights = np.concatenate((wy, wx))
    memory = aligned(_plane_bytes(fixed, height, layout[0]))
    for i in range(number):
        gaussian_band(x, out, i, 0, height, layout, table, weights, weights.dtype.type(cval), memory)


@jit
def gaussian_volumes(x, out, widths, ends, borders, cval, exceeds, work):
    """The same along three axes: ``_gaussian.volume.plan``, compiled."""
    number, depth, height, width = x.shape
    wz = _half_kernel(widths[0], ends[0], depth, borders[0], work)
    wy = _half_kernel(widths[1], ends[1], height, borders[1], work)
    wx = _half_kernel(widths[2], ends[2], width, borders[2], work)
    radii = wz.size + wy.size + wx.size - 3
    layout, table, fixed = _gaussian_plane(height, width, wy, wx, borders[1], borders[2], exceeds, radii)
    radius, stride = wz.size - 1, layout[5]
    ring = 2 * radius + BLOCK
    rows = max(RING_BYTES // (ring * stride), layout[0], BLOCK)
    rows = min(height, rows // BLOCK * BLOCK)
    plane_bytes = _plane_bytes(fixed, rows, layout[0])
    planes = border_table(depth, radius, borders[0])
    planes_layout = np.empty(5, np.int64)
    planes_layout[0], planes_layout[1], planes_layout[2], planes_layout[3] = radius, ring, rows * stride, plane_bytes
    planes_layout[4] = np.int64(borders[0] != _WRAP)
    weights = np.concatenate((wy, wx, wz))
    addresses = depth + 2 * radius + BLOCK + 2 * ring
    memory = aligned(plane_bytes + ring * rows * stride + (BLOCK + 1) * stride + 8 * addresses)
    fill = weights.dtype.type(cval)
    for n in range(number):
        for y in range(0, height, rows):
            last = min(y + rows, height)
            gaussian_volume_band(x, out, n, y, last, planes_layout, planes, layout, table, weights, fill, memory)


@jit
def _derivative(sigma, truncate, order):
    """``shared.gaussian_weights._derivative``, compiled: the half kernel of one axis, and its sign behind it."""
    if sigma <= NO_WIDTH:
        return np.ones(2)
    radius = np.int64(truncate * sigma + 0.5)
    total = 0.0
    half = np.empty(radius + 2)
    for k in range(radius + 1):
        place = k / sigma
        bell = math.exp(-0.5 * place * place)
        total += bell if k == 0 else 2.0 * bell
        earlier, hermite = 0.0, 1.0
        for n in range(order):
            earlier, hermite = hermite, -place * hermite - n * earlier
        half[k] = hermite * (-1 / sigma) ** order * bell
    half /= total
    half[radius + 1] = -1.0 if order % 2 else 1.0
    return half


@jit
def _signed_plan(height, width, wy, wx, border_y, border_x):
    """``_gaussian.plan.arranged`` of half kernels with their signs: layout, border, weights and memory."""
    layout, table, fixed = _gaussian_plane(height, width, wy[:-1], wx[:-1], border_y, border_x, False, 0)
    return layout, table, np.concatenate((wy, wx)), aligned(_plane_bytes(fixed, height, layout[0]))


@jit
def gaussian_derivatives(x, out, widths, ends, orders, borders, cval, work):
    """``_gaussian.derivative.derivatives`` of volumes ``(N, D, H, W)``, images with one plane each.

    ``work`` is an array of the type that is filtered: the image's if that is a float, else float64.
    """
    number, depth, height, width = x.shape
    wz, wy, wx = (
        _derivative(widths[0], ends[0], orders[0]),
        _derivative(widths[1], ends[1], orders[1]),
        _derivative(widths[2], ends[2], orders[2]),
    )
    # One volume at a time, so that what lies between stays in cache.
    values = np.empty((1, depth, height, width), work.dtype)
    made = np.empty((1, depth, height, width), work.dtype)
    along_planes, along_rows = widths[0] > NO_WIDTH, widths[1] > NO_WIDTH or widths[2] > NO_WIDTH
    # Axes without a width see no border.
    border_y = borders[1] if widths[1] > NO_WIDTH else _NEAREST
    border_x = borders[2] if widths[2] > NO_WIDTH else _NEAREST
    down = _signed_plan(depth, width, wz, np.ones(2), borders[0], _NEAREST)
    across = _signed_plan(height, width, wy, wx, border_y, border_x)
    for n in range(number):
        copy(x[n].reshape(-1), values.reshape(-1))
        current, result = values, made
        if along_planes:
            along_planes_signed(current, result, 0, 0, height, down[0], down[1], down[2], cval, down[3])
            current, result = result, current
        if along_rows or not along_planes:
            for z in range(depth):
                band_signed(current[0], result[0], z, 0, height, across[0], across[1], across[2], cval, across[3])
            current, result = result, current
        leave_rounded(current.reshape(-1), out[n].reshape(-1))


def leave_rounded(values, out):
    """``values`` in the type of ``out``; compiled code runs the overload."""
    raise NotImplementedError("compiled code only")


@overload(leave_rounded)
def _leave_rounded(values, out):
    if isinstance(out.dtype, types.Integer):
        low, high = float(out.dtype.minval), float(out.dtype.maxval)
        return lambda values, out: rounded(values, out, low, high)

    return lambda values, out: copy(values, out)


@jit_inline
def _element(pixel, vectors, lanes):
    return pixel % vectors * lanes + pixel // vectors if pixel >= 0 else -1


@jit_inline
def narrowed(value):
    """To the precision of float32."""
    return np.float64(np.float32(value))


@jit
def fits(zero, span, low, rise):
    """Whether float32 holds a line, as ``shared.lines.fits``."""
    steep = abs(rise) / abs(span) if span != 0.0 else np.inf
    held = 1e-30 < abs(span) < 1e30 and 1e-30 < steep < 1e30 and abs(zero) < 1e30
    return held and abs(zero) * steep < 1e30 and abs(low) < 1e30


@jit
def check_line(zero, span, low, rise):
    """Refuse lines that float32 can't hold."""
    if not fits(zero, span, low, rise):
        raise ValueError("a range of no width, or numbers beyond float32: call ctfast outside of compiled code")


def place(image, out, kind):
    """``out``, or a new array of the type of ``kind``; compiled code runs an overload of it."""
    raise NotImplementedError("compiled code only")
