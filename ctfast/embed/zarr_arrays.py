"""zarr: block by block from one store into another, never the whole in memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from ctfast.axis_names import elsewhere, of_zarr
from ctfast.dispatch.arrays import check_shape
from ctfast.dispatch.containers import Task
from ctfast.errors import ArgumentError, ShapeError


def apply(task: Task, x: Any, out: Any) -> Any:
    """Read, run and write some images (or volumes) at a time, as many as a chunk of ``out`` holds.

    Raises:
        ArgumentError: No ``out=`` to write to, or an operation that gives numbers.
        ShapeError: ``out=`` of another shape, or axes whose names say another order.
    """
    if out is None or not task.writes:
        raise ArgumentError(
            f"a zarr array of shape {x.shape} came in: give out=, an array of this shape in a store or in memory, or "
            "read it, x[...]"
        )
    if tuple(out.shape) != tuple(x.shape):
        raise ShapeError(f"out= has shape {tuple(out.shape)}: {tuple(x.shape)} is needed")
    check_shape(x.shape)
    names = of_zarr(x)
    if task.kinds() != {"pointwise"} and elsewhere(names, task.axes):
        raise ShapeError(f"a zarr array with dimensions {tuple(names)} came in: read it, x[...], and give axes=")
    step = max(1, getattr(out, "chunks", x.chunks)[0]) if x.ndim > task.axes else x.shape[0]
    for start in range(0, x.shape[0], step):
        some = np.asarray(x[start : start + step])
        out[start : start + step] = task.run(some, out=np.empty(some.shape, out.dtype))
    return out
