"""The gradient of the images as tasks; see ``_conv/job``."""

from __future__ import annotations

from typing import Any

from ctkernels.cpu._conv.job import APART, up
from ctkernels.cpu._conv.lanes import BLOCK_BYTES, ROWS
from ctkernels.cpu._conv.memory import clear, size_of, word
from ctkernels.cpu._conv.product import product
from ctkernels.cpu._conv.winograd import gather_inputs, move_pixels, spread_gradient
from ctkernels.cpu._core.jit import jit


@jit
def input_gradient_scratch(kind: Any, h: Any, w: Any, c: Any, f: Any) -> Any:
    """Bytes of scratch of an input gradient task."""
    size = size_of(kind)
    tw = (w - 2) // 2
    rows = up(tw, ROWS)
    carries = up(c * size, BLOCK_BYTES) // BLOCK_BYTES * 2 + 1
    return (
        16 * (up(rows * f * size, 64) + APART + rows * BLOCK_BYTES + APART)
        + up(f * size, 64)
        + (carries * (2 * tw + 2) * BLOCK_BYTES)
    )


@jit
def input_gradient_bands(images: Any, windows_high: Any, threads: Any) -> Any:
    """Bands of an image: no more than it takes to keep the threads busy, because each does a row in vain."""
    wanted = (4 * threads + images - 1) // max(images, 1)
    return max(1, min(wanted, windows_high // 4))


@jit
def input_gradient_task(kind: Any, job: Any, task: Any, scratch: Any) -> None:
    """Rows of the input's gradient below a band of windows. Addresses: gradient, places, packed kernel, out.

    The kernel is packed with its channels swapped, ``(3, 3, f, c)``. Two rows overlap with the band above: its last row
    of windows is done once more.
    """
    h, w, c, f, bands = word(job, 1), word(job, 2), word(job, 3), word(job, 4), word(job, 5)
    gradient, places, kernel, out = word(job, 6), word(job, 7), word(job, 8), word(job, 9)
    size = size_of(kind)
    block = BLOCK_BYTES // size
    th, tw = (h - 2) // 2, (w - 2) // 2
    image, band = task // bands, task % bands
    start, stop = th * band // bands, th * (band + 1) // bands
    rows = up(tw, ROWS)
    plane = up(rows * f * size, 64) + APART
    products = scratch + 16 * plane
    products_plane = rows * BLOCK_BYTES + APART
    reach = 2 * tw + 2
    unused = products + 16 * products_plane
    unused_row = unused + up(f * size, 64)
    carry = unused_row + reach * BLOCK_BYTES
    carry_bytes = 2 * reach * BLOCK_BYTES
    clear(unused, f * size)
    clear(carry, up(c * size, BLOCK_BYTES) // BLOCK_BYTES * carry_bytes)
    if rows > tw:
        for k in range(16):
            clear(scratch + k * plane + tw * f * size, (rows - tw) * f * size)
    for y in range(max(0, start - 1), stop):
        source = (image * th + y) * tw * f
        target = out + (image * h + 2 * y) * w * c * size
        spread_gradient(kind, gradient + source * size, places + source, f, tw, f, scratch, plane, f * size, unused)
        for first in range(0, c, block):
            number = first // block
            weights = kernel + number * 16 * f * BLOCK_BYTES
            for k in range(16):
                product(
                    kind,
                    scratch + k * plane,
                    f * size,
                    size,
                    weights + k * f * BLOCK_BYTES,
                    BLOCK_BYTES,
                    products + k * products_plane,
                    BLOCK_BYTES,
                    rows,
                    f,
                )
            above = y < start
            gather_inputs(
                kind,
                products,
                products_plane,
                BLOCK_BYTES,
                tw,
                min(block, c - first),
                carry + number * carry_bytes,
                unused_row if above else target + first * size,
                0 if above else w * c * size,
                BLOCK_BYTES if above else c * size,
            )
        if y >= start and w > reach:
            clear(target + reach * c * size, c * size)
            clear(target + (w + reach) * c * size, c * size)
    if stop == th:
        target = out + (image * h + 2 * th) * w * c * size
        for r in range(2):
            for first in range(0, c, block):
                move_pixels(
                    kind,
                    carry + first // block * carry_bytes + r * reach * BLOCK_BYTES,
                    BLOCK_BYTES,
                    target + r * w * c * size + first * size,
                    c * size,
                    reach,
                    min(block, c - first),
                )
            if w > reach:
                clear(target + (r * w + reach) * c * size, c * size)
        if h > 2 * th + 2:
            clear(target + 2 * w * c * size, w * c * size)
