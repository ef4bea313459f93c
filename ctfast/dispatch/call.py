"""The one way from a public function to a backend: input, parameters, result array, call, hand-back.

What is written here for NumPy on the host holds for CuPy on the current GPU too; :mod:`ctfast.dispatch.transfer`
brings everything else to one of the two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from ctfast import backend
from ctfast.dispatch import transfer
from ctfast.dispatch.arrays import Images, as_images, as_tall, from_host, host_out, with_channel
from ctfast.dispatch.checks import check_params, check_reach, for_kernel
from ctfast.dispatch.containers import Call, Task, container
from ctfast.dispatch.device_errors import device_errors
from ctfast.dispatch.named_axes import along, is_named
from ctfast.errors import ArgumentError, BackendUnavailableError, DTypeError, ShapeError
from ctfast.memory import empty
from ctfast.threads import get_num_threads
from ctkernels.contract import OPERATIONS, SAME, Operation, Param

Params = Mapping[str, Any]
Compute = Callable[[Images, str, Any], Any]
"""Takes images, the backend to run on, and the array for the result or None."""


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


def check_against_dtypes(operation: Operation, params: Params, image: np.dtype[Any], result: np.dtype[Any]) -> None:
    """What can only be checked once the dtypes are known: values that the image or the result must be able to hold."""
    for param in operation.params:
        value = params[param.name]
        unused = value is None or (param.name == "cval" and params["mode"] != "constant")
        if param.fits and not unused:
            _check_fits(param, value, image if param.fits == "image" else result)


def _check_fits(param: Param, value: Any, dtype: np.dtype[Any]) -> None:
    if dtype.kind == "f":
        return
    limits, whole = np.iinfo(dtype), param.fits == "image"
    low, high = value if isinstance(value, tuple) else (value, value)
    if low < limits.min or high > limits.max or (whole and not (low.is_integer() and high.is_integer())):
        numbers = "whole numbers" if whole else "numbers"
        raise ArgumentError(
            f"{param.name}={value!r}: {numbers} from {limits.min} to {limits.max} are allowed for {dtype}"
        )


_SCALARS: Final = frozenset({bool, int, float, str, type(None)})
"""Types whose equal values are told apart by type alone."""


class Prepared(NamedTuple):
    """A call with everything checked that does not depend on the pixels."""

    run: backend.Kernel
    dtype: np.dtype[Any]
    """Of the result."""
    params: Params
    for_kernel: Params
    """Those that the kernel takes."""
    halo: tuple[int, ...]
    """As far as it looks along each axis that it takes together."""


@lru_cache(maxsize=512)
def _prepared(
    name: str,
    backend_name: str,
    image: np.dtype[Any],
    out: np.dtype[Any] | None,
    dtype: DTypeLike | None,
    names: tuple[str, ...],
    given: tuple[Any, ...],
    _types: tuple[Any, ...],
) -> Prepared:
    operation = OPERATIONS[name]
    if backend_name == "cpu":
        get_num_threads()  # refuses a CTFAST_NUM_THREADS that means nothing before a kernel stumbles over it
    wanted = result_dtype(operation, image, dtype, out)
    params = check_params(operation, dict(zip(names, given, strict=True)))
    check_against_dtypes(operation, params, image, wanted)
    if backend_name == "gpu" and operation.kind == "filter" and operation.axes(params) == 3:
        raise BackendUnavailableError(
            f"{name} with three numbers is computed on the CPU: give backend='cpu' (arrays on a GPU are copied there "
            "and back), or two numbers for the slices one by one"
        )
    return Prepared(
        backend.kernel(backend_name, name), wanted, params, for_kernel(params), tuple(operation.halo(params))
    )


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
    types: tuple[Any, ...] = tuple(map(type, given))
    if not _SCALARS.issuperset(types):  # (5, 5) equals (5.0, 5.0), but is another size
        types += tuple(tuple(map(type, v)) for v in given if isinstance(v, tuple))
    key: Any = (name, chosen, image, out, dtype, tuple(params), given, types)
    try:
        return _prepared(*key)
    except TypeError:  # unhashable, such as a range given as a list
        return _prepared.__wrapped__(*key)


def dispatched(
    images: Images, backend_name: str | None, compute: Compute, *, out: Any = None, splits: bool = True
) -> Any:
    """Run ``compute(images, backend, out)`` on the backend that is asked for; the result goes where the images are.

    ``compute`` gets images (and ``out``) in the form and in the place that its backend takes.

    Args:
        images: as the caller gave them, checked.
        backend_name: ``backend=`` of the caller.
        compute: its result may hold several arrays.
        out: the caller's array for the result.
        splits: whether running parts of the batch one by one gives the same, which helps where GPU memory is short.
    """
    chosen = backend.select(backend_name, images.device)
    if images.device is None and chosen != "gpu":
        return compute(images, chosen, out)  # nothing to move: the fastest kernels take less time than asking further
    if not transfer.runs_here(images, chosen, out):

        def again(x: Any, out: Any = None) -> Any:
            return dispatched(as_images(x), chosen, compute, out=out)

        return transfer.run_elsewhere(again, images, chosen, out=out, splits=splits)
    with device_errors():
        return compute(transfer.contiguous(images), chosen, out)


def call(
    name: str,
    image: Any,
    params: Params,
    *,
    dtype: DTypeLike | None = None,
    out: Any = None,
    backend_name: str | None = None,
    axes: Any = None,
) -> Any:
    """Run operation ``name``, whose result is an image of the input's shape; ``axes``: which axes, if not the last."""
    if axes is not None or is_named(params):
        again = partial(call, name, dtype=dtype, backend_name=backend_name)
        return along(again, OPERATIONS[name], image, params, axes, out)
    if apply := container(image):
        again = partial(call, name, params=params, dtype=dtype, backend_name=backend_name)
        operation = OPERATIONS[name]
        axes = operation.axes(check_params(operation, params))
        return apply(Task(again, (Call(name, params, dtype),), backend_name, writes=True, axes=axes), image, out)
    images, compute = as_images(image), partial(_image, name, params, dtype)
    splits = params.get("axes", 2) == 2
    if not images.channel:
        return dispatched(images, backend_name, compute, out=out, splits=splits)
    if out is None:
        return with_channel(dispatched(images, backend_name, compute, splits=splits), images)
    shape = getattr(out, "shape", images.shape)
    if tuple(shape) != (*images.shape, 1):
        raise ShapeError(f"out= has shape {tuple(shape)}: {(*images.shape, 1)} is needed")
    dispatched(images, backend_name, compute, out=out[..., 0], splits=splits)
    return out


def _image(name: str, params: Params, dtype: DTypeLike | None, images: Images, chosen: str, out: Any) -> Any:
    batch, shape = images.batch, images.shape
    view = out if out is None or images.device is not None else host_out(out)
    run, wanted, _, checked, halo = prepare(
        name, batch.dtype, params, chosen=chosen, dtype=dtype, out=None if view is None else view.dtype
    )
    check_reach(OPERATIONS[name], halo, shape)
    if len(halo) == 3:
        whole = OPERATIONS[name].kind != "filter"
        batch = as_tall(images).batch if whole else batch.reshape(-1, *shape[-3:])
    xp: Any = np if images.device is None else transfer.gpu()
    if view is None:
        result = (empty if xp is np else xp.empty)(batch.shape, wanted)
        run(batch, result, **checked)
        return from_host(result.reshape(shape), images.kind)
    check_out(view, shape, wanted)
    if view.flags.c_contiguous and not xp.may_share_memory(view, batch):
        run(batch, view.reshape(batch.shape), **checked)
    else:
        # A strided or overlapping out (in place: out=image) takes one extra copy.
        result = xp.empty(batch.shape, wanted)
        run(batch, result, **checked)
        view[...] = result.reshape(shape)
    return out


def check_out(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Refuse an array for the result that has another shape or dtype."""
    if out.shape != shape:
        raise ShapeError(f"out= has shape {out.shape}: {shape} is needed")
    if out.dtype != dtype:
        raise DTypeError(f"out= has dtype {out.dtype}: {dtype} is needed")
