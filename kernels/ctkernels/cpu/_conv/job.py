"""Forms that the tasks of ``_conv/forward`` and ``_conv_backward`` share.

A job is a row of int64 words in memory: images, height, width, input channels, output channels, pieces, then addresses
of C-contiguous arrays. A task is one piece of it; it owns what it writes and its scratch, so that any thread may run it
at any time, and the result does not depend on which thread did.

Packed weights are 16 planes for each slice of ``BLOCK_BYTES`` of output channels, zero where channels do not fill it.
"""

from __future__ import annotations

from typing import Any, Final

from ctkernels.cpu._conv.lanes import BLOCK_BYTES
from ctkernels.cpu._conv.memory import clear, size_of
from ctkernels.cpu._conv.weights import transform_kernel
from ctkernels.cpu._core.jit import jit

FEW_CHANNELS: Final = 4
CHUNK: Final = 64
"""Tiles that go through the products together: 16 planes of 64 input channels take 256 KB of float32."""
PIECES: Final = 8
"""Bands of an image in the forward pass, and the fewest partial sums of a kernel's gradient."""
APART: Final = 64
"""Bytes between planes, so that 16 planes of a power of two do not fall into one set of the first-level cache."""


@jit
def up(number: Any, step: Any) -> Any:
    """The next multiple."""
    return (number + step - 1) // step * step


@jit
def is_direct(kind: Any, c: Any, f: Any) -> Any:
    """Whether the plain sum serves better than Winograd's, and can: it has no code for half-filled registers."""
    return c <= FEW_CHANNELS and f * size_of(kind) % BLOCK_BYTES == 0


@jit
def packed_bytes(kind: Any, deep: Any, wide: Any) -> Any:
    """Room for the packed kernel of ``deep`` input and ``wide`` output channels."""
    return up(wide * size_of(kind), BLOCK_BYTES) * 16 * deep


@jit
def pack(kind: Any, kernel: Any, deep: Any, wide: Any, out: Any) -> None:
    """Transform a ``(3, 3, deep, wide)`` kernel into slices of planes."""
    size = size_of(kind)
    block = BLOCK_BYTES // size
    for first in range(0, wide, block):
        target = out + first // block * 16 * deep * BLOCK_BYTES
        many = min(block, wide - first)
        if many < block:
            clear(target, 16 * deep * BLOCK_BYTES)
        transform_kernel(
            kind,
            kernel + first * size,
            deep * wide * size,
            wide * size,
            deep,
            many,
            target,
            deep * BLOCK_BYTES,
            BLOCK_BYTES,
        )
