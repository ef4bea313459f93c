"""The forward pass as tasks, each a band of pooled rows of one image; see ``job``."""

from __future__ import annotations

from enum import IntEnum, auto
from typing import Final

from ctkernels.cpu._conv.direct import pool_row
from ctkernels.cpu._conv.job import (
    CHUNK,
    PLANES,
    Job,
    channels_of,
    is_direct,
    plane_bytes,
    product_plane_bytes,
    windows,
    windows_of,
)
from ctkernels.cpu._conv.lanes import BLOCK_BYTES, ROWS
from ctkernels.cpu._conv.memory import clear, size_of, word
from ctkernels.cpu._conv.product import product
from ctkernels.cpu._conv.winograd import pool_outputs, transform_inputs
from ctkernels.cpu._core.jit import jit, jit_inline
from ctkernels.cpu._core.vectors import round_up

_BANDS: Final = 8
"""Of an image; a fixed number will do, because no band does a row in vain."""


class ForwardJob(IntEnum):
    """Addresses of a forward job."""

    X = Job.ADDRESSES
    KERNEL = auto()
    """Packed; plain where ``is_direct``."""
    BIAS = auto()
    OUT = auto()
    ARGMAX = auto()
    """0 where nobody asks for it."""


@jit
def _chunk_room(width):
    """Tiles that there must be room for: a chunk or a row, in whole blocks of the product."""
    return round_up(min(CHUNK, windows(width)), ROWS)


@jit
def forward_scratch(kind, height, width, in_channels, out_channels):
    """Bytes of scratch of a forward task."""
    tiles = _chunk_room(width)
    return PLANES * (plane_bytes(kind, tiles, in_channels) + product_plane_bytes(tiles))


@jit
def forward_bands(window_rows):
    """Bands of an image."""
    return min(_BANDS, window_rows)


@jit
def forward_task(kind, job, task, scratch):
    """One band of pooled rows."""
    rows, bands = windows_of(job)[0], word(job, Job.PARTS)
    image, band = task // bands, task % bands
    direct = is_direct(kind, *channels_of(job))
    for y in range(rows * band // bands, rows * (band + 1) // bands):
        if direct:
            _direct_row(kind, job, image, y)
        else:
            _winograd_row(kind, job, image, y, scratch)


@jit_inline
def _row_addresses(kind, job, image, y):
    """Where the four rows of pixels under a row of windows begin, and the number of the row's first result."""
    height, width = word(job, Job.HEIGHT), word(job, Job.WIDTH)
    c, f = channels_of(job)
    rows, columns = windows_of(job)
    source = word(job, ForwardJob.X) + (image * height + 2 * y) * width * c * size_of(kind)
    return source, (image * rows + y) * columns * f


@jit_inline
def _argmax_at(job, result):
    """Address of the argmax of one result, 0 where nobody asks for it."""
    argmax = word(job, ForwardJob.ARGMAX)
    return argmax + result if argmax != 0 else 0


@jit_inline
def _direct_row(kind, job, image, y):
    """A row of windows by the plain sum, two registers of output channels at a time: all sums stay in registers."""
    size = size_of(kind)
    c, f = channels_of(job)
    row = word(job, Job.WIDTH) * c * size
    kernel, bias, out = word(job, ForwardJob.KERNEL), word(job, ForwardJob.BIAS), word(job, ForwardJob.OUT)
    source, target = _row_addresses(kind, job, image, y)
    columns = windows_of(job)[1]
    for first in range(0, f, BLOCK_BYTES // size):
        k = target + first
        argmax = _argmax_at(job, k)
        weights = kernel + first * size
        pool_row(kind, source, row, c, weights, f * size, bias + first * size, columns, out + k * size, argmax, f)


@jit_inline
def _winograd_row(kind, job, image, y, scratch):
    """A row of windows: pixels to 16 planes of factors, a matrix product a plane, products to pooled results."""
    size = size_of(kind)
    c, f = channels_of(job)
    width = word(job, Job.WIDTH)
    kernel, bias, out = word(job, ForwardJob.KERNEL), word(job, ForwardJob.BIAS), word(job, ForwardJob.OUT)
    source, target = _row_addresses(kind, job, image, y)
    columns = windows(width)
    plane, product_plane = plane_bytes(kind, _chunk_room(width), c), product_plane_bytes(_chunk_room(width))
    products = scratch + PLANES * plane
    block = BLOCK_BYTES // size
    # A chunk of tiles at a time, so that its planes are still in cache for the last slice of output channels.
    for j in range(0, columns, CHUNK):
        tiles = min(CHUNK, columns - j)
        transform_inputs(kind, source + 2 * j * c * size, width * c * size, c, tiles, scratch, plane, c * size)
        # The product takes tiles in blocks of ROWS; those that fill up the last one count as zeros.
        rows = round_up(tiles, ROWS)
        if rows > tiles:
            for k in range(PLANES):
                clear(scratch + k * plane + tiles * c * size, (rows - tiles) * c * size)
        for first in range(0, f, block):
            weights = kernel + first // block * PLANES * c * BLOCK_BYTES
            for k in range(PLANES):
                factors, sums = scratch + k * plane, products + k * product_plane
                product(
                    kind, factors, c * size, size, weights + k * c * BLOCK_BYTES, BLOCK_BYTES, sums, BLOCK_BYTES,
                    rows, c,
                )  # fmt: skip
            # Pooled at once: the products of one slice, 16 x 64 x BLOCK_BYTES, never leave the caches.
            k = target + j * f + first
            pool_outputs(
                kind, products, product_plane, BLOCK_BYTES, tiles, min(block, f - first), bias + first * size,
                out + k * size, _argmax_at(job, k), f,
            )  # fmt: skip
