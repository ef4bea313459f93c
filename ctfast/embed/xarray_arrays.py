"""xarray: dims, coordinates, name and attributes are kept; those of values go where the result is in other units."""

from __future__ import annotations

from typing import Any, Final

import xarray

from ctfast.dispatch.containers import Task, put_back
from ctfast.errors import ArgumentError, ShapeError

_OF_VALUES: Final = (
    "units", "valid_min", "valid_max", "valid_range", "actual_range",
    "scale_factor", "add_offset", "_FillValue", "missing_value",
)  # fmt: skip
"""Attributes that say what numbers stand for (CF conventions, appendix A)."""


def apply(task: Task, x: Any, out: Any) -> Any:
    """Run on ``x.data``, lazily where that is a dask array; the last two dims are rows and columns.

    Raises:
        ArgumentError: A whole ``Dataset``.
        ShapeError: Dims named x and y that are not the last two.
    """
    if isinstance(x, xarray.Dataset):
        raise ArgumentError(
            f"a Dataset came in: give one of its variables ({', '.join(map(str, x.data_vars))}), or use x.map(function)"
        )
    if not task.named and task.kinds() != {"pointwise"}:
        _check_plane(x, task.axes)
    if out is not None:
        task.run(x.data, out=getattr(out, "data", out) if isinstance(out, xarray.DataArray) else out)
        return out
    return put_back(task.run(x.data), lambda result: _like(x, result, task.keeps_units))


def _check_plane(x: Any, together: int) -> None:
    """That rows and columns are what the names of the dims say, where they say it."""
    dims = list(x.dims)
    if not {"x", "y"} <= set(dims):
        return
    behind = dims[:-1] if dims[-1] not in ("x", "y") and x.shape[-1] == 1 else dims  # a channel
    if not {"x", "y"} <= set(behind[-together:]):
        rows, columns = sorted(map(dims.index, ("x", "y")))
        raise ShapeError(
            f"a DataArray with dims {x.dims} came in, and the last two are taken as rows and columns: say which they "
            f"are, axes=({rows}, {columns}), or transpose it, x.transpose(..., 'y', 'x')"
        )


def _like(x: Any, result: Any, keeps_units: bool) -> Any:
    made = x.copy(data=result)
    made.encoding = {}  # how a file packed x: numbers of 0 to 1 would be saved as 0 and 1
    if not keeps_units:
        for name in _OF_VALUES:
            made.attrs.pop(name, None)
    return made
