"""Arrays of other libraries in and out: kinds, where they live, dtype, shape and contiguity rules.

Libraries are recognised without importing them: an array of theirs can only exist if ``sys.modules`` has them already.
Arrays on a GPU are recognised and checked here; :mod:`ctfast.dispatch.transfer` moves them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ctfast.dispatch.forked import refuse_jax_after_fork
from ctfast.errors import ArgumentError, BackendUnavailableError, DTypeError, ShapeError
from ctkernels.contract import IMAGE_DTYPES

Kind = Literal["numpy", "torch", "jax", "cupy"]

_ALLOWED = frozenset(np.dtype(name) for name in IMAGE_DTYPES)
MOST_CHANNELS: Final = 4
"""A last axis of up to so many may be one of channels."""
_EXACT_IN_FLOAT32: Final = 1 << 24
_AXES_KNOWN: Final = ContextVar("axes known", default=False)


class Images(NamedTuple):
    """An input as backends take it."""

    batch: Any
    """C-contiguous, native-endian, ``(N, H, W)``; an array of torch or JAX on a GPU is as it came in."""
    shape: tuple[int, ...]
    """As it came in, without ``channel``."""
    kind: Kind
    device: int | None = None
    """Number of the GPU that it is on; None for the host."""
    given: Any = None
    """As the caller gave it, without ``channel``."""
    channel: bool = False
    """Whether gray images came as ``(H, W, 1)`` or ``(..., H, W, 1)``."""


def kind_of(x: Any) -> Kind:
    """Which library's array ``x`` is; "numpy" for everything that NumPy can read."""
    if isinstance(x, np.ndarray):
        return "numpy"
    for module, cls, kind in (("torch", "Tensor", "torch"), ("jax", "Array", "jax"), ("cupy", "ndarray", "cupy")):
        library = sys.modules.get(module)
        if library is not None and isinstance(x, getattr(library, cls, ())):
            return kind  # type: ignore[return-value]
    return "numpy"


def device_of(x: Any, kind: Kind) -> int | None:
    """Number of the GPU that the pixels are on; None for the host.

    Raises:
        ArgumentError: a JAX array that is traced, or spread over several devices.
        BackendUnavailableError: on a device that is neither a CPU nor a CUDA GPU, or that holds no values.
    """
    if kind == "numpy":
        return None
    if kind == "cupy":
        return int(x.device.id)
    if kind == "torch":
        where = x.device.type
    else:
        devices = _devices(x)
        where = next(iter(devices)).platform
        if len(devices) > 1:
            raise ArgumentError(
                f"a JAX array on {len(devices)} devices came in: bring it to one with jax.device_put(x, device)"
                + (", or call ctfast inside of jax.jit or jax.shard_map" if where == "cpu" else "")
            )
    if where == "cpu":
        return None
    if where == "meta":
        raise BackendUnavailableError(
            "a torch tensor on the device 'meta' has a shape and no values: give one that was made on the CPU or a GPU"
        )
    if where not in ("cuda", "gpu"):
        raise BackendUnavailableError(
            f"the {kind} array is on a device of type {where!r}: the CPU and CUDA GPUs are served; copy it to the CPU"
        )
    _, number = x.__dlpack_device__()
    return int(number)


def _devices(x: Any) -> Any:
    try:
        return x.devices()
    except Exception as error:
        if not isinstance(x, sys.modules["jax"].core.Tracer):
            raise ArgumentError(
                f"this JAX array can't be read ({error}): it was deleted, or donated to a function; compute it again, "
                "or don't donate it"
            ) from error
        # A tracer inside jit, vmap or grad has no device and no values yet.
        raise ArgumentError(
            "a JAX array that is being traced came in: call ctfast outside of jax.jit/vmap/grad, on real values"
        ) from error


def to_host(x: Any, kind: Kind) -> NDArray[Any]:
    """A NumPy view of ``x``, which is on the host (no copy for CPU arrays of NumPy, torch and JAX)."""
    if kind == "numpy":
        if isinstance(x, np.ma.MaskedArray):
            raise ArgumentError("a masked array came in and its mask would be lost: fill it first, x.filled(value)")
        if hasattr(x, "__cuda_array_interface__"):
            raise ArgumentError(
                f"a {type(x).__module__}.{type(x).__name__} on a GPU came in: give it as cupy.asarray(x), which copies "
                "nothing, so that it is computed where it is"
            )
        try:
            return np.asarray(x)
        except (TypeError, ValueError) as error:  # lists of uneven length
            raise ArgumentError(f"a {type(x).__name__} came in that is no array: {error}") from error
    if kind == "torch":
        x = _written_out(x)
    try:
        return np.from_dlpack(x)
    except (BufferError, RuntimeError, TypeError) as error:
        check_dtype(dtype_of(x))  # bfloat16 and other types that NumPy does not have
        # torch: requires_grad, sparse.
        raise DTypeError(f"this {kind} array can't be read ({error}); {', '.join(IMAGE_DTYPES)} are allowed") from error


def _written_out(x: Any) -> Any:
    """A torch tensor whose memory holds its values: DLPack knows neither a sign that is still to be applied, as of
    ``z.conj().imag``, nor zeros without memory, which autograd makes."""
    return x.clone() if x._is_zerotensor() else x.resolve_neg()


def from_host(result: NDArray[Any], kind: Kind) -> Any:
    """A NumPy result as an array of ``kind``."""
    if kind == "torch":
        return sys.modules["torch"].from_numpy(np.asarray(result))
    if kind == "jax":
        refuse_jax_after_fork()
        jax = sys.modules["jax"]
        return jax.numpy.asarray(result.astype(jax_dtype(result.dtype), copy=False))
    return result


def jax_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """What JAX holds values of ``dtype`` as: it has no 64 bits unless told so (pixel counts fit into 32)."""
    if dtype.itemsize == 8 and not sys.modules["jax"].config.jax_enable_x64:
        return np.dtype(f"{dtype.kind}4")
    return dtype


def as_images(x: Any) -> Images:
    """Check that ``x`` is an image or a batch of them and bring it to the form that backends take.

    An axis of one element after rows and columns, ``(..., H, W, 1)``, is the channel of gray images, as Keras and
    Albumentations have it: it is taken off here and ``with_channel`` puts it back.

    Raises:
        DTypeError: not one of ``IMAGE_DTYPES``.
        ShapeError: fewer than two axes, an empty axis, or three or more axes with 2, 3 or 4 in the last.
    """
    if type(x) is np.ndarray:
        kind: Kind = "numpy"
        array = x
    else:
        kind = kind_of(x)
        device = device_of(x, kind)
        if device is not None:
            return _on_device(_written_out(x) if kind == "torch" else x, kind, device)
        array = to_host(x, kind)
    if array.dtype not in _ALLOWED:
        native = dtype_of(array).newbyteorder("=")
        if native not in _ALLOWED:
            raise _refused(array.dtype, array)
        array = array.astype(native)
    shape = array.shape
    if has_channel(shape):
        given = array[..., 0] if kind == "numpy" else x[..., 0]
        return as_images(array[..., 0])._replace(kind=kind, given=given, channel=True)
    check_shape(shape)
    if not array.flags.c_contiguous:
        array = np.ascontiguousarray(array)
    return Images(array.reshape(-1, *shape[-2:]), shape, kind, None, x)


@contextmanager
def known_axes() -> Iterator[None]:
    """Arrays that come in meanwhile are ``(..., H, W)`` however narrow: for pixels of files, whose readers know it."""
    token = _AXES_KNOWN.set(True)
    try:
        yield
    finally:
        _AXES_KNOWN.reset(token)


def has_channel(shape: tuple[int, ...]) -> bool:
    """Whether the last axis is the channel of gray images."""
    return len(shape) > 2 and shape[-1] == 1 and not _AXES_KNOWN.get()


def with_channel(result: Any, images: Images) -> Any:
    """An image that was made of ``images``, with the channel axis that they came with."""
    return result[..., None] if images.channel else result


def _on_device(x: Any, kind: Kind, device: int) -> Images:
    dtype = dtype_of(x)
    if dtype not in _ALLOWED:
        if dtype.newbyteorder("=") in _ALLOWED:
            raise DTypeError(
                f"image of dtype {dtype} on GPU {device}: GPUs don't compute on foreign byte orders; convert on the "
                f"host, cupy.asarray(x.get().astype('{dtype.newbyteorder('=').name}'))"
            )
        raise _refused(dtype)
    shape = tuple(x.shape)
    if has_channel(shape):
        return _on_device(x[..., 0], kind, device)._replace(channel=True)
    check_shape(shape)
    return Images(x, shape, kind, device, x)


def dtype_of(x: Any) -> np.dtype[Any]:
    """The dtype of any library's array as NumPy's.

    Raises:
        DTypeError: one that NumPy lacks, or its strings, which have no byte order.
    """
    if isinstance(x.dtype, np.dtype):
        if x.dtype.kind == "T":
            raise _refused(x.dtype)
        return x.dtype
    name = str(x.dtype).removeprefix("torch.")
    try:
        return np.dtype(name)
    except TypeError as error:
        raise _refused(name) from error


def is_taken(x: Any) -> bool:
    """Whether operations take arrays of this dtype as they are; of what is no array nothing is known."""
    return isinstance(x, np.ndarray) and x.dtype in _ALLOWED


def check_dtype(dtype: np.dtype[Any]) -> None:
    """Refuse what operations don't take."""
    if dtype not in _ALLOWED:
        raise _refused(dtype)


def _refused(dtype: object, values: NDArray[Any] | None = None) -> DTypeError:
    is_of_objects = values is not None and values.dtype.kind == "O" and values.size
    held = f" ({type(values.flat[0]).__name__})" if is_of_objects else ""  # type: ignore[union-attr]
    return DTypeError(f"image of dtype {dtype}{held}: {', '.join(IMAGE_DTYPES)} are allowed; {_way_out(dtype, values)}")


def _way_out(dtype: object, values: NDArray[Any] | None) -> str:
    """A dtype that holds the values, where these are known."""
    if values is None or values.dtype.kind not in "iu" or not values.size:
        if "int" in str(dtype):
            return (
                "convert with x.astype('int16') if all values lie from -32768 to 32767, else x.astype('float32') "
                "(exact up to 16777216) or x.astype('float64')"
            )
        return "convert with x.astype('int16') for whole-number HU or x.astype('float32')"
    low, high = int(values.min()), int(values.max())
    for name in ("int16", "uint16"):
        if np.iinfo(name).min <= low and high <= np.iinfo(name).max:
            return f"all values fit: convert with x.astype({name!r})"
    name = "float32" if max(-low, high) <= _EXACT_IN_FLOAT32 else "float64"
    return f"values from {low} to {high} do not fit into 16 bits: convert with x.astype({name!r})"


def check_shape(shape: tuple[int, ...]) -> None:
    """Refuse what is no image or batch of images, and what may be a colour image."""
    if len(shape) < 2:
        raise ShapeError(f"array of shape {shape}: an image (H, W) or a batch (..., H, W) is allowed")
    if 0 in shape:
        raise ShapeError(f"array of shape {shape} is empty: every axis must have at least one element")
    if len(shape) > 2 and shape[-1] <= MOST_CHANNELS and not _AXES_KNOWN.get():
        raise ShapeError(
            f"array of shape {shape} is ambiguous: channels (colour) in the last axis, or images {shape[-1]} pixels "
            "wide? Channels: convert to gray, or move them forward with np.moveaxis(x, -1, 0) to treat each as an "
            "image. Narrow images: pass them one by one"
        )


def is_plain(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bool:
    """Whether arrays of this kind in C order are images as they are, whatever is known of their axes."""
    return dtype in _ALLOWED and len(shape) > 1 and 0 not in shape and (len(shape) == 2 or shape[-1] > MOST_CHANNELS)


def as_tall(images: Images) -> Images:
    """Volumes ``(..., D, H, W)`` as images of ``D * H`` rows, for operations to which all pixels are alike."""
    *lead, depth, height, width = images.shape
    shape = (*lead, depth * height, width)
    return images._replace(batch=images.batch.reshape(-1, *shape[-2:]), shape=shape)


def refuse_negative_bit(out: Any, kind: Kind) -> None:
    """A torch tensor whose sign is still to be applied can't be written to: the sign would be applied to the result."""
    if kind == "torch" and out.is_neg():
        raise ArgumentError("out= is a torch tensor with its negative bit set: give out.resolve_neg(), which is a copy")
    if kind == "torch" and out._is_zerotensor():
        raise ArgumentError("out= is a torch tensor of zeros without memory: give out.clone()")


def host_out(out: Any) -> NDArray[Any]:
    """A writable NumPy view of the caller's ``out=``."""
    if type(out) is np.ndarray and out.flags.carray:
        return out
    kind = kind_of(out)
    if kind == "jax":
        raise ArgumentError("out= is a JAX array, which can't be written to: leave out= away")
    if not isinstance(out, np.ndarray) and kind == "numpy":
        raise ArgumentError(f"out= is a {type(out).__name__}: an array is allowed")
    refuse_negative_bit(out, kind)
    device = device_of(out, kind)
    if device is not None:
        raise ArgumentError(
            f"out= is on GPU {device} but the image is on the host: the result goes where the image is; "
            "bring both to one place, or leave out= away"
        )
    view = to_host(out, kind)
    if not view.flags.writeable:
        raise ArgumentError("out= is read-only: a writable array is allowed")
    if any(not step and side > 1 for step, side in zip(view.strides, view.shape, strict=True)):
        raise ArgumentError("out= is an array that was spread over more pixels than it has memory for: give a copy")
    return view


def check_out(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Refuse an array for the result that has another shape or dtype; its byte order may be any."""
    if out.shape != shape:
        raise ShapeError(f"out= has shape {out.shape}: {shape} is needed")
    if out.dtype.newbyteorder("=") != dtype:
        raise DTypeError(f"out= has dtype {out.dtype}: {dtype} is needed")
