"""The one way from a public function to a backend: input, parameters, result array, call, hand-back.

What is written here for NumPy on the host holds for CuPy on the current GPU too; :mod:`ctfast.dispatch.transfer`
brings everything else to one of the two.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ctfast import backend
from ctfast.dispatch import transfer
from ctfast.dispatch.arrays import Images, as_images, as_tall, check_out, from_host, host_out, is_taken, with_channel
from ctfast.dispatch.checks import check_params, check_reach
from ctfast.dispatch.containers import Call, Task, container
from ctfast.dispatch.device_errors import device_errors
from ctfast.dispatch.exact_casts import as_taken, in_place_of
from ctfast.dispatch.kinds import as_number
from ctfast.dispatch.masks import Mask, for_kernel, mask_of, masked
from ctfast.dispatch.named_axes import along, is_named
from ctfast.dispatch.plain import plain_call
from ctfast.dispatch.prepared import Params, prepare
from ctfast.dispatch.wider_out import into_wider
from ctfast.errors import ShapeError
from ctfast.memory import empty
from ctkernels.contract import OPERATIONS

Compute = Callable[[Images, str, Any], Any]
"""Takes images, the backend to run on, and the array for the result or None."""


def dispatched(
    images: Images,
    backend_name: str | None,
    compute: Compute,
    *,
    out: Any = None,
    splits: Callable[[], bool] = lambda: True,
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
    where: Any = None,
) -> Any:
    """Run operation ``name``, whose result is an image of the input's shape.

    ``axes``: which axes, if not the last. ``where``: the pixels that count (see ``dispatch.masks``).
    """
    if where is not None:

        def leaf(x: Any, mask: Any, params: Params, out: Any) -> Any:
            images = as_images(as_taken(x))
            return _on_images(name, images, params, dtype, out, backend_name, mask_of(mask, images))

        return masked(leaf, Call(name, params, dtype), image, where, backend_name, out)
    if axes is not None or is_named(params):
        again = partial(call, name, dtype=dtype, backend_name=backend_name)
        return along(again, OPERATIONS[name], image, params, axes, out)
    if type(image) is np.ndarray:
        result = plain_call(name, image, params, dtype, out, backend_name)
        if result is not None:
            return result
    if apply := container(image):
        params = {key: as_number(value) for key, value in params.items()}
        again = partial(call, name, params=params, dtype=dtype, backend_name=backend_name)
        operation = OPERATIONS[name]
        axes = operation.axes(check_params(operation, params))
        return apply(Task(again, (Call(name, params, dtype),), backend_name, writes=True, axes=axes), image, out)
    again = partial(call, name, params=params, dtype=dtype, backend_name=backend_name)
    if out is not None and into_wider(OPERATIONS[name], image, out, again):
        return out
    if not is_taken(image):
        done, result = in_place_of(OPERATIONS[name], image, params, out, again)
        if done:
            return result
    return _on_images(name, as_images(image), params, dtype, out, backend_name)


def _on_images(
    name: str,
    images: Images,
    params: Params,
    dtype: DTypeLike | None,
    out: Any,
    backend_name: str | None,
    where: Mask | None = None,
) -> Any:
    compute = partial(_image, name, params, dtype, where)
    splits = partial(_splits, name, params) if where is None else _never
    if not images.channel:
        return dispatched(images, backend_name, compute, out=out, splits=splits)
    if out is None:
        return with_channel(dispatched(images, backend_name, compute, splits=splits), images)
    shape = getattr(out, "shape", images.shape)
    if tuple(shape) != (*images.shape, 1):
        raise ShapeError(f"out= has shape {tuple(shape)}: {(*images.shape, 1)} is needed")
    dispatched(images, backend_name, compute, out=out[..., 0], splits=splits)
    return out


def _never() -> bool:
    return False


def _splits(name: str, params: Params) -> bool:
    """Whether images of a batch may be computed one by one: not those of a volume that is taken as a whole."""
    operation = OPERATIONS[name]
    return operation.axes(check_params(operation, params)) == 2


def _image(
    name: str,
    params: Params,
    dtype: DTypeLike | None,
    where: Mask | None,
    images: Images,
    chosen: str,
    out: Any,
) -> Any:
    batch, shape = images.batch, images.shape
    view = out if out is None or images.device is not None else host_out(out)
    run, wanted, _, checked, halo = prepare(
        name, batch.dtype, params, chosen=chosen, dtype=dtype, out=None if view is None else view.dtype
    )
    check_reach(OPERATIONS[name], halo, shape)
    if len(halo) == 3:
        whole = OPERATIONS[name].kind != "filter"
        batch = as_tall(images).batch if whole else batch.reshape(-1, *shape[-3:])
    if where is not None:
        checked = {**checked, **for_kernel(where, batch.shape, chosen)}
    xp: Any = np if images.device is None else transfer.gpu()
    if view is None:
        result = (empty if xp is np else xp.empty)(batch.shape, wanted)
        run(batch, result, **checked)
        return from_host(result.reshape(shape), images.kind)
    check_out(view, shape, wanted)
    if view.flags.c_contiguous and view.dtype.isnative and not xp.may_share_memory(view, batch):
        run(batch, view.reshape(batch.shape), **checked)
    else:
        # A strided or overlapping out (in place: out=image), or one of another byte order, takes one extra copy.
        result = xp.empty(batch.shape, wanted)
        run(batch, result, **checked)
        view[...] = result.reshape(shape)
    return out
