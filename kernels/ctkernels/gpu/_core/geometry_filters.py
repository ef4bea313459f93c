"""The launches of filters: medians, Gaussians, CLAHE, and chains of steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from ctkernels import contract
from ctkernels.gpu._core.geometry import Plan, c_type, ceil_div, ceilings, images_axis, pixel_bytes
from ctkernels.gpu._core.median_network import thread_rows

Shape = tuple[int, int, int]
Defines = dict[str, str | int]

MODES: Final = {mode: number for number, mode in enumerate(contract.MODES)}
"""Numbers of the border modes, as in ``border.cuh``."""


def modes_across(modes: Sequence[str]) -> int:
    """The borders of rows and columns in one number, as ``smooth.cuh`` takes them."""
    rows, columns = modes
    return MODES[rows] + 8 * MODES[columns]


PACKING_CAPABILITY: Final = 90
"""From here on processors compare two 16-bit numbers in one instruction; before, that takes several."""

_WARPS: Final = 4
"""In a block of every median kernel."""


# ------------------------------------------------------------------------------------------------------------ medians
class MedianPlan(NamedTuple):
    """A launch and what it is compiled with; ``rows`` is the kernel's last argument."""

    unit: str
    defines: Defines
    kernel: str
    launch: Plan
    rows: int


def network_serves(size: tuple[int, int], dtype: Any) -> bool:
    """Whether a median of this size runs as a network: larger ones spill, and take long to compile."""
    return max(size) <= 11 and size[0] * size[1] <= (49 if str(dtype) == "float64" else 121)


def network_defines(size: tuple[int, int], dtype: Any, capability: int) -> Defines:
    """Specialisation of ``median_filter.cu``."""
    packed = pixel_bytes(dtype) <= 2 and capability >= PACKING_CAPABILITY
    return {
        "CTK_PIXEL": c_type(dtype),
        "CTK_ROWS": size[0],
        "CTK_COLUMNS": size[1],
        "CTK_THREAD_ROWS": thread_rows(*size, 8 if str(dtype) == "float64" else 4),
        "CTK_LANES": 2 if packed else 1,
    }


_NETWORK_TILE: Final = 128
_ENOUGH_BLOCKS: Final = 512
"""With fewer, tiles are made smaller so that more processors get one."""


def network_plan(shape: Shape, lanes: int) -> tuple[Plan, int]:
    """Launch of ``ctk_median_network`` and rows of words in a tile."""
    images, height, width = shape
    across = ceil_div(width, _NETWORK_TILE)
    rows = 32
    while rows > 16 and images * across * ceil_div(height, rows * lanes) < _ENOUGH_BLOCKS:
        rows //= 2
    return Plan((across * ceil_div(height, rows * lanes), images_axis(images), 1), (32, _WARPS, 1)), rows


def large_median_bytes(size: tuple[int, int], dtype: Any, tile_rows: int, *, planes: int = 1) -> int:
    """Shared memory of ``ctk_median_tiles``: histograms, results, keys."""
    item = pixel_bytes(dtype)
    keys = planes * (tile_rows + size[0] - 1) * (31 + size[1])
    return _WARPS * item * 256 * 4 + item * (tile_rows * 32 + keys)


def median_plan(shape: Shape, size: tuple[int, int], dtype: Any, capability: int, shared: int) -> MedianPlan:
    """For a device of this compute capability that gives a block ``shared`` bytes."""
    images, height, width = shape
    if network_serves(size, dtype):
        defines = network_defines(size, dtype, capability)
        launch, rows = network_plan(shape, int(defines["CTK_LANES"]))
        return MedianPlan("median_filter", defines, "ctk_median_network", launch, rows)
    defines = {"CTK_PIXEL": c_type(dtype)}
    # Tall tiles spare reading halos twice; two blocks on a processor hide each other's waits.
    for limit in (shared // 2, shared):
        for rows in (64, 32, 16):
            needed = large_median_bytes(size, dtype, rows)
            if needed <= limit:
                grid = (ceil_div(width, 32) * ceil_div(height, rows), images_axis(images), 1)
                return MedianPlan(
                    "median_large", defines, "ctk_median_tiles", Plan(grid, (32, _WARPS, 1), needed), rows
                )
    rows = min(height, max(64, 4 * size[0]))
    grid = (ceil_div(width, _WARPS) * ceil_div(height, rows), images_axis(images), 1)
    return MedianPlan("median_large", defines, "ctk_median_columns", Plan(grid, (32, _WARPS, 1)), rows)


# ---------------------------------------------------------------------------------------------------------- Gaussians
_TILES: Final = ((128, 64), (64, 64), (64, 32), (32, 32))
"""Columns and rows of a tile; the larger, the fewer pixels are read twice."""

_SMOOTH_BLOCK: Final = (32, 8, 1)


class SmoothPlan(NamedTuple):
    """A launch of ``ctk_gaussian_tile``; ``tile`` is columns and rows."""

    launch: Plan
    tile: tuple[int, int]


def smooth_bytes(radii: tuple[int, int], tile: tuple[int, int], dtype: Any) -> int:
    """Shared memory of a tile: ``ctk_smooth_layout`` in ``smooth.cuh``."""
    ry, rx = radii
    width, height = tile
    item = pixel_bytes(dtype)
    number = max(item, 4)
    weights = (ry + rx + 5) // 4 * 4
    raw = (height + 2 * ry) * (width + 2 * ((rx + 3) // 4 * 4))
    out_pitch = width + (8 if item == 1 else 16 // item)
    out = (height * out_pitch * item + 16) // number // 4 * 4 + 4
    return number * (weights + max(raw, out) + height * (width + 2 * rx + 1))


def smooth_plan(shape: Shape, radii: tuple[int, int], dtype: Any, shared: int) -> SmoothPlan | None:
    """For a device that gives a block ``shared`` bytes; None where no tile fits."""
    images, height, width = shape
    for limit in (shared // 2, shared):
        fitting = [(tile, size) for tile in _TILES if (size := smooth_bytes(radii, tile, dtype)) <= limit]
        counts = [images * ceil_div(width, w) * ceil_div(height, h) for (w, h), _ in fitting]
        if fitting:
            best = next((i for i, count in enumerate(counts) if count >= _ENOUGH_BLOCKS // 2), len(fitting) - 1)
            tile, size = fitting[best]
            grid = (counts[best] // images, images_axis(images), 1)
            return SmoothPlan(Plan(grid, _SMOOTH_BLOCK, size), tile)
    return None


def smooth_fits(radii: tuple[int, int], dtype: Any, shared: int) -> bool:
    """Whether :func:`smooth_plan` finds a tile."""
    return smooth_bytes(radii, _TILES[-1], dtype) <= shared


def smooth_chunk(shape: Shape, dtype: Any) -> tuple[int, int]:
    """Images that the two-pass form takes at a time, and the bytes of scratch for them."""
    images, height, width = shape
    one = height * width * max(pixel_bytes(dtype), 4)
    chunk = min(images, max(1, ceilings().scratch_bytes // one))
    return chunk, chunk * one


def smooth_passes(shape: Shape) -> tuple[Plan, Plan]:
    """Launches of ``ctk_gaussian_columns`` and ``ctk_gaussian_rows``."""
    images, height, width = shape
    across = ceil_div(width, 256)
    return (
        Plan((across * ceil_div(height, 8), images_axis(images), 1), (256, 1, 1)),
        Plan((across * height, images_axis(images), 1), (256, 1, 1)),
    )


# -------------------------------------------------------------------------------------------------------------- CLAHE
CLAHE_THREADS: Final = 256
CLAHE_WINDOW: Final = 4096
"""Bins that are counted at a time (``CTK_WINDOW``); with more, the extent of each tile is found first."""

_ENTRY_BYTES: Final = 32 * 1024
"""Shared memory for a block's entries; with more bins than fit, pixels look levels up in the tables themselves."""


class ClahePlan(NamedTuple):
    """The launches of one part of a batch, and the scratch between them."""

    images: int
    """Of a part: what goes through all launches at a time."""
    range_parts: int
    """Blocks that find the range of an image; 0 where it is given."""
    find_range: Plan
    extents: Plan | None
    tables: Plan
    blend: Plan
    capacity: int
    """Entries of ``blend``'s shared memory."""
    scratch: tuple[int, int, int]
    """Bytes: partial ranges, extents, tables."""


def clahe_plan(shape: Shape, grid: tuple[int, int], nbins: int, dtype: Any, *, given_range: bool) -> ClahePlan:
    """``given_range``: whether the range of the bins is known beforehand."""
    images, height, width = shape
    item = pixel_bytes(dtype)
    tiles = grid[0] * grid[1]
    level, entry = (4, 16) if item >= 4 else (item, 4 * item)
    one = tiles * nbins * level
    part = min(images, max(1, ceilings().scratch_bytes // one))
    parts = 0 if given_range else max(1, min(32, ceil_div(height * width, 8192)))
    wide = nbins > CLAHE_WINDOW
    capacity = min(nbins, _ENTRY_BYTES // entry)
    along, block = images_axis(part), (CLAHE_THREADS, 1, 1)
    return ClahePlan(
        part,
        parts,
        Plan((max(parts, 1), along, 1), block),
        Plan((tiles, along, 1), block) if wide else None,
        Plan((tiles, along, 1), block),
        Plan(((grid[0] + 1) * (grid[1] + 1), along, 1), block, capacity * entry),
        capacity,
        (max(part * parts * 2 * max(item, 4), 16), part * tiles * 4 if wide else 16, part * one),
    )


# ----------------------------------------------------------------------------------------------------------- chains


def chain_images(shape: Shape, alive_bytes: int) -> int:
    """Slices that go through a chain at a time; ``alive_bytes``: of a pixel in all images that two steps share."""
    return max(1, min(shape[0], ceilings().chain_bytes // max(shape[1] * shape[2] * alive_bytes, 1)))
