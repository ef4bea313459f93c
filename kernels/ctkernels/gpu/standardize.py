"""Z-score on the GPU: moments of each image, its line, one pass over the pixels; the host waits for none of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ctkernels.gpu._core import device, geometry
from ctkernels.gpu._core.launch import launch
from ctkernels.gpu._core.moments import moments, moments_bytes
from ctkernels.shared.keys import Pair


def workspace_bytes(shape: tuple[int, int, int], dtype: np.dtype[Any], **_: Any) -> int:
    """Scratch that one call takes."""
    return moments_bytes(shape, np.dtype(dtype)) + device.padded_bytes(shape[0] * geometry.RANGE_WORDS * 8)


def standardize(
    x: device.DeviceArray,
    out: device.DeviceArray,
    *,
    value_range: Pair | None,
    mean: float | None = None,
    std: float | None = None,
    workspace: device.DeviceArray | None = None,
) -> None:
    """See :func:`ctkernels.reference.standardize`; ``mean`` and ``std`` are None, see ``contract.Param.cpu_only``."""
    device.check_image_arrays("standardize", x, out)
    scratch = device.Scratch(workspace_bytes(x.shape, x.dtype), workspace)
    images, pixels = x.shape[0], x.shape[1] * x.shape[2]
    parts = moments("standardize", x, value_range, scratch)
    parameters = scratch.take(images * geometry.RANGE_WORDS, np.float64)
    defines = {"CTK_IN": geometry.c_type(x.dtype)}
    narrow = np.int32(out.dtype.char == "f")
    plan = geometry.warp_plan(images)
    arguments = (parts.table, parts.shrunk, np.int32(images), np.int32(parts.number), narrow, parameters)
    launch("standardize", defines, "ctk_standardize_range", plan, arguments)
    plan = geometry.map_plan(geometry.lanes(x.dtype, out.dtype), 4, pixels, images)
    pixelwise = (x, out, np.int64(pixels), np.int32(images), parameters)
    launch("standardize", defines, f"ctk_standardize_map_{out.dtype}", plan, pixelwise)
