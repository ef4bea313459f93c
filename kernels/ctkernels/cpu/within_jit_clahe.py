"""CLAHE of images for a user's own compiled code (see ``within_jit``): ``_clahe.plan`` and ``clahe``, compiled."""

from __future__ import annotations

import numpy as np
from numba.core import types
from numba.extending import overload

from ctkernels.cpu._clahe.band import PAD, bin_ranges, equalize
from ctkernels.cpu._clahe.bins import _bins_of_floats, _bins_of_integers
from ctkernels.cpu._clahe.plan import SOURCES
from ctkernels.cpu._clahe.tables import BANKS
from ctkernels.cpu._core.jit import jit
from ctkernels.cpu.clahe import FEW_BINS
from ctkernels.cpu.within_jit import BORDERS, border_table
from ctkernels.cpu.within_jit_statistics import extent

MIRROR = BORDERS["mirror"]


@jit
def axis_of(n, padding, tiles, starts, weights):
    """``shared.clahe_tiles._axis``: fills both arrays, and gives the pixels of a tile."""
    tile = (n + padding) // tiles
    share = np.float32(1) / np.float32(tile)
    block = 0
    for i in range(n):
        position = np.float32(np.float32(i) * share) - np.float32(0.5)
        first = np.int64(np.floor(position))
        weights[i] = position - np.float32(first)
        while block < tiles + 2 and block - 1 <= first:
            starts[block] = i
            block += 1
    starts[block:] = n
    return tile


@jit
def plan(height, width, rows, columns):
    """Table and weights of ``_clahe.plan.Plan``."""
    divides = height % rows == 0 and width % columns == 0
    more_y = 0 if divides else rows - height % rows
    more_x = 0 if divides else columns - width % columns
    weights = np.empty(width + height, np.float32)
    starts_y, starts_x = np.empty(rows + 2, np.int64), np.empty(columns + 2, np.int64)
    tile_y = axis_of(height, more_y, rows, starts_y, weights[width:])
    tile_x = axis_of(width, more_x, columns, starts_x, weights[:width])
    head = np.zeros(SOURCES, np.int64)
    head[0], head[1], head[2], head[3], head[4], head[5] = height, width, tile_y, tile_x, rows, columns
    down = border_table(height, more_y, MIRROR)[more_y:]
    along = border_table(width, more_x, MIRROR)[more_x:]
    return np.concatenate((head, down, along, starts_y, starts_x)), weights


def ends_of(low, high, image):
    """Both ends of a range as ``equalize`` takes them, and what whole levels span; compiled code runs the overload."""
    raise NotImplementedError("compiled code only")


@overload(ends_of)
def _ends_of(low, high, image):
    if isinstance(image.dtype, types.Integer):
        return lambda low, high, image: (np.int32(low), np.int32(high), np.int64(high) - np.int64(low))
    return lambda low, high, image: (image.dtype.type(low), image.dtype.type(high), np.int64(1))


def bins_of(image, bins, low, high, nbins):
    """``_clahe.bins.bin_pixels``; compiled code runs the overload."""
    raise NotImplementedError("compiled code only")


@overload(bins_of)
def _bins_of(image, bins, low, high, nbins):
    if isinstance(image.dtype, types.Integer):
        return lambda image, bins, low, high, nbins: _bins_of_integers(
            image, bins, np.int64(low), np.int64(high), nbins
        )

    def floats(image, bins, low, high, nbins):
        number = image.dtype.type
        half = number(0.5)
        scale = number(nbins) / (number(high) * half - number(low) * half)
        _bins_of_floats(image, bins, number(low), number(high), scale, number(nbins - 1))

    return floats


@jit
def clip_pixels(clip_limit, pixels, nbins):
    """``shared.clahe_tiles.clip_pixels``, compiled."""
    return max(np.int64(min(clip_limit * pixels / nbins, pixels)), 1) if clip_limit > 0 else pixels


@jit
def equalize_bins(bins, out, table, weights, nbins, clip_limit, low, high, level):
    """Levels of one image ``(1, H, W)`` from its bins; ``level``: an array of the tables' type."""
    rows, columns = table[4], table[5]
    limit = clip_pixels(clip_limit, table[2] * table[3], nbins)
    ranges = np.zeros((2, rows, columns, 2), np.int64)
    ranges[:, :, :, 1] = nbins - 1
    longest = nbins if nbins <= FEW_BINS else bin_ranges(bins, 0, 0, rows, table, ranges)
    padded = -(-longest // PAD) * PAD
    memory = (
        np.zeros(BANKS * padded, np.int32),
        np.empty(2 * columns * (padded + PAD), level.dtype),
        np.empty(4 * padded, level.dtype),
    )
    first, last, span = ends_of(low, high, out)
    equalize(bins, out, (0, 0, rows + 1), (table, weights, ranges, nbins, limit, span, first, last), memory)


@jit
def clahe_images(x, out, grid, clip_limit, nbins, low, high, level):
    """``clahe`` of images ``(N, H, W)``; a range whose low end is NaN is each image's own."""
    number, height, width = x.shape
    table, weights = plan(height, width, grid[0], grid[1])
    bins = np.empty((1, height, width), np.uint16)
    for i in range(number):
        image, result = x[i : i + 1], out[i : i + 1]
        first, last = low, high
        if np.isnan(low):
            first, last, there = extent(image.reshape(-1), -np.inf, np.inf)
            if not there:
                first, last = 0.0, 0.0
        if first == last:
            result[:] = first
            continue
        bins_of(image.reshape(-1), bins.reshape(-1), first, last, nbins)
        equalize_bins(bins, result, table, weights, nbins, clip_limit, first, last, level)


@jit
def clahe_own_bins(x, out, grid, clip_limit, nbins, level):
    """The same for unsigned images that are their own bins."""
    number, height, width = x.shape
    table, weights = plan(height, width, grid[0], grid[1])
    for i in range(number):
        image, result = x[i : i + 1], out[i : i + 1]
        equalize_bins(image, result, table, weights, nbins, clip_limit, 0.0, nbins - 1.0, level)
