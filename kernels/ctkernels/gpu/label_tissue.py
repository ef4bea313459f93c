"""Tissue labels on the GPU: one launch, one pass over memory."""

from __future__ import annotations

import numpy as np

from ctkernels.gpu import _cupy, _geometry
from ctkernels.gpu._keys import reaching
from ctkernels.gpu._launch import launch


def label_tissue(
    x: _cupy.DeviceArray,
    out: _cupy.DeviceArray,
    *,
    edges: tuple[float, ...],
    workspace: _cupy.DeviceArray | None = None,
) -> None:
    """See :func:`ctkernels.reference.label_tissue`. Needs no workspace."""
    _cupy.check_image_arrays("label_tissue", x, out)
    keys, below = reaching(edges, x.dtype)
    # At least one element: an array of none has no address.
    table = _cupy.uploaded(("label edges", x.dtype.char, edges), lambda: np.append(keys, keys.dtype.type(0)))
    plan = _geometry.map_plan(_geometry.lanes(x.dtype, out.dtype), 2, x.size)
    launch(
        "label_tissue",
        {"CTK_IN": _geometry.c_type(x.dtype)},
        "ctk_label_tissue",
        plan.grid,
        plan.block,
        (x, out, np.int64(x.size), table, np.int32(keys.size), np.int32(below)),
    )
