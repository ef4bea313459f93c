"""Z-score on the GPU: moments of each image, its line, one pass over the pixels; the host waits for none of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ctkernels.gpu._core import device, geometry
from ctkernels.gpu._core.launch import launch
from ctkernels.gpu._core.masked import counted
from ctkernels.gpu._core.moments import MomentTables, moments, moments_bytes
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
    where: device.DeviceArray | None = None,
    workspace: device.DeviceArray | None = None,
) -> None:
    """See :func:`ctkernels.reference.standardize`."""
    device.check_image_arrays("standardize", x, out)
    seen = x if None not in (mean, std) else counted("standardize", x, where)
    scratch = device.Scratch(workspace_bytes(seen.shape, seen.dtype), workspace)
    images, pixels = x.shape[0], x.shape[1] * x.shape[2]
    parameters = scratch.take(images * geometry.RANGE_WORDS, np.float64)
    if None in (mean, std):
        parts = moments("standardize", seen, value_range, scratch)
    else:
        nothing = parameters.view(np.int64)  # which nobody reads
        parts = MomentTables(nothing, nothing, 0)
    narrow = np.int32(out.dtype.char == "f")
    given = (np.float64(np.nan if v is None else v) for v in (mean, std))
    plan = geometry.warp_plan(images)
    arguments = (parts.table, parts.shrunk, np.int32(images), np.int32(parts.number), narrow, *given, parameters)
    launch("standardize", {"CTK_IN": geometry.c_type(seen.dtype)}, "ctk_standardize_range", plan, arguments)
    defines = {"CTK_IN": geometry.c_type(x.dtype)}
    plan = geometry.map_plan(geometry.lanes(x.dtype, out.dtype), 4, pixels, images)
    pixelwise = (x, out, np.int64(pixels), np.int32(images), parameters)
    launch("standardize", defines, f"ctk_standardize_map_{out.dtype}", plan, pixelwise)
