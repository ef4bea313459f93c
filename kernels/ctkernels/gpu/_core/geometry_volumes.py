"""The launches of filters of volumes: medians, Gaussians and CLAHE along three axes."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from ctkernels.gpu._core.geometry import Plan, c_type, ceil_div, ceilings, images_axis, pixel_bytes
from ctkernels.gpu._core.geometry_filters import (
    CLAHE_THREADS,
    CLAHE_WINDOW,
    PACKING_CAPABILITY,
    Defines,
    MedianPlan,
    large_median_bytes,
    smooth_plan,
)

Volumes = tuple[int, int, int, int]
"""Volumes, planes, rows, columns."""

Size = tuple[int, int, int]

_WARPS: Final = 4
_EASY_SHARED: Final = 48 * 1024
"""Bytes of static shared memory that a block may have."""

# ------------------------------------------------------------------------------------------------------------ medians
_MOST_VOXELS: Final = {"float64": (75, 75)}
"""Of a window with a network, where that is not 125, or 147 with up to 25 rows in all planes; more would spill."""


def word_rows(size: Size, dtype: Any) -> int:
    """Most rows of words in a tile of ``ctk_median_volume``: as many as shared memory holds; 0: none."""
    planes, rows, columns = size
    pitch = 128 + 2 * ((columns // 2 + 3) // 4 * 4)
    for fits in (16, 8, 4):
        if (fits + rows - 1) * planes * pitch * max(pixel_bytes(dtype), 4) <= _EASY_SHARED:
            return fits
    return 0


def network_serves_volumes(size: Size, dtype: Any) -> bool:
    """Whether a median of this size runs as a network."""
    planes, rows, columns = size
    most, flat = _MOST_VOXELS.get(str(dtype), (125, 147))
    few = planes * rows * columns <= (flat if planes * rows <= 25 else most) and columns <= 11
    return few and word_rows(size, dtype) > 0


def volume_network_defines(size: Size, dtype: Any, capability: int) -> Defines:
    """Specialisation of ``median_volume.cu``."""
    packed = pixel_bytes(dtype) <= 2 and capability >= PACKING_CAPABILITY
    return {
        "CTK_PIXEL": c_type(dtype),
        "CTK_PLANES": size[0],
        "CTK_ROWS": size[1],
        "CTK_COLUMNS": size[2],
        "CTK_THREAD_ROWS": 1,
        "CTK_WORD_ROWS": word_rows(size, dtype),
        "CTK_LANES": 2 if packed else 1,
    }


def median_volume_plan(shape: Volumes, size: Size, dtype: Any, capability: int, shared: int) -> MedianPlan:
    """For a device of this compute capability that gives a block ``shared`` bytes."""
    volumes, depth, height, width = shape
    along = images_axis(volumes * depth)
    if network_serves_volumes(size, dtype):
        defines = volume_network_defines(size, dtype, capability)
        words, lanes = int(defines["CTK_WORD_ROWS"]), int(defines["CTK_LANES"])
        launch = Plan((ceil_div(width, 128) * ceil_div(height, words * lanes), along, 1), (32, _WARPS, 1))
        return MedianPlan("median_volume", defines, "ctk_median_volume", launch, words)
    unit, kernel, defines = "median_volume_large", "ctk_median_volume_tiles", {"CTK_PIXEL": c_type(dtype)}
    for limit in (shared // 2, shared):
        for rows in (64, 32, 16):
            needed = large_median_bytes((size[1], size[2]), dtype, rows, planes=size[0])
            if needed <= limit:
                grid = (ceil_div(width, 32) * ceil_div(height, rows), along, 1)
                return MedianPlan(unit, defines, kernel, Plan(grid, (32, _WARPS, 1), needed), rows)
    rows = min(height, max(64, 4 * size[1]))
    grid = (ceil_div(width, _WARPS) * ceil_div(height, rows), along, 1)
    return MedianPlan(unit, defines, "ctk_median_volume_columns", Plan(grid, (32, _WARPS, 1)), rows)


# ---------------------------------------------------------------------------------------------------------- Gaussians
class SmoothVolumePlan(NamedTuple):
    """A band of rows of all planes at a time: smoothed in each plane, then summed along the planes."""

    volumes: int
    """That go through both launches at a time."""
    rows: int
    """Of a band."""
    tile: tuple[int, int] | None
    """Columns and rows of ``ctk_gaussian_slices``' tiles; None where none fits shared memory."""
    shared_bytes: int
    scratch_bytes: int
    """Of the smoothed rows."""


def smooth_volume_plan(shape: Volumes, radii: tuple[int, int], work: Any, shared: int) -> SmoothVolumePlan:
    """For a device that gives a block ``shared`` bytes; ``work``: type of the sums."""
    volumes, depth, height, width = shape
    row = depth * width * pixel_bytes(work)
    most = max(ceilings().scratch_bytes // row, 1)
    tiles = smooth_plan((depth, height, width), radii, work, shared)
    if tiles is None:
        return SmoothVolumePlan(1, height, None, 0, height * row)
    step = tiles.tile[1]
    rows = height if most >= height else max(most // step, 1) * step
    together = min(volumes, max(most // height, 1))
    rows = min(rows, height)
    return SmoothVolumePlan(together, rows, tiles.tile, tiles.launch.shared_bytes, together * rows * row)


def slices_launch(plan: SmoothVolumePlan, planes: int, rows: int, width: int) -> Plan:
    """Of ``ctk_gaussian_slices`` for ``rows`` rows of so many planes."""
    assert plan.tile is not None
    columns, height = plan.tile
    return Plan(
        (ceil_div(width, columns) * ceil_div(rows, height), images_axis(planes), 1), (32, 8, 1), plan.shared_bytes
    )


def planes_launch(volumes: int, depth: int, pixels: int) -> Plan:
    """Of ``ctk_gaussian_planes`` for ``pixels`` pixels of each plane."""
    return Plan((ceil_div(pixels, 256), images_axis(volumes * ceil_div(depth, 8)), 1), (256, 1, 1))


# -------------------------------------------------------------------------------------------------------------- CLAHE
_ENTRY_BYTES: Final = 32 * 1024
"""Shared memory for a block's entries of 16 bytes; with more bins than fit, pixels look levels up themselves."""


class ClaheVolumePlan(NamedTuple):
    """The launches of some volumes, and the scratch between them; see ``geometry_filters.ClahePlan``."""

    volumes: int
    range_parts: int
    find_range: Plan
    extents: Plan | None
    tables: Plan
    blend: Plan
    capacity: int
    scratch: tuple[int, int, int]
    """Bytes: partial ranges, extents, tables."""


def clahe_volume_plan(shape: Volumes, grid: Size, nbins: int, dtype: Any, *, given_range: bool) -> ClaheVolumePlan:
    """``given_range``: whether the range of the bins is known beforehand."""
    volumes, depth, height, width = shape
    item = pixel_bytes(dtype)
    boxes = grid[0] * grid[1] * grid[2]
    one = boxes * nbins * min(item, 4)
    part = min(volumes, max(1, ceilings().scratch_bytes // one))
    parts = 0 if given_range else max(1, min(32, ceil_div(depth * height * width, 8192)))
    wide = nbins > CLAHE_WINDOW
    capacity = min(nbins, _ENTRY_BYTES // 16)
    along, block = images_axis(part), (CLAHE_THREADS, 1, 1)
    blocks = (grid[1] + 1) * (grid[2] + 1)
    return ClaheVolumePlan(
        part,
        parts,
        Plan((max(parts, 1), along, 1), block),
        Plan((boxes, along, 1), block) if wide else None,
        Plan((boxes, along, 1), block),
        Plan((blocks, images_axis(part * depth), 1), block, capacity * 16),
        capacity,
        (max(part * parts * 2 * max(item, 4), 16), part * boxes * 4 if wide else 16, part * one),
    )
