"""Dense regions that reach into a lung, larger than a nodule: where the outline of a lung has a bite taken out of it.

A mass that touches the chest wall or the mediastinum is no hole in the lung, so the rule for isolated clusters cannot
see it. Here each lung is closed (Serra, Image Analysis and Mathematical Morphology, 1982) with a disc of 25 mm: hollows
that are narrower are filled, the wide ones that heart and diaphragm make are not. What is filled, dense, and thicker
than vessels are counts. It points a person to a slice; normal hila are pointed at as well.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ctfast import ops

Mask = NDArray[np.bool_]

CLOSING_MM: Final = 25.0
"""Radius of the disc that closes a lung: half of the largest region that is found whole."""
THINNEST_MM: Final = 10.0
"""Vessels and fissures are thinner than this, but for those at the hilum."""
DENSE_MM: Final = 20.0
"""Least diameter of a circle of the same area."""
DENSE_HU: Final = -100.0
_GRID_MM: Final = 2.0
"""Pixels are left out until they are about so large: at that size a region of 20 mm still has 78."""
_FINEST_MM: Final = 1.0
"""Where rows and columns differ: no finer than this, for a disc of at most 4,096 pixels."""


def dense_in_lung(hu: NDArray[Any], lung: Mask, row_mm: float, column_mm: float) -> tuple[float, ...]:
    """Diameters in mm of dense regions that reach into a lung, largest first.

    Args:
        hu: ``(H, W)``.
        lung: The lungs in it.
        row_mm: Distance of rows.
        column_mm: Distance of columns.
    """
    if not lung.any():
        return ()
    from scipy import ndimage

    coarser = max(1, round(_GRID_MM / max(row_mm, column_mm)))
    every = [max(coarser, round(_FINEST_MM / mm)) for mm in (row_mm, column_mm)]
    spacing = (row_mm * every[0], column_mm * every[1])
    hu, lung = hu[:: every[0], :: every[1]], lung[:: every[0], :: every[1]]
    wide, thin = _disc(CLOSING_MM, spacing), _disc(THINNEST_MM / 2, spacing)
    margin = [(n // 2 + 1,) * 2 for n in wide.shape]
    parts, number = ndimage.label(lung)
    filled = np.zeros(lung.shape, bool)
    inner = tuple(slice(before, -after) for before, after in margin)
    for part in range(1, number + 1):
        filled |= _eroded(_dilated(np.pad(parts == part, margin), wide), wide)[inner]
    dense = filled & ~lung & (hu > DENSE_HU)
    # Opening: only what a disc of the thinnest width fits into, so that vessels are cut off from what they lead to.
    cores = _eroded(dense, thin)
    if not cores.any():
        return ()
    thick = dense & _dilated(cores, thin)
    regions, _ = ndimage.label(thick)
    areas = np.bincount(regions.ravel())[1:] * spacing[0] * spacing[1]
    diameters = 2 * np.sqrt(areas / math.pi)
    # What is wider than the disc lies between two lungs that touch, not in one.
    return tuple(round(float(d), 1) for d in sorted(diameters, reverse=True) if DENSE_MM <= d <= 2 * CLOSING_MM)


def _disc(radius_mm: float, spacing: tuple[float, float]) -> Mask:
    """Pixels no farther than the radius from the one in the middle."""
    rows, columns = (mm * np.arange(-int(radius_mm / mm), int(radius_mm / mm) + 1) for mm in spacing)
    return np.sqrt(rows[:, None] ** 2 + columns**2) <= radius_mm


def _dilated(mask: Mask, disc: Mask) -> Mask:
    return _ranked(mask, -1, disc, 0)


def _eroded(mask: Mask, disc: Mask) -> Mask:
    return _ranked(mask, 0, disc, 1)


def _ranked(mask: Mask, rank: int, disc: Mask, outside: int) -> Mask:
    pixels = np.ascontiguousarray(mask).view(np.uint8)
    found = ops.rank_filter(pixels, rank, footprint=disc, mode="constant", cval=outside, backend="cpu")
    return found.view(bool)
