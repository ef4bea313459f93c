"""How wide the convolution's vectors are, chosen on the machine that runs it.

Unlike the image filters (``_core/vectors.VECTOR_BYTES``), whose generic 32-byte vectors LLVM splits where registers are
narrower, a convolution keeps its sums in registers: too wide a vector spills, so the width follows the registers.
"""

from __future__ import annotations

from typing import Final

from ctkernels.cpu._core.target import has
from ctkernels.cpu._core.vectors import Vectors


def _register_bytes() -> int:
    """64 with AVX-512, 32 with AVX2 and fused multiply-adds, 16 everywhere else (SSE, NEON)."""
    if has("avx512f"):
        return 64
    return 32 if has("avx2") and has("fma") else 16


REGISTER_BYTES: Final = _register_bytes()
ROWS: Final = 8 if REGISTER_BYTES == 64 else 6
"""Rows of a matrix product's block of sums, at most: with two vectors a row, 16 of 32 registers, or 12 of 16."""
BLOCK_BYTES: Final = 2 * REGISTER_BYTES
"""Columns of that block, in bytes. Packed weights come in slices of this width."""


def full(builder, kind) -> Vectors:
    """Whole registers of numbers of a Numba type."""
    return Vectors(builder, kind, REGISTER_BYTES // (kind.bitwidth // 8))


def single(builder, kind) -> Vectors:
    """One number: for what is left over where channels do not fill a register."""
    return Vectors(builder, kind, 1)
