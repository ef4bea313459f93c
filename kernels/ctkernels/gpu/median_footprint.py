"""Medians and other ranks of windows of any shape (``median_footprint.cu``), for images and volumes, in one launch."""

from __future__ import annotations

from typing import Any

import numpy as np

from ctkernels.contract import modes_of
from ctkernels.gpu._core import device, geometry
from ctkernels.gpu._core.geometry_filters import MODES
from ctkernels.gpu._core.launch import launch

Mode = str | tuple[str, ...]


def window_of(mask: Any, origin: int | tuple[int, ...] = 0) -> tuple[Any, ...]:
    """The ones of a footprint, counted from the pixel that it is the window of, as ``rank_filter`` takes them."""
    places = np.argwhere(mask) - [side // 2 for side in mask.shape] - np.array(origin)
    return tuple((0,) * (3 - mask.ndim) + tuple(place) for place in places.tolist())


def rank_filter(
    x: device.DeviceArray, out: device.DeviceArray, pixels: tuple[Any, ...], rank: int, mode: Mode, cval: float
) -> None:
    """The launch, for any rank; ``pixels``: planes, rows and columns from a pixel to each of its window's."""
    device.check_image_arrays("rank_filter", x, out)
    offsets = np.array(pixels, np.int32)
    sides = (1, *x.shape[1:])[-3:]
    table = device.uploaded(("window", pixels), lambda: offsets)
    numbers = (*map(np.int32, sides), table, np.int32(len(offsets)), np.int32(rank), *np.abs(offsets).max(axis=0))
    modes = (np.int32(MODES[each]) for each in modes_of(mode, 3))
    arguments = (x, out, np.int64(x.size), *numbers, *modes, np.float64(cval))
    plan = geometry.map_plan(1, 1, x.size)
    launch("median_footprint", {"CTK_PIXEL": geometry.c_type(x.dtype)}, "ctk_median_footprint", plan, arguments)
