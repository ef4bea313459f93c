"""CLAHE's geometry in OpenCV's arithmetic: tiles, blocks between tile centres, clip limit, range of the bins."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Pair = tuple[float, float]


class Axis(NamedTuple):
    """Rows or columns of an image size, or planes of a volume, cut into tiles."""

    tile: int
    """Pixels of a tile."""
    padding: int
    """Pixels by which the tiles reach over the image's end."""
    starts: NDArray[np.int64]
    """Where the blocks begin, ``tiles + 2`` numbers; block ``b`` lies between the centres of tiles ``b - 1`` and ``b``,
    so that all its pixels are blended from the same tiles."""
    weights: NDArray[np.float32]
    """Weight of the second of both tiles, for every pixel of the axis."""


@lru_cache(maxsize=64)
def tile_axes(height: int, width: int, grid: tuple[int, int]) -> tuple[Axis, Axis]:
    """Rows and columns; OpenCV pads both when one does not divide, the other by a whole grid row or column more."""
    divides = height % grid[0] == 0 and width % grid[1] == 0
    rows, columns = (
        _axis(n, 0 if divides else tiles - n % tiles, tiles) for n, tiles in zip((height, width), grid, strict=True)
    )
    return rows, columns


@lru_cache(maxsize=64)
def plane_axis(depth: int, tiles: int) -> Axis:
    """Planes of a volume, which are padded for themselves, and only where they don't divide."""
    return _axis(depth, -depth % tiles, tiles)


def _axis(n: int, padding: int, tiles: int) -> Axis:
    tile = (n + padding) // tiles
    # float32, and a product with the reciprocal instead of a division: OpenCV's bits.
    position = np.arange(n, dtype=np.float32) * (np.float32(1) / np.float32(tile)) - np.float32(0.5)
    first = np.floor(position).astype(np.int64)
    starts = np.searchsorted(first, np.arange(-1, tiles + 1))
    return Axis(tile, padding, starts, position - first.astype(np.float32))


def clip_pixels(clip_limit: float, pixels: int, nbins: int) -> int:
    """The highest count that a bin of a tile of so many pixels keeps; a limit of 0 means no clipping."""
    return max(int(min(clip_limit * pixels / nbins, pixels)), 1) if clip_limit > 0 else pixels


def known_range(dtype: np.dtype[Any], value_range: Pair | None) -> Pair | None:
    """What the bins span, where that does not depend on the image."""
    if value_range is not None:
        if dtype.kind != "f":
            return value_range
        limits = np.finfo(dtype)
        low, high = (min(max(v, float(limits.min)), float(limits.max)) for v in value_range)
        return low, high
    if dtype.kind == "u":
        return 0.0, float(np.iinfo(dtype).max)
    return None
