"""The forward pass as tasks; see ``_conv/job``."""

from __future__ import annotations

from typing import Any

from ctkernels.cpu._conv.direct import pool_row
from ctkernels.cpu._conv.job import APART, CHUNK, is_direct, up
from ctkernels.cpu._conv.lanes import BLOCK_BYTES, ROWS
from ctkernels.cpu._conv.memory import clear, size_of, word
from ctkernels.cpu._conv.product import product
from ctkernels.cpu._conv.winograd import pool_outputs, transform_inputs
from ctkernels.cpu._core.jit import jit


@jit
def forward_scratch(kind: Any, h: Any, w: Any, c: Any, f: Any) -> Any:
    """Bytes of scratch of a forward task."""
    wide = up(min(CHUNK, (w - 2) // 2), ROWS)
    return 16 * (up(wide * c * size_of(kind), 64) + APART + wide * BLOCK_BYTES + APART)


@jit
def forward_task(kind: Any, job: Any, task: Any, scratch: Any) -> None:
    """A band of pooled rows of one image. Addresses: x, packed (or plain) kernel, bias, out, places or 0."""
    h, w, c, f, bands = word(job, 1), word(job, 2), word(job, 3), word(job, 4), word(job, 5)
    x, kernel, bias, out, places = word(job, 6), word(job, 7), word(job, 8), word(job, 9), word(job, 10)
    size = size_of(kind)
    block = BLOCK_BYTES // size
    th, tw = (h - 2) // 2, (w - 2) // 2
    image, band = task // bands, task % bands
    direct = is_direct(kind, c, f)
    wide = up(min(CHUNK, tw), ROWS)
    plane = up(wide * c * size, 64) + APART
    products = scratch + 16 * plane
    products_plane = wide * BLOCK_BYTES + APART
    for y in range(th * band // bands, th * (band + 1) // bands):
        source = x + (image * h + 2 * y) * w * c * size
        target = (image * th + y) * tw * f
        if direct:
            for first in range(0, f, block):
                k = target + first
                pool_row(
                    kind,
                    source,
                    w * c * size,
                    c,
                    kernel + first * size,
                    f * size,
                    bias + first * size,
                    tw,
                    out + k * size,
                    places + k if places != 0 else 0,
                    f,
                )
            continue
        for j in range(0, tw, CHUNK):
            tiles = min(CHUNK, tw - j)
            rows = up(tiles, ROWS)
            transform_inputs(kind, source + 2 * j * c * size, w * c * size, c, tiles, scratch, plane, c * size)
            if rows > tiles:
                for k in range(16):
                    clear(scratch + k * plane + tiles * c * size, (rows - tiles) * c * size)
            for first in range(0, f, block):
                weights = kernel + first // block * 16 * c * BLOCK_BYTES
                for k in range(16):
                    product(
                        kind,
                        scratch + k * plane,
                        c * size,
                        size,
                        weights + k * c * BLOCK_BYTES,
                        BLOCK_BYTES,
                        products + k * products_plane,
                        BLOCK_BYTES,
                        rows,
                        c,
                    )
                k = target + j * f + first
                pool_outputs(
                    kind,
                    products,
                    products_plane,
                    BLOCK_BYTES,
                    tiles,
                    min(block, f - first),
                    bias + first * size,
                    out + k * size,
                    places + k if places != 0 else 0,
                    f,
                )
