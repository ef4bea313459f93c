"""dask: lazy in, lazy out. Each block is worked off by itself, with whole rows and columns (and planes) in it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ctfast.dispatch.arrays import check_shape, has_channel
from ctfast.dispatch.containers import Task
from ctfast.errors import ArgumentError
from ctfast.results import PipelineResult


def apply(task: Task, x: Any, out: Any) -> Any:
    """Map over blocks; blocks that cut images are put together first (``rechunk``).

    Parameters and the dtype are checked at once, on a small array, the pixels when they are computed.

    Raises:
        ArgumentError: Statistics, which are not lazy, and ``out=``.
    """
    if out is not None:
        raise ArgumentError(
            "out= with a dask array: leave it away; store the result with dask.array.store(result, out)"
        )
    if task.statistics:
        raise ArgumentError(
            f"{', '.join(task.statistics)} of a dask array: the result is not lazy; give x.compute(), or delay it, "
            f"dask.delayed(ctfast.{task.statistics[0]})(x, ...)"
        )
    channel = has_channel(x.shape)
    check_shape(x.shape[: x.ndim - channel])
    whole = min(task.axes + channel, x.ndim)
    x = x.rechunk(dict.fromkeys(range(x.ndim - whole, x.ndim), -1))
    probe = np.zeros((1,) * (x.ndim - whole) + (8,) * (whole - channel) + (1,) * channel, x.dtype)
    image = x.map_blocks(task.image, dtype=task.image(probe).dtype, meta=x._meta)
    return PipelineResult(image) if len(task.operations) > 1 else image
