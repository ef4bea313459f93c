"""Z-score on the GPU: moments of each image, its line, one pass over the pixels; the host waits for none of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ctkernels.gpu import _cupy, _geometry
from ctkernels.gpu._keys import Pair
from ctkernels.gpu._launch import launch
from ctkernels.gpu._moments import moments, moments_bytes


def workspace_bytes(shape: tuple[int, int, int], dtype: np.dtype[Any], **_: Any) -> int:
    """Scratch that one call takes."""
    return moments_bytes(shape, np.dtype(dtype)) + _cupy.padded_bytes(shape[0] * _geometry.RANGE_WORDS * 8)


def standardize(
    x: _cupy.DeviceArray,
    out: _cupy.DeviceArray,
    *,
    value_range: Pair | None,
    workspace: _cupy.DeviceArray | None = None,
) -> None:
    """See :func:`ctkernels.reference.standardize`."""
    _cupy.check_image_arrays("standardize", x, out)
    scratch = _cupy.Scratch(workspace_bytes(x.shape, x.dtype), workspace)
    images, pixels = x.shape[0], x.shape[1] * x.shape[2]
    found = moments("standardize", x, value_range, scratch)
    parameters = scratch.take(images * _geometry.RANGE_WORDS, np.float64)
    defines = {"CTK_IN": _geometry.c_type(x.dtype)}
    narrow = np.int32(out.dtype.char == "f")
    plan = _geometry.warp_plan(images)
    arguments = (found.table, found.shrunk, np.int32(images), np.int32(found.parts), narrow, parameters)
    launch("standardize", defines, "ctk_standardize_range", plan.grid, plan.block, arguments)
    plan = _geometry.map_plan(_geometry.lanes(x.dtype, out.dtype), 4, pixels, images)
    name = f"ctk_standardize_map_{out.dtype}"
    launch(
        "standardize", defines, name, plan.grid, plan.block, (x, out, np.int64(pixels), np.int32(images), parameters)
    )
