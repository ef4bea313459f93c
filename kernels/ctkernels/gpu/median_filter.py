"""Median filter on the GPU, equal to ``scipy.ndimage.median_filter`` in every bit; NaN sorts last.

Windows up to 11 x 11 run as networks in registers (``median_filter.cu``), larger ones by histograms of the keys' bytes
(``median_large.cu``), those that are no odd boxes around their pixel, or whose border differs from axis to axis, bit by
bit (``median_footprint.py``); volumes: ``median_volume.py``. No memory but the result is written; no workspace.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from ctkernels.gpu._core import device
from ctkernels.gpu._core.geometry import c_type
from ctkernels.gpu._core.geometry_filters import MODES, median_plan
from ctkernels.gpu._core.launch import launch
from ctkernels.gpu.median_footprint import rank_filter, window_of
from ctkernels.gpu.median_volume import volume_medians


def median_filter(
    x: device.DeviceArray,
    out: device.DeviceArray,
    *,
    size: tuple[int, ...],
    footprint: Any = None,
    mode: str | tuple[str, ...],
    cval: float,
    origin: int | tuple[int, ...] = 0,
    workspace: device.DeviceArray | None = None,
) -> None:
    """See :func:`ctkernels.reference.median_filter`. Needs no workspace."""
    device.check_image_arrays("median_filter", x, out)
    mask = None if footprint is None else np.array(footprint, bool)
    size = size if mask is None else mask.shape
    box = (mask is None or mask.all()) and all(side % 2 for side in size)
    if origin or not box or not isinstance(mode, str):
        pixels = window_of(np.ones(size, bool) if mask is None else mask, origin)
        rank_filter(x, out, pixels, len(pixels) // 2, mode, cval)
        return
    if len(size) == 2:
        medians(x, out, size=(size[0], size[1]), mode=mode, cval=cval)
    elif size[0] > 1:
        volume_medians(x, out, (size[0], size[1], size[2]), mode, cval)
    else:
        images, results = (volumes.reshape(-1, *volumes.shape[2:]) for volumes in (x, out))
        medians(images, results, size=(size[1], size[2]), mode=mode, cval=cval)


def medians(
    x: device.DeviceArray,
    out: device.DeviceArray,
    *,
    size: tuple[int, int],
    footprint: None = None,
    mode: str,
    cval: float,
    origin: Literal[0] = 0,
    line: tuple[Any, ...] | None = None,
) -> None:
    """The launch; with the numbers of a window's ``line`` of the windowed image, for sizes that have a network."""
    limits = device.device_limits()
    plan = median_plan(x.shape, size, out.dtype, limits.compute_capability, limits.shared_bytes)
    unit, kernel, defines = plan.unit, plan.kernel, plan.defines
    if line is not None:
        unit, kernel, defines = "window_median", "ctk_window_median", {"CTK_IN": c_type(x.dtype), **defines}
    images, height, width = x.shape
    window = (np.int32(size[0]), np.int32(size[1])) if plan.unit == "median_large" else ()
    arguments = (
        x, out, np.int64(images), np.int32(height), np.int32(width),
        *window, np.int32(MODES[mode]), np.float64(cval), np.int32(plan.rows), *(line or ()),
    )  # fmt: skip
    launch(unit, defines, kernel, plan.launch, arguments)
