"""NumPy's masked arrays: masked pixels count for nothing and stay masked; filters, which would need them, refuse."""

from __future__ import annotations

from typing import Any

import numpy as np

from ctfast.dispatch.containers import Task, put_back
from ctfast.errors import ArgumentError


def apply(task: Task, x: Any, out: Any) -> Any:
    """Run with NaN, which no statistic counts, in place of what is masked.

    Raises:
        ArgumentError: Masked pixels in a filter or a pipeline, whose windows may hold them, and ``out=``.
    """
    mask = np.ma.getmaskarray(x)
    if out is None and not mask.any():
        return put_back(task.run(x.data), lambda result: np.ma.masked_array(result, mask))
    if "filter" in task.kinds() or len(task.operations) > 1:
        raise ArgumentError(
            f"a masked array came in and {task.operations[0]} would look at what its mask hides: fill it first, "
            "x.filled(value)"
        )
    if out is not None:
        raise ArgumentError("out= with a masked array: leave it away, the result is a masked array")
    if task.kinds() == {"pointwise"}:
        return np.ma.masked_array(task.run(x.data), mask)
    values = x.data if x.dtype.kind == "f" else x.data.astype(np.float64)
    return put_back(task.run(np.where(mask, np.nan, values)), lambda result: np.ma.masked_array(result, mask))
