"""Ranks of windows of any shape on the CPU, equal to ``scipy.ndimage.rank_filter`` in every bit; NaN sorts last.

The middle rank of an odd box is the median, which has faster code; all others go the ways of ``_median/footprints``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.cpu import median_filter as medians
from ctkernels.cpu._median import footprint_layout, footprints

Array = NDArray[Any]


def bind(
    shape: tuple[int, ...],
    image: np.dtype[Any],
    result: Any,
    *,
    rank: int,
    size: tuple[int, ...],
    footprint: Any = None,
    mode: str | tuple[str, ...],
    cval: float,
    origin: int | tuple[int, ...] = 0,
) -> Callable[[Array, Array], None]:
    """``rank_filter`` for images of this shape and dtype, with its parameters."""
    mask = np.ones(size, bool) if footprint is None else np.array(footprint, bool)
    if mask.all() and all(n % 2 for n in mask.shape) and rank == mask.size // 2:
        return medians.bind(shape, image, result, size=mask.shape, mode=mode, cval=cval, origin=origin)
    pixels = footprint_layout.window_of(mask, origin)
    return footprints.bind(shape, image, pixels, rank, mode, cval)


def rank_filter(x: Array, out: Array, **params: Any) -> None:
    """The value of one rank around each pixel, as :func:`ctkernels.reference.rank_filter`."""
    bind(x.shape, x.dtype, out.dtype, **params)(x, out)
