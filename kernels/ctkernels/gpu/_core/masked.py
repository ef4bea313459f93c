"""Images as statistics see them through a mask: floats that are NaN where a pixel does not count."""

from __future__ import annotations

from typing import Any

import numpy as np

from ctkernels.gpu._core import device, geometry
from ctkernels.gpu._core.launch import launch


def counted(
    operation: str, x: device.DeviceArray, where: device.DeviceArray | None, *, wide: bool = False
) -> device.DeviceArray:
    """``x`` itself without a mask; else a float32 copy, of float64 images (or where ``wide``) a float64 one.

    Memory for it comes from CuPy's pool, besides any workspace.
    """
    if where is None:
        return x
    device.check_image_arrays(operation, where)
    if where.shape != x.shape or where.dtype != np.bool_:
        raise ValueError(
            f"{operation}: where has shape {where.shape} and dtype {where.dtype}, bool {x.shape} is needed"
        )
    dtype: np.dtype[Any] = np.dtype(np.float64 if wide or x.dtype.char == "d" else np.float32)
    out = device.empty(x.shape, dtype)
    plan = geometry.map_plan(1, 4, x.size)
    arguments = (x, where.view(np.uint8), out, np.int64(x.size))
    launch("masked", {"CTK_IN": geometry.c_type(x.dtype)}, f"ctk_masked_{dtype}", plan, arguments)
    return out
