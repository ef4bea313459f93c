"""Block sizes, grids and shared memory of every launch. No CUDA: arithmetic on shapes, dtypes and :class:`Limits`.

The launchers take all numbers of a launch from here and from ``geometry_filters.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import numpy as np


@dataclass(frozen=True)
class Ceilings:
    """Upper bounds. Beyond each of them work is cut into parts; :func:`lowered` makes small images do so."""

    images_a_launch: int = 65_535
    """Limit of the y and z axes of a grid; kernels loop over the images beyond."""
    chain_bytes: int = 1 << 25
    """Of images between steps: so many slices go through all steps at a time that they stay in the level-2 cache."""
    scratch_bytes: int = 1 << 28
    """Of what one launch leaves for the next: larger batches go through both in parts."""


_ceilings = Ceilings()


def ceilings() -> Ceilings:
    """Those that hold now."""
    return _ceilings


@contextmanager
def lowered(**bounds: int) -> Iterator[None]:
    """Within it, fields of :class:`Ceilings` are lower: for tests of what lies beyond them, with small images."""
    global _ceilings
    before, _ceilings = _ceilings, replace(_ceilings, **bounds)
    try:
        yield
    finally:
        _ceilings = before


RANGE_WORDS: Final = 8
"""Doubles an image that hold its line (``CTK_PARAMETERS`` in ``ranges.cuh``)."""

THREADS: Final = 256
"""Of the blocks of all pointwise and counting kernels."""

_C_TYPES: Final = {
    "uint8": "unsigned char",
    "int16": "short",
    "uint16": "unsigned short",
    "float32": "float",
    "float64": "double",
}


class Plan(NamedTuple):
    """The geometry of one launch."""

    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    shared_bytes: int = 0


def c_type(dtype: Any) -> str:
    """The C name of an image dtype."""
    return _C_TYPES[str(dtype)]


def pixel_bytes(dtype: Any) -> int:
    """Size of a pixel."""
    return np.dtype(dtype).itemsize


def lanes(first: Any, second: Any) -> int:
    """Pixels of one vector: the wider of both types fills 16 bytes (``ctk_lanes_of`` in ``common.cuh``)."""
    return 16 // max(pixel_bytes(first), pixel_bytes(second))


def ceil_div(a: int, b: int) -> int:
    """``a / b`` rounded up."""
    return -(-a // b)


def images_axis(images: int) -> int:
    """Size of the grid's axis for images."""
    return min(images, _ceilings.images_a_launch)


def map_plan(vector: int, unroll: int, pixels: int, images: int = 1) -> Plan:
    """For ``ctk_map``: ``unroll`` vectors of ``vector`` pixels a thread, one row of blocks for each image."""
    tiles = ceil_div(pixels, THREADS * vector * unroll)
    return Plan((min(max(tiles, 1), 2**31 - 1), images_axis(images), 1), (THREADS, 1, 1))


def moment_parts(pixels: int) -> int:
    """Parts of an image whose moments are taken apart. By its size alone: the result must not depend on the batch."""
    return min(ceil_div(pixels, 8192), 512)


def part_plan(pixels: int, images: int, processors: int, least: int, most: int = 2**20) -> Plan:
    """For kernels whose results don't depend on how an image is cut: ``least`` pixels a block at least.

    Eight blocks a multiprocessor keep the device busy; more would only repeat what every block does at its end.
    """
    parts = min(ceil_div(8 * processors, images), ceil_div(pixels, least), most)
    return Plan((max(parts, 1), images_axis(images), 1), (THREADS, 1, 1))


def warp_plan(images: int) -> Plan:
    """One warp an image, eight a block."""
    return Plan((ceil_div(images, 8), 1, 1), (THREADS, 1, 1))


class Limits(NamedTuple):
    """What launch geometry depends on besides the problem."""

    processors: int
    shared_bytes: int
    """Shared memory that one block may have when it asks for it."""
    compute_capability: int
    """Such as 90."""


class HistogramPlan(NamedTuple):
    """``copies`` 0: count in global memory."""

    launch: Plan
    width: int
    copies: int


_SMALL_TALLY: Final = 16 * 1024
"""Bytes; up to here a block has several copies of its counters, and eight blocks still fit a multiprocessor."""

_EASY_TALLY: Final = 48 * 1024
"""Bytes that every block may have without asking."""

_MOST_RANGES: Final = 4
"""Each range of bins is another pass over the pixels; beyond, atomics in global memory are the lesser evil."""


def histogram_plan(pixels: int, images: int, bins: int, limits: Limits) -> HistogramPlan:
    """Shared counters where they fit, in up to four ranges of bins, and where there are pixels enough to fill them."""
    ranges = ceil_div(bins * 4, _EASY_TALLY if bins * 4 <= _EASY_TALLY else limits.shared_bytes)
    large = bins * 4 > _EASY_TALLY
    busy = images * ranges * 4 >= limits.processors and pixels >= 4 * bins
    if ranges > _MOST_RANGES or (large and not busy):
        return HistogramPlan(part_plan(pixels, images, limits.processors, 8192), bins, 0)
    width = ceil_div(bins, ranges)
    copies = max(min(_SMALL_TALLY // (width * 4), THREADS // 32), 1)
    parts = part_plan(pixels, images, limits.processors, max(8192, 4 * bins)).grid[0]
    launch = Plan((parts, images_axis(images), ranges), (THREADS, 1, 1), width * copies * 4)
    return HistogramPlan(launch, width, copies)
