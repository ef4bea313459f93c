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

    every = max(1, round(_GRID_MM / max(row_mm, column_mm)))
    spacing = (row_mm * every, column_mm * every)
    hu, lung = hu[::every, ::every], lung[::every, ::every]
    margin = [(math.ceil(CLOSING_MM / mm) + 1,) * 2 for mm in spacing]
    parts, number = ndimage.label(lung)
    filled = np.zeros(lung.shape, bool)
    inner = tuple(slice(before, -after) for before, after in margin)
    for part in range(1, number + 1):
        padded = np.pad(parts == part, margin)
        grown = ndimage.distance_transform_edt(~padded, sampling=spacing) <= CLOSING_MM
        filled |= (ndimage.distance_transform_edt(grown, sampling=spacing) > CLOSING_MM)[inner]
    dense = filled & ~lung & (hu > DENSE_HU)
    # Opening: only what a disc of the thinnest width fits into, so that vessels are cut off from what they lead to.
    cores = ndimage.distance_transform_edt(dense, sampling=spacing) > THINNEST_MM / 2
    if not cores.any():
        return ()
    thick = dense & (ndimage.distance_transform_edt(~cores, sampling=spacing) <= THINNEST_MM / 2)
    regions, _ = ndimage.label(thick)
    areas = np.bincount(regions.ravel())[1:] * spacing[0] * spacing[1]
    diameters = 2 * np.sqrt(areas / math.pi)
    # What is wider than the disc lies between two lungs that touch, not in one.
    return tuple(round(float(d), 1) for d in sorted(diameters, reverse=True) if DENSE_MM <= d <= 2 * CLOSING_MM)
