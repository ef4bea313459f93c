"""xarray: dims, coordinates, name and attributes are kept; ``units`` go where the result is in others."""

from __future__ import annotations

from typing import Any

import xarray

from ctfast.dispatch.containers import Task, put_back
from ctfast.errors import ArgumentError


def apply(task: Task, x: Any, out: Any) -> Any:
    """Run on ``x.data``, lazily where that is a dask array; the last two dims are rows and columns.

    Raises:
        ArgumentError: A whole ``Dataset``.
    """
    if isinstance(x, xarray.Dataset):
        raise ArgumentError(
            f"a Dataset came in: give one of its variables ({', '.join(map(str, x.data_vars))}), or use x.map(function)"
        )
    if out is not None:
        task.run(x.data, out=getattr(out, "data", out) if isinstance(out, xarray.DataArray) else out)
        return out
    return put_back(task.run(x.data), lambda result: _like(x, result, task.keeps_units))


def _like(x: Any, result: Any, keeps_units: bool) -> Any:
    made = x.copy(data=result)
    if not keeps_units:
        made.attrs.pop("units", None)
    return made
