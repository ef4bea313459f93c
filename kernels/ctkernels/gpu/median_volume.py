"""Medians of volumes: windows of up to 125 voxels (some of 147; of float64 75) as networks in registers
(``median_volume.cu``), larger ones by histograms of the keys' bytes (``median_volume_large.cu``). One plane is filtered
at a time, in one launch for all.
"""

from __future__ import annotations

import numpy as np

from ctkernels.gpu._core import device
from ctkernels.gpu._core.geometry_filters import MODES
from ctkernels.gpu._core.geometry_volumes import Size, median_volume_plan
from ctkernels.gpu._core.launch import launch


def volume_medians(x: device.DeviceArray, out: device.DeviceArray, size: Size, mode: str, cval: float) -> None:
    """The launch for volumes ``(N, D, H, W)`` and a window of several planes."""
    limits = device.device_limits()
    plan = median_volume_plan(x.shape, size, x.dtype, limits.compute_capability, limits.shared_bytes)
    volumes, *sides = x.shape
    window = map(np.int32, size) if plan.unit == "median_volume_large" else ()
    arguments = (
        x, out, np.int64(volumes * sides[0]), *map(np.int32, sides), *window,
        np.int32(MODES[mode]), np.float64(cval), np.int32(plan.rows),
    )  # fmt: skip
    launch(plan.unit, plan.defines, plan.kernel, plan.launch, arguments)
