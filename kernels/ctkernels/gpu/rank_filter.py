"""Ranks of windows of any shape on the GPU, bit by bit (``median_footprint.cu``); medians of odd boxes are medians."""

from __future__ import annotations

from typing import Any

import numpy as np

from ctkernels.gpu import median_footprint
from ctkernels.gpu._core import device
from ctkernels.gpu.median_filter import median_filter


def rank_filter(
    x: device.DeviceArray,
    out: device.DeviceArray,
    *,
    rank: int,
    size: tuple[int, ...],
    footprint: Any = None,
    mode: str | tuple[str, ...],
    cval: float,
    origin: int | tuple[int, ...] = 0,
    workspace: device.DeviceArray | None = None,
) -> None:
    """See :func:`ctkernels.reference.rank_filter`. Needs no workspace."""
    mask = np.ones(size, bool) if footprint is None else np.array(footprint, bool)
    if mask.all() and all(side % 2 for side in mask.shape) and rank == mask.size // 2:
        median_filter(x, out, size=mask.shape, mode=mode, cval=cval, origin=origin)
    else:
        median_footprint.rank_filter(x, out, median_footprint.window_of(mask, origin), rank, mode, cval)
