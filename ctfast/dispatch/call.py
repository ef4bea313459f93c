"""The one way from a public function to a backend: input, parameters, result array, call, hand-back.

What is written here for NumPy on the host holds for CuPy on the current GPU too; :mod:`ctfast.dispatch.transfer`
brings everything else to one of the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from ctfast import backend
from ctfast.dispatch import arrays, transfer
from ctfast.dispatch.checks import check_params
from ctfast.dispatch.device_errors import device_errors
from ctfast.errors import ArgumentError, DTypeError, ShapeError
from ctkernels.contract import OPERATIONS, SAME, Operation

Params = Mapping[str, Any]


def result_dtype(
    operation: Operation, image: np.dtype[Any], dtype: DTypeLike | None, out: np.dtype[Any] | None
) -> np.dtype[Any]:
    """The dtype of the result: as asked for, else that of ``out``, else the operation's default."""
    if operation.out_dtypes == SAME:
        return image
    if dtype is None:
        dtype = out if out is not None else operation.out_dtypes[0]
    try:
        wanted = np.dtype(dtype)
    except TypeError as error:
        raise DTypeError(f"dtype={dtype!r}: {', '.join(operation.out_dtypes)} are allowed") from error
    if wanted.name not in operation.out_dtypes:
        raise DTypeError(f"{operation.name} to {wanted}: {', '.join(operation.out_dtypes)} are allowed")
    return wanted


def check_against_dtype(operation: Operation, params: Params, image: np.dtype[Any], result: np.dtype[Any]) -> None:
    """What can only be checked once the dtypes are known."""
    out_range = params.get("out_range")
    if out_range is not None:
        _check_range("out_range", out_range, result, whole=False)
    if operation.name == "clahe" and params["value_range"] is not None:
        _check_range("value_range", params["value_range"], image, whole=True)
    if operation.name == "median_filter" and params["mode"] == "constant":
        cval = params["cval"]
        _check_range("cval", (cval, cval), image, whole=True)


def _check_range(name: str, pair: tuple[float, float], dtype: np.dtype[Any], *, whole: bool) -> None:
    if dtype.kind == "f":
        return
    limits = np.iinfo(dtype)
    if pair[0] < limits.min or pair[1] > limits.max or (whole and not all(v.is_integer() for v in pair)):
        numbers = "whole numbers" if whole else "numbers"
        shown = pair[0] if pair[0] == pair[1] else pair
        raise ArgumentError(f"{name}={shown!r}: {numbers} from {limits.min} to {limits.max} are allowed for {dtype}")


class Prepared(NamedTuple):
    """A call with everything checked that does not depend on the pixels."""

    run: backend.Kernel
    dtype: np.dtype[Any]
    """Of the result."""
    params: Params


@lru_cache(maxsize=512)
def _prepared(
    name: str,
    backend_name: str,
    image: np.dtype[Any],
    out: np.dtype[Any] | None,
    dtype: DTypeLike | None,
    names: tuple[str, ...],
    given: tuple[Any, ...],
    _types: tuple[type, ...],
) -> Prepared:
    operation = OPERATIONS[name]
    wanted = result_dtype(operation, image, dtype, out)
    params = check_params(operation, dict(zip(names, given, strict=True)))
    check_against_dtype(operation, params, image, wanted)
    return Prepared(backend.kernel(backend_name, name), wanted, params)


def prepare(
    name: str,
    image: np.dtype[Any],
    params: Params,
    *,
    chosen: str,
    dtype: DTypeLike | None = None,
    out: np.dtype[Any] | None = None,
) -> Prepared:
    """Check a call, from memory where the same was checked before: checks cost more than the fastest kernels."""
    given = tuple(params.values())
    key: Any = (name, chosen, image, out, dtype, tuple(params), given, tuple(map(type, given)))
    try:
        return _prepared(*key)
    except TypeError:  # unhashable, such as a range given as a list
        return _prepared.__wrapped__(*key)


def call(
    name: str,
    image: Any,
    params: Params,
    *,
    dtype: DTypeLike | None = None,
    out: Any = None,
    backend_name: str | None = None,
) -> Any:
    """Run operation ``name``, whose result is an image of the input's shape."""
    images = arrays.as_images(image)
    chosen = backend.select(backend_name, images.device)
    if images.device is None and chosen != "gpu":
        view = None if out is None else arrays.host_out(out)
        return _at_home(name, images, params, dtype, out, view, chosen)
    if not transfer.at_home(images, chosen, out):
        again = partial(call, name, params=params, dtype=dtype, backend_name=chosen)
        return transfer.relocated(again, image, images, chosen, out=out)
    with device_errors():
        return _at_home(name, transfer.contiguous(images), params, dtype, out, out, chosen)


def _at_home(
    name: str, images: arrays.Images, params: Params, dtype: DTypeLike | None, out: Any, view: Any, chosen: str
) -> Any:
    batch, shape, kind, device = images
    run, wanted, checked = prepare(
        name, batch.dtype, params, chosen=chosen, dtype=dtype, out=None if view is None else view.dtype
    )
    xp: Any = np if device is None else transfer.gpu()
    if view is None:
        result = xp.empty(batch.shape, wanted)
        run(batch, result, **checked)
        return arrays.from_host(result.reshape(shape), kind)
    if view.shape != shape:
        raise ShapeError(f"out= has shape {view.shape}: {shape} is needed")
    if view.dtype != wanted:
        raise DTypeError(f"out= has dtype {view.dtype}: {wanted} is needed")
    if view.flags.c_contiguous and not xp.may_share_memory(view, batch):
        run(batch, view.reshape(batch.shape), **checked)
    else:
        # A strided or overlapping out (in place: out=image) takes one extra copy.
        result = xp.empty(batch.shape, wanted)
        run(batch, result, **checked)
        view[...] = result.reshape(shape)
    return out


def figures(images: arrays.Images, prepared: Prepared, name: str, kernel_values: Params) -> Any:
    """Run operation ``name``, whose result is one row of figures an image: shape ``(N, figures)``."""
    n, height, width = images.batch.shape
    xp: Any = np if images.device is None else transfer.gpu()
    rows = xp.empty(OPERATIONS[name].result_shape((n, height, width), kernel_values), prepared.dtype)
    prepared.run(images.batch, rows, **kernel_values)
    return rows
