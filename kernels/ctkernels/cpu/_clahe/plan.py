"""CLAHE's geometry: tiles, where OpenCV's padding comes from, and between which tiles each pixel lies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ctkernels.shared.border import border_index
from ctkernels.shared.clahe_tiles import tile_axes

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


SOURCES: Final = 8
"""Where the header of a plan's table ends and the image rows of padded rows begin."""


@dataclass(frozen=True)
class Plan:
    """What the kernels need to know of an image size and a tile grid; kept between calls."""

    tile: tuple[int, int]
    tiles: tuple[int, int]
    table: Ints
    """Height, width, tile height, tile width, tile rows, tile columns, 0, 0; then the image row of every padded row and
    the image column of every padded column; then where the blocks begin: ``tiles + 2`` rows, ``tiles + 2`` columns. A
    block is the set of positions between the same two tile centres, block ``b`` between tiles ``b - 1`` and ``b``."""
    weights: Floats
    """Weight of the second of both tiles, for every column, then for every row."""


@lru_cache(maxsize=64)
def plan(height: int, width: int, tile_grid: tuple[int, int]) -> Plan:
    """The plan, kept between calls."""
    rows, columns = tile_axes(height, width, tile_grid)
    tile = (rows.tile, columns.tile)
    head = np.array([height, width, *tile, *tile_grid, 0, 0], np.int64)  # SOURCES words
    sources = [border_index(height, 0, rows.padding, "mirror"), border_index(width, 0, columns.padding, "mirror")]
    table = np.concatenate([head, *sources, rows.starts, columns.starts])
    return Plan(tile, tile_grid, table, np.concatenate([columns.weights, rows.weights]))
