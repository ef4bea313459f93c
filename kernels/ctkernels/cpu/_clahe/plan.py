"""CLAHE's geometry: tiles, where OpenCV's padding comes from, and between which tiles each pixel lies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ctkernels.shared.border import border_index

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


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


def _blocks(n: int, tile: int, tiles: int) -> tuple[Ints, Floats]:
    """Where the blocks of an axis begin, and the weights, in OpenCV's float32 arithmetic."""
    position = np.arange(n, dtype=np.float32) * (np.float32(1) / np.float32(tile)) - np.float32(0.5)
    first = np.floor(position).astype(np.int64)
    return np.searchsorted(first, np.arange(-1, tiles + 1)), position - first.astype(np.float32)


@lru_cache(maxsize=64)
def plan(height: int, width: int, tile_grid: tuple[int, int]) -> Plan:
    """The plan; OpenCV pads both axes when one does not divide, the other by a whole grid row or column more."""
    rows, columns = tile_grid
    divides = height % rows == 0 and width % columns == 0
    pad_y, pad_x = (0, 0) if divides else (rows - height % rows, columns - width % columns)
    tile = ((height + pad_y) // rows, (width + pad_x) // columns)
    starts_y, weights_y = _blocks(height, tile[0], rows)
    starts_x, weights_x = _blocks(width, tile[1], columns)
    head = np.array([height, width, *tile, rows, columns, 0, 0], np.int64)
    sources = [border_index(height, 0, pad_y, "mirror"), border_index(width, 0, pad_x, "mirror")]
    return Plan(
        tile, tile_grid, np.concatenate([head, *sources, starts_y, starts_x]), np.concatenate([weights_x, weights_y])
    )
