"""Bringing arrays to where an operation runs, and its results back to where the array came from.

Operations are written for two places: NumPy arrays on the host, and CuPy arrays on the current GPU and its current
stream. What is elsewhere is brought to one of them, run there, and the result taken back: a host array for
``backend="gpu"``, a GPU array for a host backend, an array of torch or JAX on a GPU (through DLPack, never over the
host), an array on another GPU than the current one.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctfast.dispatch import arrays
from ctfast.dispatch.arrays import Images, device_of, dtype_of, from_host, host_out, jax_dtype, kind_of
from ctfast.dispatch.device_errors import device_errors
from ctfast.dispatch.nested import joined, mapped
from ctfast.errors import ArgumentError, DeviceMemoryError, DTypeError

Function = Callable[..., Any]


def gpu() -> Any:
    """What the GPU backend has for moving arrays."""
    return importlib.import_module("ctkernels.gpu._core.interop")


def streams() -> Any:
    """What the GPU backend has for copies that overlap with computing."""
    return importlib.import_module("ctkernels.gpu._core.streams")


def runs_here(images: Images, chosen: str, out: Any = None) -> bool:
    """Whether backend ``chosen`` takes these images (and ``out``, for images on a GPU) as they are."""
    if images.device is None:
        return chosen != "gpu"
    if chosen != "gpu" or images.kind != "cupy" or not gpu().is_current(images.device):
        return False
    return out is None or _same_device(out, images) == "cupy"


def run_elsewhere(
    function: Function, images: Images, chosen: str, *, out: Any = None, splits: Callable[[], bool]
) -> Any:
    """Run ``function(x)``, or ``function(x, out=...)``, where backend ``chosen`` computes; results come back.

    Args:
        function: what to run; its result may hold several arrays.
        images: what to run it on.
        chosen: the backend to run on.
        out: the caller's array for the result, where the images are.
        splits: whether running parts of the batch one by one gives the same, which helps where GPU memory is short.

    Raises:
        DeviceMemoryError: the GPU's memory is too small, even for one image.
        DeviceError: CUDA failed.
    """
    if images.device is None:
        view = None if out is None else host_out(out)
        result = _host_on_gpu(function, images, view, splits)
    elif chosen != "gpu":
        result = _gpu_on_host(function, images, out)
    else:
        result = _elsewhere_on_gpu(function, images, out)
    return result if out is None else out


def contiguous(images: Images) -> Images:
    """CuPy images in the form that backends take, ``(N, H, W)`` in C order."""
    return images._replace(batch=gpu().contiguous(images.batch).reshape(-1, *images.shape[-2:]))


def to_caller(array: Any, images: Images) -> Any:
    """A result that was computed where the images are, as their caller gets it."""
    if images.device is None:
        return from_host(array, images.kind)
    return gpu().upload(array)


def _host_on_gpu(function: Function, images: Images, view: NDArray[Any] | None, splits: Callable[[], bool]) -> Any:
    batch, shape = images.batch, images.shape
    number = batch.shape[0]
    part, start, results = number, 0, []
    while start < number:
        some = batch.reshape(shape) if part == number else batch[start : start + part]
        stands = None
        if view is not None:
            # Stands for (a part of) the caller's out, wrong shape and dtype included.
            whole = part == number or view.shape != shape
            stands = (view.shape if whole else some.shape, view.dtype.newbyteorder("="))
        try:
            results.append(_round_trip(function, some, stands))
        except DeviceMemoryError:
            # For the rest of the batch too; the parts are equal in what they need.
            if part == 1 or not splits():
                raise
            part = -(-part // 2)
            continue
        start += part
    result = results[0] if len(results) == 1 else joined(results, shape[:-2])
    if view is not None:
        view[...] = result
        return view
    return mapped(lambda array: from_host(array, images.kind), result)


def _round_trip(function: Function, some: NDArray[Any], stands: tuple[tuple[int, ...], np.dtype[Any]] | None) -> Any:
    with device_errors():
        device = gpu()
        x = device.upload(some)
        result = function(x) if stands is None else function(x, out=device.empty(*stands))
        # What came in unchanged (the image, where a pipeline only takes statistics) need not come back.
        return mapped(lambda array: some if array is x else device.download(array)[()], result)


def _gpu_on_host(function: Function, images: Images, out: Any) -> Any:
    image = images.given
    with device_errors():
        x = copied_to_host(image, images.kind)
    if out is None:
        return mapped(lambda array: image if array is x else on_device_of(array, image, images.kind), function(x))
    kind = _same_device(out, images)
    result = function(x, out=np.empty(tuple(out.shape), dtype_of(out)))
    with device_errors():
        if kind == "torch":
            out.copy_(sys.modules["torch"].from_numpy(result))
        else:
            device = gpu()
            with device.current(images.device):
                out[...] = device.upload(result)
    return out


def copied_to_host(x: Any, kind: str) -> NDArray[Any]:
    """A host copy of an array on a GPU; waits for what computes it."""
    if kind == "torch":
        return arrays.to_host(x.cpu(), "torch")
    if kind == "jax":
        return np.array(x)
    return x.get()


def on_device_of(result: Any, image: Any, kind: str) -> Any:
    """A host result as an array of the kind and on the device of ``image``."""
    array = np.asarray(result)
    if kind == "torch":
        return sys.modules["torch"].from_numpy(array).to(image.device)
    if kind == "jax":
        jax = sys.modules["jax"]
        return jax.device_put(array.astype(jax_dtype(array.dtype), copy=False), next(iter(image.devices())))
    device = gpu()
    with device.current(int(image.device.id)):
        return device.upload(array)


def _elsewhere_on_gpu(function: Function, images: Images, out: Any) -> Any:
    image, kind = images.given, images.kind
    kind_of_out = None if out is None else _same_device(out, images)
    stream = None
    if kind == "torch":
        # On torch's own stream nothing needs to wait, and memory is used again in an order that is right for both.
        stream = int(sys.modules["torch"].cuda.current_stream(images.device).cuda_stream)
    with device_errors():
        device = gpu()
        with device.current(images.device, stream):
            try:
                x = image if kind == "cupy" else _imported(device, image, kind)
                if out is None:
                    result = mapped(lambda array: image if array is x else from_cupy(array, kind), function(x))
                else:
                    target = out if kind_of_out == "cupy" else _imported(device, out, str(kind_of_out))
                    function(x, out=target)
                    result = out
                    if kind_of_out != kind:
                        device.synchronize()  # the owner of out may read it on a stream of its own
            finally:
                if kind == "jax":
                    # JAX may use the memory of its array again as soon as this call lets go of it.
                    device.synchronize()
    return result


def _imported(device: Any, x: Any, kind: str) -> Any:
    try:
        return device.from_dlpack(x)
    except (BufferError, TypeError) as error:
        raise DTypeError(f"this {kind} array can't be read ({error}); detach it, or make it dense") from error


def from_cupy(array: Any, kind: str) -> Any:
    """A CuPy array as one of ``kind``, the same memory."""
    if kind == "torch":
        return sys.modules["torch"].from_dlpack(array)
    if kind == "jax":
        wanted = jax_dtype(array.dtype)
        if array.dtype != wanted:
            array = array.astype(wanted)
        return sys.modules["jax"].dlpack.from_dlpack(gpu().contiguous(array))
    return array


def _same_device(out: Any, images: Images) -> str:
    """The kind of ``out``, which must be on the device of the image."""
    kind = kind_of(out)
    if kind == "jax":
        raise ArgumentError("out= is a JAX array, which can't be written to: leave out= away")
    arrays.refuse_negative_bit(out, kind)
    device = device_of(out, kind)
    if device != images.device:
        there = "the host" if device is None else f"GPU {device}"
        raise ArgumentError(
            f"out= is on {there} but the image on GPU {images.device}: the result goes where the image is; bring both "
            "to one place, or leave out= away"
        )
    return kind
