"""The forward pass as tasks, each a band of pooled rows of one image; see ``job``.

Three forms, told apart by the planes of factors that they have (``forward_planes``): the plain sum; Winograd's
F(2 x 2, 3 x 3), for images of few windows or channels; F(4 x 4, 3 x 3), with 7 in 16 fewer multiplications.
"""

from __future__ import annotations

from enum import IntEnum, auto
from typing import Final

from ctkernels.cpu._conv.direct import pool_row
from ctkernels.cpu._conv.job import (
    CHUNK,
    CHUNK_4,
    PLANES,
    PLANES_4,
    Job,
    bands,
    channels_of,
    is_direct,
    plane_bytes,
    product_plane_bytes,
    windows,
    windows_of,
)
from ctkernels.cpu._conv.lanes import BLOCK_BYTES
from ctkernels.cpu._conv.memory import ask_share, size_of, word
from ctkernels.cpu._conv.product import product
from ctkernels.cpu._conv.winograd import pool_outputs, pool_outputs_4, transform_inputs, transform_inputs_4
from ctkernels.cpu._core.jit import jit, jit_part

_FEWEST_WINDOWS: Final = 4
"""Along an axis, for tiles of 2 x 2 windows: of fewer, too many of a tile's outputs have no window."""
_FEWEST_CHANNELS: Final = 16
"""From which on the rounding of F(4 x 4, 3 x 3) is within three times a plain sum's, which grows with them."""


class ForwardJob(IntEnum):
    """Words of a forward job: addresses, and the form."""

    X = Job.ADDRESSES
    KERNEL = auto()
    """Packed; plain where there are no planes."""
    BIAS = auto()
    OUT = auto()
    ARGMAX = auto()
    """0 where nobody asks for it."""
    PLANES = auto()
    """``forward_planes``."""
    UNPACKED = auto()
    """The kernel as it came, where tasks of the job around this one pack it (``features``)."""


@jit
def forward_planes(kind, height, width, in_channels, out_channels):
    """Planes of factors: none for the plain sum, 16 or 36."""
    if is_direct(kind, in_channels, out_channels):
        return 0
    few = min(windows(height), windows(width)) < _FEWEST_WINDOWS or in_channels < _FEWEST_CHANNELS
    return PLANES if few else PLANES_4


@jit
def _tiles(planes, length):
    """Tiles along an axis of so many windows."""
    return (length + 1) // 2 if planes == PLANES_4 else length


@jit
def _chunk(planes):
    return CHUNK_4 if planes == PLANES_4 else CHUNK


@jit
def _rows_per_group(planes, columns):
    """Rows of tiles whose products are made together, so that weights are read less often."""
    return max(1, _chunk(planes) // columns)


@jit
def _chunk_room(planes, width):
    """Tiles that there must be room for."""
    columns = _tiles(planes, windows(width))
    return max(min(_chunk(planes), columns), _rows_per_group(planes, columns) * columns)


@jit
def forward_scratch(kind, width, in_channels, planes):
    """Bytes of scratch of a forward task."""
    tiles = _chunk_room(planes, width)
    return planes * (plane_bytes(kind, tiles, in_channels) + product_plane_bytes(tiles))


@jit
def forward_bands(planes, images, window_rows, threads):
    """Bands of an image."""
    return bands(images, _tiles(planes, window_rows), threads)


@jit
def forward_task(kind, job, task, scratch):
    """One band of pooled rows."""
    parts, planes = word(job, Job.PARTS), word(job, ForwardJob.PLANES)
    rows, columns = windows_of(job)
    rows, columns = _tiles(planes, rows), _tiles(planes, columns)
    image, band = task // parts, task % parts
    first, last = rows * band // parts, rows * (band + 1) // parts
    if planes == 0:
        for y in range(first, last):
            _direct_row(kind, job, image, y)
        return
    together = _rows_per_group(planes, columns)
    for y in range(first, last, together):
        _winograd_rows(kind, job, planes, image, y, last, scratch)


@jit_part
def _row_addresses(kind, job, image, y):
    """Where the rows of pixels under a row of windows begin, and the number of the row's first result."""
    height, width = word(job, Job.HEIGHT), word(job, Job.WIDTH)
    c, f = channels_of(job)
    rows, columns = windows_of(job)
    source = word(job, ForwardJob.X) + (image * height + 2 * y) * width * c * size_of(kind)
    return source, (image * rows + y) * columns * f


@jit_part
def _argmax_at(job, result):
    """Address of the argmax of one result, 0 where nobody asks for it."""
    argmax = word(job, ForwardJob.ARGMAX)
    return argmax + result if argmax != 0 else 0


@jit_part
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


@jit_part
def _winograd_rows(kind, job, planes, image, y, last, scratch):
    """A group of rows of tiles from ``y`` on, before ``last``: pixels to factors, a product a plane, to results."""
    size = size_of(kind)
    c, f = channels_of(job)
    columns, chunk = _tiles(planes, windows_of(job)[1]), _chunk(planes)
    count = min(_rows_per_group(planes, columns), last - y)
    room = _chunk_room(planes, word(job, Job.WIDTH))
    plane, product_plane = plane_bytes(kind, room, c), product_plane_bytes(room)
    products = scratch + planes * plane
    block = BLOCK_BYTES // size
    # A chunk of tiles at a time, so that its planes are still in cache for the last slice of output channels.
    for j in range(0, columns, chunk):
        tiles = min(chunk, columns - j)
        for r in range(count):
            _factors(kind, job, planes, image, y + r, j, tiles, scratch + r * tiles * c * size, plane)
        for first in range(0, f, block):
            weights = word(job, ForwardJob.KERNEL) + first // block * planes * c * BLOCK_BYTES
            for k in range(planes):
                product(
                    kind, scratch + k * plane, c * size, size, weights + k * c * BLOCK_BYTES, BLOCK_BYTES,
                    products + k * product_plane, BLOCK_BYTES, count * tiles, c,
                )  # fmt: skip
                if j == 0 and first == 0:
                    _ask_results(kind, job, planes, image, y, count, k)
                if j == 0 and y + count < last:
                    part, parts = first // block * planes + k, (f + block - 1) // block * planes
                    _ask_pixels(kind, job, planes, image, y + count, count, part, parts)
            # Pooled at once: the products of one slice never leave the caches.
            for r in range(count):
                _pool(
                    kind, job, planes, image, y + r, j, tiles, products + r * tiles * BLOCK_BYTES, product_plane, first
                )


@jit
def _window_rows(planes):
    """Rows of windows of a row of tiles."""
    return 2 if planes == PLANES_4 else 1


@jit_part
def _ask_results(kind, job, planes, image, y, count, part):
    """Ask for a share of the results of ``count`` rows of tiles from ``y`` on, one for each plane."""
    rows, columns = windows_of(job)
    first = _window_rows(planes) * y
    length = min(_window_rows(planes) * count, rows - first) * columns * word(job, Job.OUT_CHANNELS)
    result, size = _row_addresses(kind, job, image, first)[1], size_of(kind)
    ask_share(word(job, ForwardJob.OUT) + result * size, length * size, part, planes)
    if word(job, ForwardJob.ARGMAX) != 0:
        ask_share(_argmax_at(job, result), length, part, planes)


@jit_part
def _ask_pixels(kind, job, planes, image, y, count, part, parts):
    """Ask for a share of the pixels of ``count`` rows of tiles from ``y`` on, but those that the row before has."""
    row = word(job, Job.WIDTH) * word(job, Job.IN_CHANNELS) * size_of(kind)
    source = _row_addresses(kind, job, image, _window_rows(planes) * y)[0]
    ask_share(source + 2 * row, 2 * _window_rows(planes) * count * row, part, parts)


@jit_part
def _factors(kind, job, planes, image, y, j, tiles, out, plane):
    """``tiles`` tiles of row ``y``, from number ``j`` on, to their factors."""
    height, width, c = word(job, Job.HEIGHT), word(job, Job.WIDTH), word(job, Job.IN_CHANNELS)
    size = size_of(kind)
    row = width * c * size
    if planes == PLANES_4:
        source = _row_addresses(kind, job, image, 2 * y)[0] + 4 * j * c * size
        transform_inputs_4(kind, source, row, c, tiles, out, plane, c * size, height - 1 - 4 * y, width - 1 - 4 * j)
    else:
        source = _row_addresses(kind, job, image, y)[0] + 2 * j * c * size
        transform_inputs(kind, source, row, c, tiles, out, plane, c * size)


@jit_part
def _pool(kind, job, planes, image, y, j, tiles, products, plane, first):
    """Products of ``tiles`` tiles and a slice of output channels to pooled results."""
    size, f = size_of(kind), word(job, Job.OUT_CHANNELS)
    rows, columns = windows_of(job)
    channels, bias = min(BLOCK_BYTES // size, f - first), word(job, ForwardJob.BIAS) + first * size
    if planes == PLANES_4:
        k = _row_addresses(kind, job, image, 2 * y)[1] + 2 * j * f + first
        out, there = word(job, ForwardJob.OUT) + k * size, min(2 * tiles, columns - 2 * j)
        two_rows, argmax = 1 if 2 * y + 1 < rows else 0, _argmax_at(job, k)
        pool_outputs_4(kind, products, plane, BLOCK_BYTES, there, two_rows, channels, bias, out, argmax, columns * f, f)
    else:
        k = _row_addresses(kind, job, image, y)[1] + j * f + first
        out = word(job, ForwardJob.OUT) + k * size
        pool_outputs(kind, products, plane, BLOCK_BYTES, tiles, channels, bias, out, _argmax_at(job, k), f)
