"""The gradients of kernel and bias as tasks; see ``_conv/job``."""

from __future__ import annotations

from typing import Any

from ctkernels.cpu._conv.direct import SLICE, add_row_gradient
from ctkernels.cpu._conv.job import APART, CHUNK, is_direct, up
from ctkernels.cpu._conv.lanes import BLOCK_BYTES, REGISTER_BYTES, ROWS
from ctkernels.cpu._conv.memory import add_parts, clear, size_of, word
from ctkernels.cpu._conv.product import add_product
from ctkernels.cpu._conv.weights import finish_kernel_gradient
from ctkernels.cpu._conv.winograd import spread_gradient, transform_inputs
from ctkernels.cpu._core.jit import jit


@jit
def rows_together(tw: Any) -> Any:
    """Rows of windows whose products are added up at once, so that sums are loaded and stored less often."""
    return max(1, CHUNK // tw)


@jit
def part_bytes(kind: Any, c: Any, f: Any) -> Any:
    """Room for one set of partial sums of the kernel's and the bias' gradients."""
    wide = up(f * size_of(kind), BLOCK_BYTES)
    return wide * (9 * c if is_direct(kind, c, f) else 16 * up(c, ROWS)) + wide


@jit
def weight_gradient_scratch(kind: Any, h: Any, w: Any, c: Any, f: Any) -> Any:
    """Bytes of scratch of a weight gradient task."""
    tiles = (w - 2) // 2 * rows_together((w - 2) // 2)
    return 16 * (up(tiles * up(c, ROWS) * size_of(kind), 64) + APART + tiles * BLOCK_BYTES + APART)


@jit
def weight_gradient_task(kind: Any, job: Any, task: Any, scratch: Any) -> None:
    """One of ``pieces`` partial sums over rows of windows of all images. Addresses: x, gradient, places, sums."""
    n, h, w, c, f, pieces = word(job, 0), word(job, 1), word(job, 2), word(job, 3), word(job, 4), word(job, 5)
    x, gradient, places = word(job, 6), word(job, 7), word(job, 8)
    size = size_of(kind)
    block = BLOCK_BYTES // size
    th, tw = (h - 2) // 2, (w - 2) // 2
    together = rows_together(tw)
    groups = (th + together - 1) // together
    room = part_bytes(kind, c, f)
    sums = word(job, 9) + task * room
    bias_sums = sums + room - up(f * size, BLOCK_BYTES)
    clear(sums, room)
    deep = up(c, ROWS)
    plane = up(together * tw * deep * size, 64) + APART
    spread = scratch + 16 * plane
    spread_plane = together * tw * BLOCK_BYTES + APART
    direct = is_direct(kind, c, f)
    clear(scratch, weight_gradient_scratch(kind, h, w, c, f))
    for item in range(n * groups * task // pieces, n * groups * (task + 1) // pieces):
        image, first_row = item // groups, item % groups * together
        rows = min(together, th - first_row)
        source = x + (image * h + 2 * first_row) * w * c * size
        origin = (image * th + first_row) * tw * f
        if direct:
            for r in range(rows):
                for first in range(0, f, SLICE * REGISTER_BYTES // size):
                    k = origin + r * tw * f + first
                    add_row_gradient(
                        kind,
                        source + 2 * r * w * c * size,
                        w * c * size,
                        c,
                        gradient + k * size,
                        places + k,
                        f,
                        tw,
                        sums + first * size,
                        f * size,
                        bias_sums + first * size,
                    )
            continue
        for r in range(rows):
            transform_inputs(
                kind,
                source + 2 * r * w * c * size,
                w * c * size,
                c,
                tw,
                scratch + r * tw * deep * size,
                plane,
                deep * size,
            )
        for first in range(0, f, block):
            for r in range(rows):
                k = origin + r * tw * f + first
                spread_gradient(
                    kind,
                    gradient + k * size,
                    places + k,
                    f,
                    tw,
                    min(block, f - first),
                    spread + r * tw * BLOCK_BYTES,
                    spread_plane,
                    BLOCK_BYTES,
                    bias_sums + first * size,
                )
            for k in range(16):
                add_product(
                    kind,
                    scratch + k * plane,
                    size,
                    deep * size,
                    spread + k * spread_plane,
                    BLOCK_BYTES,
                    sums + (first // block * 16 + k) * deep * BLOCK_BYTES,
                    BLOCK_BYTES,
                    deep,
                    rows * tw,
                )


@jit
def finish_weight_gradient(kind: Any, job: Any) -> None:
    """Add the partial sums up. Addresses beyond those of the tasks: gradients of the kernel and of the bias."""
    c, f, pieces = word(job, 3), word(job, 4), word(job, 5)
    sums, kernel, bias = word(job, 9), word(job, 10), word(job, 11)
    size = size_of(kind)
    block = BLOCK_BYTES // size
    room = part_bytes(kind, c, f)
    add_parts(kind, sums + room - up(f * size, BLOCK_BYTES), room, pieces, bias, f)
    if is_direct(kind, c, f):
        add_parts(kind, sums, room, pieces, kernel, 9 * c * f)
        return
    deep = up(c, ROWS)
    for first in range(0, f, block):
        finish_kernel_gradient(
            kind,
            sums + first // block * 16 * deep * BLOCK_BYTES,
            room,
            pieces,
            deep * BLOCK_BYTES,
            BLOCK_BYTES,
            c,
            min(block, f - first),
            kernel + first * size,
            c * f * size,
            f * size,
        )
