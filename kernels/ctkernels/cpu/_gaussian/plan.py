"""What the Gaussian kernel needs besides the image: weights, border tables, strides."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ctkernels.contract import each_axis, modes_of
from ctkernels.cpu._core.vectors import VECTOR_BYTES
from ctkernels.cpu._gaussian.ir import BLOCK
from ctkernels.shared.border import border_index
from ctkernels.shared.gaussian_weights import half_kernel

Array = NDArray[Any]


@dataclass(frozen=True)
class Plan:
    """One per shape, working type and parameters, kept between calls."""

    layout: NDArray[np.int64]
    """Radii (rows, columns), vectors a row, ring rows, length of the border table's inner part, strides in bytes of a
    ring row and of a row with its halo, 1 where the lane segments fill a row exactly, 1 where results may leave the
    type of an integer image."""
    border: NDArray[np.int64]
    """Source row of each extended row (-1: ``cval``), then the table of ``_gaussian/ir.extend_row``."""
    weights: Array
    """Both half kernels, centre first: rows, then columns."""
    fixed_bytes: int
    """Scratch, without the 8 bytes a row for the addresses."""
    row_nanoseconds: float
    """Rough cost of a row on one thread."""

    @property
    def rows_radius(self) -> int:
        """Rows that a band reads beyond its own on each side."""
        return int(self.layout[0])

    def scratch_bytes(self, rows: int) -> int:
        """Scratch for a band of ``rows`` rows."""
        return (self.fixed_bytes + 8 * (rows + 2 * self.rows_radius + BLOCK) + 63) // 64 * 64


SAFE_RADII = 40
"""Up to this sum of all radii rounding errors, ``(radii + 8) * 2**-23 * 65535`` at most, stay below one half."""


def exceeds_dtype(image: np.dtype[Any], mode: str | tuple[str, ...], cval: float) -> bool:
    """Whether the border holds a value that an integer image can't."""
    if image.kind == "f" or "constant" not in mode:
        return False
    limits = np.iinfo(image)
    return not limits.min <= cval <= limits.max


WAY: Final = 4096
"""Bytes of a way of the first-level cache: addresses so far apart compete for the same places."""


@lru_cache(maxsize=64)
def apart(row_bytes: int) -> int:
    """Bytes from a row to the next, so that a column of twelve rows finds three lines' room for each in the cache.

    Of 512 pixels, rows half a line further than ``WAY`` apart cost float64 a tenth of the filter's time (AVX2).
    """
    stride = row_bytes
    while min(min(k * stride % WAY, -k * stride % WAY) for k in range(1, 12)) < 192:
        stride += VECTOR_BYTES
    return stride


@lru_cache(maxsize=64)
def plan(
    height: int,
    width: int,
    work: np.dtype[Any],
    sigma: tuple[Any, Any],
    truncate: float | tuple[float, ...],
    mode: str | tuple[str, ...],
    border_exceeds: bool = False,
) -> Plan:
    """The plan for images of ``height`` rows and ``width`` columns, computed in type ``work``.

    ``border_exceeds`` is what ``exceeds_dtype`` says.
    """
    mode_y, mode_x = modes_of(mode, 2)
    truncate_y, truncate_x = each_axis(truncate, 2)
    wy = half_kernel(height, sigma[0], truncate_y, mode_y, work)
    wx = half_kernel(width, sigma[1], truncate_x, mode_x, work)
    may_leave = border_exceeds or wy.size + wx.size - 2 > SAFE_RADII
    return arranged(height, width, (wy, wx), (mode_y, mode_x), may_leave)


def arranged(
    height: int, width: int, halves: tuple[Array, Array], modes: tuple[str, str], may_leave: bool, signed: bool = False
) -> Plan:
    """The plan for these half kernels of rows and columns; ``signed``: each has its sign behind it."""
    wy, wx = halves
    ry, rx = wy.size - 1 - signed, wx.size - 1 - signed
    mode_y, mode_x = modes
    lanes = VECTOR_BYTES // wx.itemsize
    vectors = max(-(-width // lanes), lanes)
    inner = min(rx, vectors * lanes - width)
    columns = border_index(width, rx, rx, mode_x)
    rest = np.arange(width, width + inner)

    def element(pixel: Array) -> Array:
        return np.where(pixel < 0, -1, pixel % vectors * lanes + pixel // vectors)

    after = np.append(columns[rx + width :], np.zeros(inner, np.int64))
    border = np.concatenate(
        [border_index(height, ry, ry, mode_y), element(columns[:rx][::-1]), element(after), element(rest)]
    )
    ring = 2 * ry + BLOCK
    stride = apart(vectors * VECTOR_BYTES)
    halo_stride = apart((vectors + 2 * rx) * VECTOR_BYTES)
    exact = int(vectors * lanes == width)
    return Plan(
        layout=np.array([ry, rx, vectors, ring, inner, stride, halo_stride, exact, int(may_leave)], np.int64),
        border=border,
        weights=np.concatenate([wy, wx]),
        fixed_bytes=(ring + 4) * stride + BLOCK * halo_stride,
        row_nanoseconds=width * (0.3 + 0.03 * (ry + rx)) * wx.itemsize / 4,
    )
