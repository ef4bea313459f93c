"""``axes=``: images whose rows and columns (and planes) are not the last axes, such as ``(C, H, W, D)``.

The named axes are moved to the end as a view and the result back, so that it has the input's order. Nothing is copied
where that view is C-contiguous: nibabel's ``(X, Y, Z)`` in Fortran order with ``axes=(2, 1, 0)``, or any C-contiguous
array whose last axes are named in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from ctfast.dispatch.arrays import kind_of, known_axes
from ctfast.dispatch.containers import Adapter, Call, Task, container, put_back
from ctfast.errors import ArgumentError, ShapeError
from ctkernels.contract import Operation

_SIDES: Final = ("grid", "sigma", "window_size")
"""Kinds of parameters that have a number for each axis."""
_AN_AXIS: Final = ("mode", "optional_radius", "order", "origin")
"""Kinds of parameters that may have a value for each axis, or one for all."""
_COUNTS: Final = frozenset({int, type(None)})
_OWN_ORDER: Final = {
    "dask_arrays": "move them first, dask.array.moveaxis",
    "nibabel_images": "its axes are known, leave axes= away; or give its array, image.get_fdata()",
    "simpleitk_images": "its axes are known, leave axes= away; or give its array, SimpleITK.GetArrayFromImage",
    "zarr_arrays": "read it first, x[...]",
}
"""What holds its axes in an order of its own, or reads some of them at a time, with the way out."""


_TRACED: Final = ("jax_calls", "torch_ops")
"""Arrays without values, whose axes are moved within what is traced."""


def is_named(params: Mapping[str, Any]) -> bool:
    """Whether the parameter ``axes`` says more than how many of the last axes belong together."""
    return params.get("axes").__class__ not in _COUNTS


def checked(axes: Any) -> int | tuple[int, ...]:
    """2 or 3, or two or three different axis numbers.

    Raises:
        ArgumentError: anything else.
    """
    if _is_whole(axes) and axes in (2, 3):
        return int(axes)
    several = isinstance(axes, tuple | list) and len(axes) in (2, 3) and all(map(_is_whole, axes))
    if several and len(set(axes)) == len(axes):
        return tuple(map(int, axes))
    raise ArgumentError(
        f"axes={axes!r}: 2 (each image by itself) or 3 (each volume (D, H, W) as a whole) is allowed, or which axes "
        "these are, a tuple of two (rows, columns) or three (planes, rows, columns) different axis numbers"
    )


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def fitted(operation: Operation, params: Mapping[str, Any], together: int) -> dict[str, Any]:
    """The parameters for so many axes together: one number stands for all of them."""
    result = dict(params)
    for param in operation.params:
        value = result.get(param.name)
        if param.kind == "footprint" and value is not None and np.ndim(value) != together:
            raise ArgumentError(f"{param.name}= has {np.ndim(value)} axes, axes= names {together}: as many are needed")
        if param.kind == "axes":
            result[param.name] = together
        elif param.kind in _AN_AXIS and isinstance(value, tuple | list) and len(value) != together:
            raise ArgumentError(
                f"{param.name}={value!r} and {together} axes: one value, or one for each axis, is allowed"
            )
        elif param.kind in _SIDES:
            sides = tuple(value) if isinstance(value, tuple | list | np.ndarray) else (value,) * together
            if len(sides) != together:
                raise ArgumentError(
                    f"{param.name}={value!r} and {together} axes: one number, or one for each axis, is allowed"
                )
            result[param.name] = sides
    return result


def along(
    run: Callable[..., Any],
    operation: Operation,
    image: Any,
    params: Mapping[str, Any],
    axes: Any = None,
    out: Any = None,
) -> Any:
    """``run(image, params=...)``, with ``out=`` where it is given, along ``axes``, by default the parameter so called.

    Raises:
        ArgumentError, ShapeError: axes that the image lacks, or other than the parameters have numbers for.
    """
    axes = checked(params["axes"] if axes is None else axes)
    together = axes if isinstance(axes, int) else len(axes)
    params = fitted(operation, params, together)

    def on(x: Any, out: Any = None) -> Any:
        return run(x, params=params) if out is None else run(x, params=params, out=out)

    if isinstance(axes, int):
        return on(image, out)
    writes = not operation.is_statistic
    return moved(on, image, axes, (Call(operation.name, params),), out=out, writes=writes)


def moved(
    run: Callable[..., Any],
    image: Any,
    axes: tuple[int, ...],
    calls: tuple[Call, ...],
    backend: str | None = None,
    out: Any = None,
    *,
    writes: bool = False,
) -> Any:
    """Run on the image with these axes last; the result's (and ``out``'s) axes are in the order of the image's."""
    if (apply := container(image)) and _module(apply) not in _TRACED:
        _refuse_own_order(apply, image)

        def again(x: Any, out: Any = None) -> Any:
            return moved(run, x, axes, calls, backend, out, writes=writes)

        return apply(Task(again, calls, backend, writes=writes, axes=len(axes), named=True), image, out)
    if kind_of(image) == "numpy" and not isinstance(image, np.ndarray):
        image = np.asarray(image)
    there, back = _orders(axes, image.ndim, tuple(image.shape))
    with known_axes():
        if out is None:
            # Numbers keep the axes that are left, in their order.
            return put_back(run(_transposed(image, there)), lambda result: _transposed(result, back))
        if getattr(out, "ndim", image.ndim) != image.ndim:
            raise ShapeError(f"out= has shape {tuple(out.shape)}: {tuple(image.shape)} is needed")
        run(_transposed(image, there), out=_transposed(out, there) if hasattr(out, "shape") else out)
        return out


def order_with(axes: tuple[int, ...], ndim: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The order of axes that has ``axes`` last."""
    return _orders(axes, ndim, shape)[0]


def _module(apply: Adapter) -> str:
    return apply.__module__.rpartition(".")[2]


def _refuse_own_order(apply: Adapter, image: Any) -> None:
    way = _OWN_ORDER.get(_module(apply))
    if way is not None:
        raise ArgumentError(f"axes= with a {type(image).__module__}.{type(image).__name__}: {way}")


def _orders(axes: tuple[int, ...], ndim: int, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The order of axes that has ``axes`` last, and the order that undoes it."""
    if any(not -ndim <= a < ndim for a in axes):
        raise ShapeError(f"axes={axes} of an array of shape {shape}: numbers from {-ndim} to {ndim - 1} are allowed")
    last = [a % ndim for a in axes]
    if len(set(last)) < len(last):
        raise ShapeError(f"axes={axes} of an array of shape {shape}: two of them are the same axis")
    there = (*(a for a in range(ndim) if a not in last), *last)
    back = [0] * ndim
    for place, a in enumerate(there):
        back[a] = place
    return there, tuple(back)


def _transposed(x: Any, order: tuple[int, ...]) -> Any:
    return x.permute(order) if kind_of(x) == "torch" else x.transpose(order)
