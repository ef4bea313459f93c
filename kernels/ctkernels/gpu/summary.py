"""Box-plot statistics of each image on the GPU, in one row of the result each."""

from __future__ import annotations

from typing import Any

import numpy as np

from ctkernels.contract import SUMMARY_FIELDS
from ctkernels.gpu._core import device, geometry
from ctkernels.gpu._core.launch import launch
from ctkernels.gpu._core.masked import counted
from ctkernels.gpu._core.moments import moments, moments_bytes
from ctkernels.gpu._core.select import select, select_bytes


def workspace_bytes(
    shape: tuple[int, int, int], dtype: np.dtype[Any], *, percentiles: tuple[float, ...] = (), **_: Any
) -> int:
    """Scratch that one call takes."""
    return moments_bytes(shape, np.dtype(dtype)) + select_bytes(shape[0], len(percentiles))


def summary(
    x: device.DeviceArray,
    out: device.DeviceArray,
    *,
    percentiles: tuple[float, ...],
    where: device.DeviceArray | None = None,
    workspace: device.DeviceArray | None = None,
) -> None:
    """See :func:`ctkernels.reference.summary`."""
    device.check_image_arrays("summary", x, out)
    x = counted("summary", x, where)
    scratch = device.Scratch(workspace_bytes(x.shape, x.dtype, percentiles=percentiles), workspace)
    parts = moments("summary", x, None, scratch)
    images, columns = out.shape
    plan = geometry.warp_plan(images)
    arguments = (parts.table, parts.shrunk, np.int32(images), np.int32(parts.number), out, np.int32(columns))
    launch("summary", {"CTK_IN": geometry.c_type(x.dtype)}, "ctk_summary_row", plan, arguments)
    if percentiles:
        quantiles = out.reshape(-1)[len(SUMMARY_FIELDS) :]
        select("summary", x, None, percentiles, quantiles, columns, scratch)
