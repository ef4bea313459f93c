"""nibabel images: affine and header are kept. Their arrays are (X, Y, Z): slices of (Y, X) are what is filtered."""

from __future__ import annotations

from typing import Any

import numpy as np

from ctfast.dispatch.containers import Task, put_back
from ctfast.errors import ArgumentError


def apply(task: Task, x: Any, out: Any) -> Any:
    """Run on the slices of the last axes, ``(Z, Y, X)``: a pair (rows, columns) means (Y, X).

    Raises:
        ArgumentError: ``out=``: images of nibabel may lie in a file.
    """
    if out is not None:
        raise ArgumentError("out= with a nibabel image: leave it away, the result is an image of its own")
    return put_back(task.run(np.asanyarray(x.dataobj).T), lambda result: _like(x, result.T, task.keeps_units))


def _like(x: Any, result: Any, keeps_units: bool) -> Any:
    header = x.header.copy()
    header.set_data_dtype(result.dtype)
    if not keeps_units and "cal_max" in header:
        header["cal_min"] = header["cal_max"] = 0  # a viewer's window, in the units before
    return type(x)(result, x.affine, header)
