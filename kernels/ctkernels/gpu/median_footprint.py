"""Medians of windows of any shape (``median_footprint.cu``), for images and volumes, in one launch."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.gpu._core import device, geometry
from ctkernels.gpu._core.geometry_filters import MODES
from ctkernels.gpu._core.launch import launch


def footprint_medians(x: device.DeviceArray, out: device.DeviceArray, footprint: Any, mode: str, cval: float) -> None:
    """The launch, for images ``(N, H, W)`` or volumes; ``footprint``: tuples of 0 and 1 in a tuple."""
    mask = np.array(footprint, bool)
    offsets = _offsets(mask)
    sides = (1, *x.shape[1:])[-3:]
    table = device.uploaded(("footprint", footprint), partial(np.ascontiguousarray, offsets))
    reach = np.abs(offsets).max(axis=0)
    numbers = (*map(np.int32, sides), table, np.int32(len(offsets)), np.int32(len(offsets) // 2), *reach)
    arguments = (x, out, np.int64(x.size), *numbers, np.int32(MODES[mode]), np.float64(cval))
    plan = geometry.map_plan(1, 1, x.size)
    launch("median_footprint", {"CTK_PIXEL": geometry.c_type(x.dtype)}, "ctk_median_footprint", plan, arguments)


def _offsets(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Planes, rows and columns from the window's middle to each of its pixels."""
    places = np.argwhere(mask) - [side // 2 for side in mask.shape]
    return np.pad(places, ((0, 0), (3 - mask.ndim, 0))).astype(np.int32)
