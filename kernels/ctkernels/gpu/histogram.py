"""Counts between edges on the GPU, equal to ``numpy.histogram``: one launch after the counts are cleared."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctkernels.gpu._core import device, geometry
from ctkernels.gpu._core.histogram_plan import binning
from ctkernels.gpu._core.launch import launch
from ctkernels.gpu._core.masked import counted


def histogram(
    x: device.DeviceArray,
    out: device.DeviceArray,
    *,
    edges: NDArray[Any],
    where: device.DeviceArray | None = None,
    workspace: device.DeviceArray | None = None,
) -> None:
    """See :func:`ctkernels.reference.histogram`; ``edges`` is an array of the host. Needs no workspace.

    The first call with new edges copies a table to the device and waits for that; later calls wait for nothing.
    """
    device.check_image_arrays("histogram", x, out)
    x = counted("histogram", x, where, wide=edges.dtype.char == "d")
    table, numbers = binning(edges, x.dtype)
    images, pixels, bins = x.shape[0], x.shape[1] * x.shape[2], edges.size - 1
    device.clear(out)
    defines = {"CTK_IN": geometry.c_type(x.dtype)}
    plan = geometry.histogram_plan(pixels, images, bins, device.device_limits())
    common = (x, np.int64(pixels), np.int32(images), table, *numbers, np.int32(bins))
    layout = (np.int32(plan.width), np.int32(plan.copies)) if plan.copies else ()
    name = f"ctk_histogram_{'shared' if plan.copies else 'global'}"
    launch("histogram", defines, name, plan.launch, (*common, *layout, out))
