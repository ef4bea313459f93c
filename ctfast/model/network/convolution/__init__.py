"""One block of the network: valid 3 x 3 convolution, bias, ReLU, 2 x 2 maximum. Three paths, one result.

``ffi``: compiled micro-kernels called inside ``jax.jit`` (CPU). ``lax``: JAX alone, written for CPUs. ``xla``: XLA's
own convolution and pooling, for GPU and TPU. They agree within the rounding of their dtype; the fast two are
differentiable once, in reverse mode, ``xla`` as often as one likes.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp

from ctfast.batch.choices import check_choice
from ctfast.errors import ArgumentError, BackendUnavailableError, DTypeError, ShapeError
from ctfast.model.config import PATHS
from ctfast.model.network.convolution import _ffi, _lax, _xla
from ctfast.model.network.convolution._together import blocks_together

__all__ = ["blocks_together", "choose_path", "conv_relu_pool", "platform_path", "serves_together", "why_no_ffi"]

_FUNCTIONS = {"ffi": _ffi.conv_relu_pool, "lax": _lax.conv_relu_pool, "xla": _xla.conv_relu_pool}
_COMPUTED_IN_FLOAT32 = ("bfloat16", "float16")


@functools.cache
def why_no_ffi(dtype: str) -> str:
    """Why compiled kernels can't be called here; empty where they can."""
    try:
        _ffi.register(dtype)
    except Exception as error:  # numba missing or broken, an incompatible JAX: all end in the same advice
        return f"the compiled kernels could not be made ready: {type(error).__name__}: {error}"
    return ""


def choose_path(path: str, platform: str, dtype: Any) -> str:
    """The path that serves: ``ffi``, ``lax`` or ``xla``.

    ``platform`` is JAX's name of it (``cpu``, ``gpu``, ``tpu``). A path that is asked for by name and can't be had is a
    ``BackendUnavailableError``; ``auto`` takes the fastest there is.
    """
    check_choice("path", path, PATHS, ArgumentError)
    name = jnp.dtype(dtype).name
    if name not in ("float32", "float64", *_COMPUTED_IN_FLOAT32):
        raise DTypeError(f"images are {name}: float32, float64, bfloat16 and float16 are allowed; convert them first")
    if path in ("lax", "xla"):
        return path
    if platform != "cpu":
        if path == "ffi":
            raise BackendUnavailableError(
                f"path='ffi' runs on the CPU only and JAX uses the {platform}: take path='xla' or 'auto'"
            )
        return "xla"
    reason = why_no_ffi("float32" if name in _COMPUTED_IN_FLOAT32 else name)
    if reason and path == "ffi":
        raise BackendUnavailableError(f"path='ffi': {reason}; path='lax' needs JAX only")
    return "lax" if reason else "ffi"


def platform_path(path: str, dtype: Any) -> str:
    """``choose_path`` for the platform that JAX computes on."""
    device = jax.config.jax_default_device
    return choose_path(path, getattr(device, "platform", None) or jax.default_backend(), dtype)


def serves_together(path: str, dtype: Any) -> bool:
    """Whether ``blocks_together`` computes images of this dtype on this path."""
    return jnp.dtype(dtype).name not in _COMPUTED_IN_FLOAT32 and platform_path(path, dtype) == "ffi"


def conv_relu_pool(x: jax.Array, kernel: jax.Array, bias: jax.Array, *, path: str = "auto") -> jax.Array:
    """``(N, H, W, C)`` images to ``(N, (H-2)//2, (W-2)//2, F)``: convolution, bias, ReLU and maximum.

    ``kernel`` is ``(3, 3, C, F)``, ``bias`` ``(F,)``, all of one dtype: float32, float64, bfloat16 or float16 (on the
    CPU the half-width ones are computed in float32 and rounded once). An odd last row or column of the convolution has
    no window and is dropped, as in Keras' MaxPooling2D. Of equal values the first is the maximum (its gradient).

    ``path``: see ``choose_path``. Works under ``jit``, ``grad``, ``vmap`` and with images spread over devices.
    Raises ShapeError, DTypeError, ArgumentError, BackendUnavailableError.
    """
    _check(x, kernel, bias)
    chosen = platform_path(path, x.dtype)
    if chosen == "xla" or x.dtype.name not in _COMPUTED_IN_FLOAT32:
        return _FUNCTIONS[chosen](x, kernel, bias)
    wider = (a.astype(jnp.float32) for a in (x, kernel, bias))
    return _FUNCTIONS[chosen](*wider).astype(x.dtype)


def _check(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> None:
    shapes = tuple(jnp.shape(a) for a in (x, kernel, bias))
    if len(shapes[0]) != 4 or shapes[0][1] < 4 or shapes[0][2] < 4:
        raise ShapeError(f"x has shape {shapes[0]}: (N, H, W, C) with H and W of at least 4 is needed")
    f = shapes[1][-1] if shapes[1] else 0
    if shapes[1] != (3, 3, shapes[0][3], f) or shapes[2] != (f,):
        raise ShapeError(
            f"kernel has shape {shapes[1]}, bias {shapes[2]}: (3, 3, {shapes[0][3]}, F) and (F,) "
            f"fit x of shape {shapes[0]}"
        )
    if not x.dtype == kernel.dtype == bias.dtype:
        raise DTypeError(f"x is {x.dtype}, kernel {kernel.dtype}, bias {bias.dtype}: one dtype is needed; cast them")
