"""Tissue labels on the GPU: one launch, one pass over memory."""

from __future__ import annotations

import numpy as np

from ctkernels.gpu._core import device, geometry
from ctkernels.gpu._core.keys import reaching
from ctkernels.gpu._core.launch import launch


def label_tissue(
    x: device.DeviceArray,
    out: device.DeviceArray,
    *,
    edges: tuple[float, ...],
    workspace: device.DeviceArray | None = None,
) -> None:
    """See :func:`ctkernels.reference.label_tissue`. Needs no workspace."""
    device.check_image_arrays("label_tissue", x, out)
    keys, below = reaching(edges, x.dtype)
    # At least one element: an array of none has no address.
    table = device.uploaded(("label edges", x.dtype.char, edges), lambda: np.append(keys, keys.dtype.type(0)))
    plan = geometry.map_plan(geometry.lanes(x.dtype, out.dtype), 2, x.size)
    arguments = (x, out, np.int64(x.size), table, np.int32(keys.size), np.int32(below))
    launch("label_tissue", {"CTK_IN": geometry.c_type(x.dtype)}, "ctk_label_tissue", plan, arguments)
