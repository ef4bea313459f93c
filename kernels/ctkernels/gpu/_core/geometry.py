"""The launch manifest: block sizes, grids, shared memory and specialisations of every kernel. Pure Python.

The launchers take their geometry from here, and the tests compile and run what :func:`all_units` lists.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from ctkernels.contract import IMAGE_DTYPES, OPERATIONS

MOST_IMAGES_A_LAUNCH: Final = 65_535
"""Limit of the y and z axes of a grid; kernels loop over the images beyond."""

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
_BYTES: Final = {"uint8": 1, "int16": 2, "uint16": 2, "float32": 4, "float64": 8}


class Unit(NamedTuple):
    """One compilation: a ``.cu`` file with its specialisation, and the kernels in it."""

    name: str
    defines: tuple[tuple[str, str | int], ...]
    kernels: tuple[str, ...]

    def defines_map(self) -> Mapping[str, str | int]:
        """As ``launch.launch`` and ``source.source`` take them."""
        return dict(self.defines)


class Plan(NamedTuple):
    """The geometry of one launch."""

    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    shared_bytes: int = 0


def c_type(dtype: Any) -> str:
    """The C name of an image dtype."""
    return _C_TYPES[str(dtype)]


def lanes(first: Any, second: Any) -> int:
    """Pixels of one vector: the wider of both types fills 16 bytes (``ctk_lanes_of`` in ``common.cuh``)."""
    return 16 // max(_BYTES[str(first)], _BYTES[str(second)])


def ceil_div(a: int, b: int) -> int:
    """``a / b`` rounded up."""
    return -(-a // b)


def images_axis(images: int) -> int:
    """Size of the grid's axis for images."""
    return min(images, MOST_IMAGES_A_LAUNCH)


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

    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    shared_bytes: int
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
        plan = part_plan(pixels, images, limits.processors, 8192)
        return HistogramPlan(plan.grid, plan.block, 0, bins, 0)
    width = ceil_div(bins, ranges)
    copies = max(min(_SMALL_TALLY // (width * 4), THREADS // 32), 1)
    parts = part_plan(pixels, images, limits.processors, max(8192, 4 * bins)).grid[0]
    return HistogramPlan((parts, images_axis(images), ranges), (THREADS, 1, 1), width * copies * 4, width, copies)


def _per_result(operation: str, *variants: str) -> tuple[str, ...]:
    return tuple(f"ctk_{operation}_{v}_{out}" for out in OPERATIONS[operation].out_dtypes for v in variants)


def own_units() -> Iterator[Unit]:
    """The units of the operations that are planned here."""
    for dtype in IMAGE_DTYPES:
        own = (("CTK_IN", c_type(dtype)),)
        yield Unit("histogram", own, ("ctk_histogram_shared", "ctk_histogram_global"))
        yield Unit("label_tissue", own, ("ctk_label_tissue",))
        yield Unit("rescale", own, ("ctk_rescale_narrow_float32", *_per_result("rescale", "wide")))
        yield Unit(
            "normalize",
            own,
            (
                *(f"ctk_normalize_{kernel}" for kernel in ("extent", "count", "step", "range")),
                *_per_result("normalize", "map"),
            ),
        )
        yield Unit(
            "standardize",
            own,
            ("ctk_standardize_moments", "ctk_standardize_range", *_per_result("standardize", "map")),
        )
        yield Unit("summary", own, tuple(f"ctk_summary_{kernel}" for kernel in ("moments", "count", "step", "row")))
        yield Unit("window", own, _per_result("window", "line", "sigmoid", "exact"))


def all_units() -> list[Unit]:
    """Every compilation that the launchers can ask for."""
    from ctkernels.gpu._core.geometry_filters import filter_units

    return [*own_units(), *filter_units()]
