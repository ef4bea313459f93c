"""The gradients of kernel and bias as tasks, each a partial sum over rows of windows of all images; see ``job``.

The partial sums are added up in a fixed order at the end (``finish_weight_gradient``), so that results do not depend on
which thread was faster.
"""

from __future__ import annotations

from enum import IntEnum, auto
from typing import Final

from ctkernels.cpu._conv.direct import SLICE, add_row_gradient
from ctkernels.cpu._conv.job import (
    CHUNK_4,
    PLANES_4,
    Job,
    channels_of,
    is_direct,
    plane_bytes,
    product_plane_bytes,
    windows,
    windows_of,
)
from ctkernels.cpu._conv.lanes import BLOCK_BYTES, REGISTER_BYTES
from ctkernels.cpu._conv.memory import add_parts, clear, size_of, word
from ctkernels.cpu._conv.product import add_product
from ctkernels.cpu._conv.weights import finish_kernel_gradient
from ctkernels.cpu._conv.winograd import spread_gradient_4, transform_inputs_4
from ctkernels.cpu._core.jit import jit, jit_part
from ctkernels.cpu._core.vectors import round_up

_LEAST_PARTS: Final = 8
"""A number of its own and not that of the threads, so that up to 4 threads all give the same bits."""


class WeightGradientJob(IntEnum):
    """Addresses of a job for the gradients of kernel and bias."""

    X = Job.ADDRESSES
    GRADIENT = auto()
    ARGMAX = auto()
    SUMS = auto()
    """``parts`` times ``part_bytes``."""
    KERNEL_GRADIENT = auto()
    BIAS_GRADIENT = auto()


@jit
def _tiles(windows):
    """Tiles of 2 x 2 windows along an axis."""
    return (windows + 1) // 2


@jit
def _rows_per_group(columns):
    """Rows of tiles whose products are added up at once, so that sums are loaded and stored less often."""
    return max(1, CHUNK_4 // _tiles(columns))


@jit
def _row_groups(rows, columns):
    """Groups of rows of tiles of an image: the units that tasks share."""
    per_group = _rows_per_group(columns)
    return (_tiles(rows) + per_group - 1) // per_group


@jit
def weight_gradient_parts(images, window_rows, columns, threads):
    """Partial sums: at most one a group of rows."""
    return min(max(_LEAST_PARTS, 2 * threads), max(images * _row_groups(window_rows, columns), 1))


@jit
def part_bytes(kind, in_channels, out_channels):
    """Room for one set of partial sums: of the kernel's gradient (taps, or Winograd's planes), then of the bias'."""
    row = round_up(out_channels * size_of(kind), BLOCK_BYTES)
    direct = is_direct(kind, in_channels, out_channels)
    return row * (9 * in_channels if direct else PLANES_4 * in_channels) + row


@jit
def weight_gradient_scratch(kind, width, in_channels):
    """Bytes of scratch of a task."""
    columns = windows(width)
    tiles = _tiles(columns) * _rows_per_group(columns)
    return PLANES_4 * (plane_bytes(kind, tiles, in_channels) + product_plane_bytes(tiles))


@jit_part
def _sums_of(kind, job, part):
    """Addresses of a part's sums for the kernel and for the bias."""
    c, f = channels_of(job)
    room = part_bytes(kind, c, f)
    kernel_sums = word(job, WeightGradientJob.SUMS) + part * room
    return kernel_sums, kernel_sums + room - round_up(f * size_of(kind), BLOCK_BYTES)


@jit
def weight_gradient_task(kind, job, task, scratch):
    """One partial sum."""
    c, f = channels_of(job)
    rows, columns = windows_of(job)
    images, parts = word(job, Job.IMAGES), word(job, Job.PARTS)
    clear(_sums_of(kind, job, task)[0], part_bytes(kind, c, f))
    groups, per_group = _row_groups(rows, columns), _rows_per_group(columns)
    direct = is_direct(kind, c, f)
    # Rows of all images in one sequence, so that parts are equally long whatever the number of images.
    for item in range(images * groups * task // parts, images * groups * (task + 1) // parts):
        image, first_row = item // groups, item % groups * per_group
        count = min(per_group, _tiles(rows) - first_row)
        if direct:
            for y in range(2 * first_row, min(2 * (first_row + count), rows)):
                _direct_row(kind, job, task, image, y)
        else:
            _winograd_rows(kind, job, task, image, first_row, count, scratch)


@jit_part
def _pixels_of(kind, job, image, y):
    """Address of the rows of pixels under a row of windows."""
    width, c = word(job, Job.WIDTH), word(job, Job.IN_CHANNELS)
    return word(job, WeightGradientJob.X) + (image * word(job, Job.HEIGHT) + 2 * y) * width * c * size_of(kind)


@jit_part
def _direct_row(kind, job, task, image, y):
    """Add a row of windows to the sums by the plain formula, some registers of output channels at a time."""
    size = size_of(kind)
    c, f = channels_of(job)
    rows, columns = windows_of(job)
    gradient, argmax = word(job, WeightGradientJob.GRADIENT), word(job, WeightGradientJob.ARGMAX)
    sums, bias_sums = _sums_of(kind, job, task)
    source, row = _pixels_of(kind, job, image, y), word(job, Job.WIDTH) * c * size
    for first in range(0, f, SLICE * REGISTER_BYTES // size):
        k = (image * rows + y) * columns * f + first
        add_row_gradient(
            kind, source, row, c, gradient + k * size, argmax + k, f, columns, sums + first * size, f * size,
            bias_sums + first * size,
        )  # fmt: skip


@jit_part
def _winograd_rows(kind, job, task, image, first_row, count, scratch):
    """Add ``count`` rows of tiles to the sums in Winograd's form: the sum over tiles is a matrix product a plane."""
    size = size_of(kind)
    c, f = channels_of(job)
    rows, columns = windows_of(job)
    gradient, argmax = word(job, WeightGradientJob.GRADIENT), word(job, WeightGradientJob.ARGMAX)
    sums, bias_sums = _sums_of(kind, job, task)
    in_row = _tiles(columns)
    tiles = _rows_per_group(columns) * in_row
    plane, spread_plane = plane_bytes(kind, tiles, c), product_plane_bytes(tiles)
    spread = scratch + PLANES_4 * plane
    height, width = word(job, Job.HEIGHT), word(job, Job.WIDTH)
    for r in range(count):
        y = 2 * (first_row + r)
        source, target = _pixels_of(kind, job, image, y), scratch + r * in_row * c * size
        transform_inputs_4(
            kind, source, width * c * size, c, in_row, target, plane, c * size, height - 1 - 2 * y, width - 1
        )
    block = BLOCK_BYTES // size
    # Slice by slice of output channels: its factors and sums stay in cache while the inputs' planes pass.
    for first in range(0, f, block):
        for r in range(count):
            y = 2 * (first_row + r)
            k = (image * rows + y) * columns * f + first
            spread_gradient_4(
                kind, gradient + k * size, argmax + k, columns, 1 if y + 1 < rows else 0, columns * f, f,
                min(block, f - first), spread + r * in_row * BLOCK_BYTES, spread_plane, BLOCK_BYTES,
                bias_sums + first * size,
            )  # fmt: skip
        for k in range(PLANES_4):
            # Left is read transposed: rows are channels, one number apart, and steps are tiles.
            left, target = scratch + k * plane, sums + (first // block * PLANES_4 + k) * c * BLOCK_BYTES
            add_product(
                kind, left, size, c * size, spread + k * spread_plane, BLOCK_BYTES, target, BLOCK_BYTES,
                c, count * in_row,
            )  # fmt: skip


@jit
def finish_weight_gradient(kind, job):
    """Add the partial sums up, in the order of the parts."""
    c, f = channels_of(job)
    parts = word(job, Job.PARTS)
    kernel = word(job, WeightGradientJob.KERNEL_GRADIENT)
    size = size_of(kind)
    block = BLOCK_BYTES // size
    room = part_bytes(kind, c, f)
    sums, bias_sums = _sums_of(kind, job, 0)
    add_parts(kind, bias_sums, room, parts, word(job, WeightGradientJob.BIAS_GRADIENT), f)
    if is_direct(kind, c, f):
        add_parts(kind, sums, room, parts, kernel, 9 * c * f)
        return
    plane = c * BLOCK_BYTES
    for first in range(0, f, block):
        # The transform is linear: one transform of the sum instead of one of every part.
        finish_kernel_gradient(
            kind, sums + first // block * PLANES_4 * plane, room, parts, plane, BLOCK_BYTES, c, min(block, f - first),
            kernel + first * size, c * f * size, f * size,
        )  # fmt: skip
