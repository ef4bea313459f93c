"""Modality rescale on the GPU: one launch."""

from __future__ import annotations

import numpy as np

from ctkernels.gpu._core import device, geometry
from ctkernels.gpu._core.launch import launch
from ctkernels.shared.lines import rescale_number


def rescale(
    x: device.DeviceArray,
    out: device.DeviceArray,
    *,
    slope: float,
    intercept: float,
    workspace: device.DeviceArray | None = None,
) -> None:
    """See :func:`ctkernels.reference.rescale`. Needs no workspace.

    float32 results of 8- and 16-bit and float32 images are computed in float32, all others in float64.
    """
    device.check_image_arrays("rescale", x, out)
    number = rescale_number(x.dtype, out.dtype, slope, intercept)
    narrow = number is np.float32
    plan = geometry.map_plan(geometry.lanes(x.dtype, out.dtype), 4 if narrow else 2, x.size)
    name = f"ctk_rescale_{'narrow' if narrow else 'wide'}_{out.dtype}"
    arguments = (x, out, np.int64(x.size), number(slope), number(intercept))
    launch("rescale", {"CTK_IN": geometry.c_type(x.dtype)}, name, plan, arguments)
