"""What a convolution job is, and forms that its tasks in ``forward``, ``weight_gradient`` and ``input_gradient`` share.

A job is a row of int64 words in memory: sizes (``Job``), then addresses of C-contiguous arrays (the enumeration beside
each task says which). Words in memory and not arguments, because XLA's threads get one pointer (``xla_threads``). A
task is one part of a job; it owns what it writes and its scratch, so that any thread may run it at any time, and the
result does not depend on which thread did.

The functions that a task is divided into are inlined again: called a row of windows at a time, they cost the forward
pass up to 4 in 100.

Packed weights are 16 (or 36) planes for each slice of ``BLOCK_BYTES`` of output channels, zero where channels end.
"""

from __future__ import annotations

from enum import IntEnum, auto
from typing import Final

from numba.extending import register_jitable

from ctkernels.cpu._conv.lanes import BLOCK_BYTES
from ctkernels.cpu._conv.memory import clear, size_of, word
from ctkernels.cpu._conv.weights import transform_kernel, transform_kernel_4
from ctkernels.cpu._core.jit import jit
from ctkernels.cpu._core.vectors import LINE_BYTES, round_up

FEW_CHANNELS: Final = 4
CHUNK: Final = 64
"""Tiles that go through the products together: 16 planes of 64 input channels take 256 KB of float32."""
CHUNK_4: Final = 31
"""The same for tiles of F(4 x 4, 3 x 3): 36 planes take 286 KB."""
PLANES: Final = 16
"""A 4 x 4 tile has so many factors; each has a plane of its own, so that products are ordinary matrix products."""
PLANES_4: Final = 36
"""Factors of a tile of F(4 x 4, 3 x 3)."""
JOB_WORDS: Final = 16
_BANDS: Final = 8
"""Of an image at most, which one image alone has."""
_TASKS: Final = 16
"""Of a thread at least, where images have so many bands."""


class Job(IntEnum):
    """Words that every job begins with."""

    IMAGES = 0
    HEIGHT = auto()
    WIDTH = auto()
    IN_CHANNELS = auto()
    OUT_CHANNELS = auto()
    PARTS = auto()
    """Bands of an image, or partial sums."""
    ADDRESSES = auto()
    """The first word after the sizes."""


@register_jitable
def windows(length):
    """2 x 2 windows along an axis: the convolution takes 2 pixels off, an odd last row or column has no window."""
    return (length - 2) // 2


@jit
def channels_of(job):
    """Input and output channels."""
    return word(job, Job.IN_CHANNELS), word(job, Job.OUT_CHANNELS)


@jit
def windows_of(job):
    """Rows of windows, and windows of a row."""
    return windows(word(job, Job.HEIGHT)), windows(word(job, Job.WIDTH))


@jit
def bands(images, tile_rows, threads):
    """Bands of an image: few where images are many, as a band asks for memory ahead but in its last row."""
    wanted = (_TASKS * threads + max(images, 1) - 1) // max(images, 1)
    return max(1, min(_BANDS, tile_rows, wanted))


@jit
def _apart(length):
    """An odd number of cache lines, so that numbers at one place of all planes fall into different sets of a cache."""
    return ((length + LINE_BYTES - 1) // LINE_BYTES | 1) * LINE_BYTES


@jit
def plane_bytes(kind, tiles, channels):
    """From one plane to the next."""
    return _apart(tiles * channels * size_of(kind))


@jit
def product_plane_bytes(tiles):
    """The same for products, which are made one slice of output channels at a time."""
    return _apart(tiles * BLOCK_BYTES)


@jit
def is_direct(kind, in_channels, out_channels):
    """Whether the plain sum serves better than Winograd's, and can: it has no code for half-filled registers."""
    return in_channels <= FEW_CHANNELS and out_channels * size_of(kind) % BLOCK_BYTES == 0


@jit
def packed_bytes(kind, in_channels, out_channels, planes):
    """Room for a packed kernel."""
    return round_up(out_channels * size_of(kind), BLOCK_BYTES) * planes * in_channels


@jit
def slices(kind, out_channels):
    """Slices of a packed kernel."""
    return round_up(out_channels * size_of(kind), BLOCK_BYTES) // BLOCK_BYTES


@jit
def pack(kind, kernel, in_channels, out_channels, planes, out):
    """Transform a ``(3, 3, in_channels, out_channels)`` kernel into slices of 16 or 36 planes."""
    for number in range(slices(kind, out_channels)):
        pack_slice(kind, kernel, in_channels, out_channels, planes, number, out)


@jit
def pack_slice(kind, kernel, in_channels, out_channels, planes, number, out):
    """One of the slices of ``pack``, to its place in ``out``."""
    size = size_of(kind)
    block = BLOCK_BYTES // size
    plane = in_channels * BLOCK_BYTES
    row = out_channels * size
    first = number * block
    target = out + number * planes * plane
    used = min(block, out_channels - first)
    # Products take whole slices: what channels do not fill must add nothing.
    if used < block:
        clear(target, planes * plane)
    source, tap = kernel + first * size, in_channels * row
    if planes == PLANES_4:
        transform_kernel_4(kind, source, tap, row, in_channels, used, target, plane, BLOCK_BYTES)
    else:
        transform_kernel(kind, source, tap, row, in_channels, used, target, plane, BLOCK_BYTES)
