"""The gradient of the images as tasks, each the rows of pixels below a band of windows; see ``job``.

A tile of gradients reaches 4 x 4 pixels and its neighbours overlap it by two: to the right sums wait in registers
(``gather_inputs``), downwards the two lower rows of pixels wait in *carry* rows until the next row of windows comes.
"""

from __future__ import annotations

from enum import IntEnum, auto

from ctkernels.cpu._conv.job import (
    PLANES,
    Job,
    channels_of,
    plane_bytes,
    product_plane_bytes,
    windows,
    windows_of,
)
from ctkernels.cpu._conv.lanes import BLOCK_BYTES
from ctkernels.cpu._conv.memory import clear, size_of, word
from ctkernels.cpu._conv.product import product
from ctkernels.cpu._conv.winograd import gather_inputs, move_pixels, spread_gradient
from ctkernels.cpu._core.jit import jit, jit_inline
from ctkernels.cpu._core.vectors import round_up


class InputGradientJob(IntEnum):
    """Addresses of a job for the gradient of the images."""

    GRADIENT = Job.ADDRESSES
    ARGMAX = auto()
    KERNEL = auto()
    """Packed, with its channels swapped: ``(3, 3, out_channels, in_channels)``."""
    OUT = auto()


@jit
def _reach(width):
    """Pixels of a row that some window covers."""
    return 2 * windows(width) + 2


@jit
def _slices(kind, channels):
    """Slices of packed weights that so many channels take."""
    return round_up(channels * size_of(kind), BLOCK_BYTES) // BLOCK_BYTES


@jit
def input_gradient_scratch(kind, height, width, in_channels, out_channels):
    """Bytes of scratch of a task: factors, products, sums of the bias that nobody wants, a row, carry rows."""
    tiles = windows(width)
    planes = PLANES * (plane_bytes(kind, tiles, out_channels) + product_plane_bytes(tiles))
    rows = 1 + 2 * _slices(kind, in_channels)
    return planes + round_up(out_channels * size_of(kind), 64) + rows * _reach(width) * BLOCK_BYTES


@jit
def input_gradient_bands(images, window_rows, threads):
    """Bands of an image: no more than it takes to keep the threads busy, because each does a row in vain."""
    wanted = (4 * threads + images - 1) // max(images, 1)
    return max(1, min(wanted, window_rows // 4))


@jit_inline
def _areas(kind, job, scratch):
    """Addresses of the products, of sums of the bias, of a row that nobody reads, and of the carry rows."""
    width, f = word(job, Job.WIDTH), word(job, Job.OUT_CHANNELS)
    tiles = windows(width)
    products = scratch + PLANES * plane_bytes(kind, tiles, f)
    unused_sums = products + PLANES * product_plane_bytes(tiles)
    unused_row = unused_sums + round_up(f * size_of(kind), 64)
    return products, unused_sums, unused_row, unused_row + _reach(width) * BLOCK_BYTES


@jit
def input_gradient_task(kind, job, task, scratch):
    """The rows of one band; its two upper ones overlap with the band above, whose last windows are done once more."""
    size = size_of(kind)
    c, f = channels_of(job)
    rows = windows_of(job)[0]
    bands = word(job, Job.PARTS)
    image, band = task // bands, task % bands
    start, stop = rows * band // bands, rows * (band + 1) // bands
    _, unused_sums, _, carry = _areas(kind, job, scratch)
    # ``spread_gradient`` sums the bias' gradient too, which is another job's result.
    clear(unused_sums, f * size)
    clear(carry, _slices(kind, c) * 2 * _reach(word(job, Job.WIDTH)) * BLOCK_BYTES)
    for y in range(max(0, start - 1), stop):
        _window_row(kind, job, image, y, y < start, scratch)
    if stop == rows:
        _last_rows(kind, job, image, carry)


@jit_inline
def _window_row(kind, job, image, y, above, scratch):
    """Two rows of pixels from a row of windows and the carry; of the row ``above`` a band only the carry is wanted."""
    size = size_of(kind)
    c, f = channels_of(job)
    height, width = word(job, Job.HEIGHT), word(job, Job.WIDTH)
    rows, columns = windows_of(job)
    products, unused_sums, unused_row, carry = _areas(kind, job, scratch)
    reach = _reach(width)
    plane, product_plane = plane_bytes(kind, columns, f), product_plane_bytes(columns)
    k = (image * rows + y) * columns * f
    gradient, argmax = word(job, InputGradientJob.GRADIENT) + k * size, word(job, InputGradientJob.ARGMAX) + k
    # All output channels at once: they are what the product sums over.
    spread_gradient(kind, gradient, argmax, f, columns, f, scratch, plane, f * size, unused_sums)
    target = word(job, InputGradientJob.OUT) + (image * height + 2 * y) * width * c * size
    block = BLOCK_BYTES // size
    for first in range(0, c, block):
        number = first // block
        weights = word(job, InputGradientJob.KERNEL) + number * PLANES * f * BLOCK_BYTES
        for k in range(PLANES):
            factors, sums = scratch + k * plane, products + k * product_plane
            product(
                kind, factors, f * size, size, weights + k * f * BLOCK_BYTES, BLOCK_BYTES, sums, BLOCK_BYTES,
                columns, f,
            )  # fmt: skip
        # A row above the band goes where nobody reads (a row step of 0): only what it leaves in the carry counts.
        gather_inputs(
            kind, products, product_plane, BLOCK_BYTES, columns, min(block, c - first),
            carry + number * 2 * reach * BLOCK_BYTES,
            unused_row if above else target + first * size,
            0 if above else width * c * size,
            BLOCK_BYTES if above else c * size,
        )  # fmt: skip
    # The last column of an odd width is under no window.
    if not above and width > reach:
        clear(target + reach * c * size, c * size)
        clear(target + (width + reach) * c * size, c * size)


@jit
def _last_rows(kind, job, image, carry):
    """The rows that the last windows leave in the carry, and zeros for the last row of an odd height."""
    size = size_of(kind)
    c = word(job, Job.IN_CHANNELS)
    height, width = word(job, Job.HEIGHT), word(job, Job.WIDTH)
    rows, reach = windows_of(job)[0], _reach(width)
    row = width * c * size
    target = word(job, InputGradientJob.OUT) + (image * height + 2 * rows) * row
    block = BLOCK_BYTES // size
    for r in range(2):
        for first in range(0, c, block):
            source = carry + (first // block * 2 + r) * reach * BLOCK_BYTES
            goal = target + r * row + first * size
            move_pixels(kind, source, BLOCK_BYTES, goal, c * size, reach, min(block, c - first))
        if width > reach:
            clear(target + r * row + reach * c * size, c * size)
    if height > 2 * rows + 2:
        clear(target + 2 * row, row)
