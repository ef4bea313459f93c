"""xarray: dims, coordinates, name and attributes are kept; those of values go where the result is in other units."""

from __future__ import annotations

from typing import Any, Final

import xarray

from ctfast.axis_names import IN_PLANE, elsewhere, leave_open
from ctfast.dispatch.containers import Task, put_back
from ctfast.errors import ArgumentError, ShapeError

_OF_VALUES: Final = (
    "units", "valid_min", "valid_max", "valid_range", "actual_range",
    "scale_factor", "add_offset", "_FillValue", "missing_value",
)  # fmt: skip
"""Attributes that say what numbers stand for (CF conventions, appendix A)."""


_LAST: Final = {2: "two are rows and columns", 3: "three are planes, rows and columns"}


def apply(task: Task, x: Any, out: Any) -> Any:
    """Run on ``x.data``, lazily where that is a dask array; the names of the last two dims must not
    speak against rows and columns.

    Raises:
        ArgumentError: A whole ``Dataset``, or ``out`` with other coordinates.
        ShapeError: Dims whose names don't say that the last two are rows and columns, or ``out`` with other dims.
    """
    if isinstance(x, xarray.Dataset):
        raise ArgumentError(
            f"a Dataset came in: give one of its variables ({', '.join(map(str, x.data_vars))}), or use x.map(function)"
        )
    if not task.named and task.kinds() != {"pointwise"}:
        _check_plane(x, task.axes)
    if out is not None:
        if isinstance(out, xarray.DataArray):
            _check_labels(x, out, "out=", "leave out= away, or give its array, out.data, which has no labels")
            if set(out.dims) & set(x.dims) and out.dims != x.dims:
                raise ShapeError(f"out= has dims {out.dims}: {x.dims} is needed, as the image has")
        task.run(x.data, out=out.data if isinstance(out, xarray.DataArray) else out)
        return out
    return put_back(task.run(x.data), lambda result: _like(x, result, task.keeps_units))


def placed(x: Any, where: Any) -> Any:
    """A mask that has dims of ``x``, with its axes as those of ``x``; one of no common dims is taken by position.

    Raises:
        ArgumentError: Other coordinates than those of ``x``.
        ShapeError: Dims that ``x`` lacks beside some that it has.
    """
    if not isinstance(where, xarray.DataArray) or not set(where.dims) & set(x.dims):
        return where
    way = "bring it there, mask.reindex_like(image), or give its array, mask.data, if its pixels are the image's"
    _check_labels(x, where, "where=", way)
    lengths = tuple(where.sizes.get(dim, 1) for dim in x.dims)
    return where.transpose(*(dim for dim in x.dims if dim in where.dims)).data.reshape(lengths)


def _check_labels(x: Any, other: Any, name: str, way_out: str) -> None:
    """That what both call alike are the same places: positions alone would put a mask on other pixels."""
    shared = set(other.dims) & set(x.dims)
    if shared and not set(other.dims) <= set(x.dims):
        raise ShapeError(f"{name} has dims {other.dims}: those of the image, {x.dims}, are needed, or some of them")
    for dim in shared:
        here, there = x.indexes.get(dim), other.indexes.get(dim)
        if here is None or there is None or len(there) != len(here):  # lengths are compared where they are used
            continue
        if not here.equals(there):
            raise ArgumentError(f"{name} has other coordinates along {dim!r} than the image: {way_out}")


def _check_plane(x: Any, together: int) -> None:
    """That rows and columns are where the names of the dims say, and that these say it."""
    dims = list(x.dims)
    if len(dims) > 2 and x.shape[-1] == 1 and str(dims[-1]).lower() not in IN_PLANE:
        dims = dims[:-1]  # a channel
    if elsewhere(dims, together) or leave_open(dims, together):
        raise ShapeError(
            f"a DataArray with dims {x.dims} came in, whose names don't say that the last {_LAST[together]}: say which "
            f"are, {_ways_out(dims, together)}"
        )


def _ways_out(dims: list[Any], together: int) -> str:
    plane = [number for number, name in enumerate(dims) if str(name).lower() in IN_PLANE]
    if len(plane) != 2 or together != 2:
        last = tuple(range(len(dims) - together, len(dims)))
        return f"axes={last} for the last {together}, or rename them, such as z, y, x"
    rows, columns = (dims[number] for number in plane)
    return f"axes=({plane[0]}, {plane[1]}), or transpose it, x.transpose(..., {rows!r}, {columns!r})"


def _like(x: Any, result: Any, keeps_units: bool) -> Any:
    made = x.copy(data=result)
    made.encoding = {}  # how a file packed x: numbers of 0 to 1 would be saved as 0 and 1
    if not keeps_units:
        for name in _OF_VALUES:
            made.attrs.pop(name, None)
    return made
