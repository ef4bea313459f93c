"""Arrays of other libraries in and out: kinds, where they live, dtype, shape and contiguity rules.

Libraries are recognised without importing them: an array of theirs can only exist if ``sys.modules`` has them already.
"""

from __future__ import annotations

import sys
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ctfast.errors import ArgumentError, BackendUnavailableError, DTypeError, ShapeError
from ctkernels.contract import IMAGE_DTYPES

Kind = Literal["numpy", "torch", "jax", "cupy"]

_ALLOWED = frozenset(np.dtype(name) for name in IMAGE_DTYPES)
_HINT = "convert with x.astype('int16') for whole-number HU or x.astype('float32')"


class Images(NamedTuple):
    """An input as backends take it."""

    batch: NDArray[Any]
    """C-contiguous, native-endian, ``(N, H, W)``."""
    shape: tuple[int, ...]
    """As it came in."""
    kind: Kind


def kind_of(x: Any) -> Kind:
    """Which library's array ``x`` is; "numpy" for everything that NumPy can read."""
    if isinstance(x, np.ndarray):
        return "numpy"
    for module, cls, kind in (("torch", "Tensor", "torch"), ("jax", "Array", "jax"), ("cupy", "ndarray", "cupy")):
        library = sys.modules.get(module)
        if library is not None and isinstance(x, getattr(library, cls, ())):
            return kind  # type: ignore[return-value]
    return "numpy"


def lives_on(x: Any, kind: Kind) -> Literal["host", "gpu"]:
    """Where the pixels are."""
    if kind == "cupy":
        return "gpu"
    if kind == "torch":
        return "host" if x.device.type == "cpu" else "gpu"
    if kind == "jax":
        return "host" if all(d.platform == "cpu" for d in _devices(x)) else "gpu"
    return "host"


def _devices(x: Any) -> Any:
    try:
        return x.devices()
    except Exception as error:
        # A tracer inside jit, vmap or grad has no device and no values yet.
        raise ArgumentError(
            "a JAX array that is being traced came in: call ctfast outside of jax.jit/vmap/grad, on real values"
        ) from error


def to_host(x: Any, kind: Kind) -> NDArray[Any]:
    """A NumPy view of ``x`` (no copy for CPU arrays of NumPy, torch and JAX)."""
    if kind == "numpy":
        if isinstance(x, np.ma.MaskedArray):
            raise ArgumentError("a masked array came in and its mask would be lost: fill it first, x.filled(value)")
        return np.asarray(x)
    if lives_on(x, kind) == "gpu":
        raise BackendUnavailableError(
            f"the {kind} array lives on a GPU and the GPU backend is not usable here; copy it to the CPU first"
        )
    try:
        return np.from_dlpack(x)
    except (BufferError, RuntimeError, TypeError) as error:
        # torch: requires_grad, sparse, bfloat16; JAX: bfloat16 and other types that NumPy does not have.
        raise DTypeError(f"this {kind} array can't be read ({error}); {', '.join(IMAGE_DTYPES)} are allowed") from error


def from_host(result: NDArray[Any], kind: Kind) -> Any:
    """A NumPy result as an array of ``kind``."""
    if kind == "torch":
        return sys.modules["torch"].from_numpy(result)
    if kind == "jax":
        jax = sys.modules["jax"]
        if result.dtype == np.int64 and not jax.config.jax_enable_x64:
            result = result.astype(np.int32)  # pixel counts fit; JAX would warn and do the same
        if result.dtype == np.float64 and not jax.config.jax_enable_x64:
            result = result.astype(np.float32)
        return jax.numpy.asarray(result)
    return result


def as_images(x: Any) -> Images:
    """Check that ``x`` is an image or a batch of them and bring it to the form that backends take.

    Raises:
        DTypeError: not one of ``IMAGE_DTYPES``.
        ShapeError: fewer than two axes, an empty axis, or three or more axes with 3 or 4 in the last.
    """
    kind: Kind = "numpy" if type(x) is np.ndarray else kind_of(x)
    array = x if type(x) is np.ndarray else to_host(x, kind)
    if array.dtype not in _ALLOWED:
        if array.dtype.newbyteorder("=") not in _ALLOWED:
            raise DTypeError(f"image of dtype {array.dtype}: {', '.join(IMAGE_DTYPES)} are allowed; {_HINT}")
        array = array.astype(array.dtype.newbyteorder("="))
    shape = array.shape
    check_shape(shape)
    if not array.flags.c_contiguous:
        array = np.ascontiguousarray(array)
    return Images(array.reshape(-1, *shape[-2:]), shape, kind)


def check_shape(shape: tuple[int, ...]) -> None:
    """Refuse what is no image or batch of images, and what may be a colour image."""
    if len(shape) < 2:
        raise ShapeError(f"array of shape {shape}: an image (H, W) or a batch (..., H, W) is allowed")
    if 0 in shape:
        raise ShapeError(f"array of shape {shape} is empty: every axis must have at least one element")
    if len(shape) > 2 and shape[-1] in (3, 4):
        raise ShapeError(
            f"array of shape {shape} is ambiguous: colour in the last axis, or images {shape[-1]} pixels wide? "
            "Colour: convert to gray, or move the channels forward with np.moveaxis(x, -1, 0) to treat each as an "
            "image. Narrow images: pass them one by one"
        )


def overlaps(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Whether two arrays may share memory (by their bounds: cheap, never wrongly False)."""
    return np.may_share_memory(a, b)


def host_out(out: Any) -> NDArray[Any]:
    """A writable NumPy view of the caller's ``out=``."""
    if type(out) is np.ndarray and out.flags.writeable:
        return out
    kind = kind_of(out)
    if kind == "jax":
        raise ArgumentError("out= is a JAX array, which can't be written to: leave out= away")
    if not isinstance(out, np.ndarray) and kind == "numpy":
        raise ArgumentError(f"out= is a {type(out).__name__}: an array is allowed")
    view = to_host(out, kind)
    if not view.flags.writeable:
        raise ArgumentError("out= is read-only: a writable array is allowed")
    return view
