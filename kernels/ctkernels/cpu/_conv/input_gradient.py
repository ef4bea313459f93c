"""The gradient of the images as tasks, each a band of tiles of 4 x 4 pixels of one image; see ``job``.

The gradient of a convolution is a convolution: of the windows' gradients, spread to where each maximum was, with two
rows and columns of zeros around them, and the kernel turned by half. So it goes by F(4 x 4, 3 x 3) as predictions do.
"""

from __future__ import annotations

from enum import IntEnum, auto
from typing import Final

from ctkernels.cpu._conv.job import (
    PLANES_4,
    Job,
    bands,
    channels_of,
    plane_bytes,
    product_plane_bytes,
    windows,
    windows_of,
)
from ctkernels.cpu._conv.lanes import BLOCK_BYTES
from ctkernels.cpu._conv.memory import ask_share, clear, size_of, word
from ctkernels.cpu._conv.product import product
from ctkernels.cpu._conv.winograd import transform_gradients_4, write_outputs_4
from ctkernels.cpu._core.jit import jit, jit_part

_CHUNK_BYTES: Final = 36 * 32 * 64 * 4
"""Of factors that go through the products together, so that they stay in the second-level cache."""


class InputGradientJob(IntEnum):
    """Addresses of a job for the gradient of the images."""

    GRADIENT = Job.ADDRESSES
    ARGMAX = auto()
    KERNEL = auto()
    """Packed, turned by half and with its channels swapped: ``(3, 3, out_channels, in_channels)``."""
    OUT = auto()


@jit
def _reach(windows):
    """Pixels of an axis that so many windows cover."""
    return 2 * windows + 2


@jit
def _tiles(windows):
    """Tiles of four pixels that cover them."""
    return (_reach(windows) + 3) // 4


@jit
def _chunk(kind, columns, out_channels):
    """Tiles of a row that go through the products together: all, or parts as equal as can be."""
    most = max(1, _CHUNK_BYTES // (PLANES_4 * out_channels * size_of(kind)))
    parts = (columns + most - 1) // most
    return (columns + parts - 1) // parts


@jit
def input_gradient_scratch(kind, width, out_channels):
    """Bytes of scratch of a task: factors and products."""
    tiles = _chunk(kind, _tiles(windows(width)), out_channels)
    return PLANES_4 * (plane_bytes(kind, tiles, out_channels) + product_plane_bytes(tiles))


@jit
def input_gradient_bands(images, window_rows, threads):
    """Bands of an image."""
    return bands(images, _tiles(window_rows), threads)


@jit
def input_gradient_task(kind, job, task, scratch):
    """One band of rows of tiles."""
    size, c = size_of(kind), word(job, Job.IN_CHANNELS)
    height, width = word(job, Job.HEIGHT), word(job, Job.WIDTH)
    rows, columns = windows_of(job)
    parts = word(job, Job.PARTS)
    image, band = task // parts, task % parts
    tile_rows = _tiles(rows)
    row = width * c * size
    target = word(job, InputGradientJob.OUT) + image * height * row
    last = tile_rows * (band + 1) // parts
    for y in range(tile_rows * band // parts, last):
        _tile_row(kind, job, image, y, y + 1 < last, target, scratch)
        # The last column of an odd width is under no window.
        if width > _reach(columns):
            for r in range(4 * y, min(4 * y + 4, _reach(rows))):
                clear(target + r * row + _reach(columns) * c * size, c * size)
    # So is the last row of an odd height.
    if band == parts - 1 and height > _reach(rows):
        clear(target + _reach(rows) * row, row)


@jit_part
def _tile_row(kind, job, image, y, more, target, scratch):
    """A row of tiles: gradients of windows to planes of factors, a matrix product a plane, products to pixels.

    ``more`` says whether the next row follows.
    """
    size = size_of(kind)
    c, f = channels_of(job)
    rows, columns = windows_of(job)
    row = word(job, Job.WIDTH) * c * size
    k = image * rows * columns * f
    gradient, argmax = word(job, InputGradientJob.GRADIENT) + k * size, word(job, InputGradientJob.ARGMAX) + k
    all_tiles = _tiles(columns)
    chunk = _chunk(kind, all_tiles, f)
    plane, product_plane = plane_bytes(kind, chunk, f), product_plane_bytes(chunk)
    products = scratch + PLANES_4 * plane
    block = BLOCK_BYTES // size
    for j in range(0, all_tiles, chunk):
        tiles = min(chunk, all_tiles - j)
        # All output channels at once: they are what the product sums over.
        transform_gradients_4(kind, gradient, argmax, 2 * y, rows, 2 * j, columns, f, tiles, scratch, plane, f * size)
        pixels = min(4 * tiles, _reach(columns) - 4 * j)
        four_rows = 1 if 4 * y + 4 <= _reach(rows) else 0
        for first in range(0, c, block):
            weights = word(job, InputGradientJob.KERNEL) + first // block * PLANES_4 * f * BLOCK_BYTES
            for k in range(PLANES_4):
                product(
                    kind, scratch + k * plane, f * size, size, weights + k * f * BLOCK_BYTES, BLOCK_BYTES,
                    products + k * product_plane, BLOCK_BYTES, tiles, f,
                )  # fmt: skip
                if j == 0 and first == 0:
                    ask_share(target + 4 * y * row, 4 * row, k, PLANES_4)
                if j == 0 and more:
                    # Two rows of windows that this row of tiles has not read.
                    after, length = 2 * (y + 1) * columns * f, 2 * columns * f
                    part, parts = first // block * PLANES_4 + k, (c + block - 1) // block * PLANES_4
                    ask_share(gradient + after * size, length * size, part, parts)
                    ask_share(argmax + after, length, part, parts)
            out = target + 4 * y * row + (4 * j * c + first) * size
            write_outputs_4(
                kind, products, product_plane, BLOCK_BYTES, pixels, four_rows, min(block, c - first), out, row, c * size
            )
