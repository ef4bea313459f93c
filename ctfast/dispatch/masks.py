"""``where=``: which pixels of an image count. Masks go to kernels beside the image, never into what is remembered.

A mask may be an array of any library, and is spread over the image's shape by NumPy's rules of broadcasting. It goes
over the host to where the image is computed, unless it is a boolean array of CuPy or torch on the current GPU that has
the image's shape. Containers keep what they carry, and ``axes=`` moves the mask with the image.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ctfast.dispatch.arrays import Images, device_of, dtype_of, kind_of, to_host
from ctfast.dispatch.checks import check_params
from ctfast.dispatch.containers import Call, Task, container, placed
from ctfast.dispatch.named_axes import along, checked, is_named, order_with
from ctfast.dispatch.transfer import copied_to_host, gpu
from ctfast.errors import ArgumentError, DTypeError, ShapeError
from ctkernels.contract import OPERATIONS

Mask = Any
"""A boolean array of NumPy or CuPy."""
Leaf = Callable[[Any, Any, Mapping[str, Any], Any], Any]
"""Takes an array that is no container, the mask, parameters, and ``out=`` or None."""

_SERVED: Final = ("masked_arrays", "simpleitk_images", "torch_subclasses", "xarray_arrays")
"""Containers whose array has the order of axes that their user knows, and all of its values."""


def masked(leaf: Leaf, call: Call, image: Any, where: Any, backend: str | None, out: Any = None) -> Any:
    """``leaf`` for what is in ``image``, along its axes.

    Raises:
        ArgumentError: a container whose arrays are lazy, traced or of an order of their own, or a mask with other
            coordinates, or of another place, than its image.
    """
    operation = OPERATIONS[call.operation]

    def again(x: Any, params: Mapping[str, Any] = call.params, out: Any = None) -> Any:
        return masked(leaf, call._replace(params=params), x, where, backend, out)

    apply = container(image)
    home = "" if apply is None else apply.__module__.rpartition(".")[2]
    if apply is not None and home not in _SERVED:
        kind = f"{type(image).__module__}.{type(image).__qualname__}"
        raise ArgumentError(
            f"where= with a {kind}: an array with all of its values is needed, as of NumPy, torch or xarray; outside "
            "of what is traced, and of lazy arrays the parts that are read"
        )
    if apply is not None:
        where = placed(apply, image, where)
    if is_named(call.params):
        axes = checked(call.params["axes"])
        if home != "simpleitk_images" and not isinstance(axes, int):  # the images are refused there
            image = image if hasattr(image, "shape") else np.asarray(image)
            where = as_mask(where, tuple(image.shape)).transpose(order_with(axes, image.ndim, tuple(image.shape)))
        return along(again, operation, image, call.params, None, out)
    if apply is not None:
        task = Task(
            again,
            (call,),
            backend,
            writes=not operation.is_statistic,
            axes=operation.axes(check_params(operation, call.params)),
        )
        return apply(task, image, out)
    return leaf(image, where, call.params, out)


def mask_of(where: Any, images: Images) -> Mask:
    """The mask of images, of their shape."""
    if images.channel:
        mask: Mask = as_mask(where, (*images.shape, 1))[..., 0]
        return mask
    return as_mask(where, images.shape)


def as_mask(where: Any, shape: tuple[int, ...]) -> Mask:
    """``where`` as a boolean array of this shape; on the host, or on the GPU on which it is.

    Raises:
        DTypeError: numbers other than 0 and 1.
        ShapeError: a shape that can't be spread over the image.
    """
    there = _on_gpu(where, shape)
    if there is not None:
        return there
    mask = _on_host(where)
    if mask.dtype.kind in "iu" and mask.size and mask.min() >= 0 and mask.max() <= 1:  # as files hold masks
        mask = mask.astype(bool)
    if mask.dtype != bool:
        raise DTypeError(
            f"where= has dtype {mask.dtype}: a boolean array, or whole numbers 0 and 1, is allowed; say what counts, "
            "labels == 3 or labels > 0"
        )
    try:
        return np.broadcast_to(mask, shape)
    except ValueError as error:
        raise ShapeError(f"where= has shape {mask.shape}: {shape}, or what NumPy spreads over it, is needed") from error


def _on_gpu(where: Any, shape: tuple[int, ...]) -> Mask | None:
    """The mask as CuPy's, where it needs nothing but to be used; None for all others."""
    if container(where):
        return None
    kind = kind_of(where)
    device = device_of(where, kind) if kind in ("cupy", "torch") else None
    if device is None or not gpu().is_current(device):
        return None
    if tuple(where.shape) != shape or dtype_of(where).kind != "b":
        return None
    return where if kind == "cupy" else gpu().from_dlpack(where.view(sys.modules["torch"].uint8)).view(np.bool_)


def _on_host(where: Any) -> NDArray[Any]:
    apply = container(where)
    home = "" if apply is None else apply.__module__.rpartition(".")[2]
    if home == "simpleitk_images":
        return np.asarray(sys.modules["SimpleITK"].GetArrayViewFromImage(where))
    if home == "torch_subclasses":
        where = where.as_subclass(sys.modules["torch"].Tensor)
    kind = kind_of(where)
    return to_host(where, kind) if device_of(where, kind) is None else copied_to_host(where, kind)


def for_kernel(where: Mask | None, shape: tuple[int, ...], backend: str) -> dict[str, Mask]:
    """What a kernel takes besides its parameters, for a batch of this shape."""
    if where is None:
        return {}
    if backend == "gpu":
        return {"where": gpu().contiguous(gpu().upload(where)).reshape(shape)}
    if not isinstance(where, np.ndarray):
        where = copied_to_host(where, "cupy")
    return {"where": np.ascontiguousarray(where).reshape(shape)}
