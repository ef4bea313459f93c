"""The product of a dense layer, whose weights may be narrower than its sums."""

from __future__ import annotations

from typing import Any, Final

import jax
import jax.numpy as jnp

from ctfast.model.network.convolution import _ffi, platform_path
from ctfast.model.network.convolution._assembly import prepared

_OUTPUTS: Final = 32
"""Outputs of the compiled kernel are a multiple of this: two of the widest registers."""

_MOST: Final = 127
"""Of int8, which has one more below zero."""


def _forward(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return _ffi.call("dense", x.dtype, jax.ShapeDtypeStruct((x.shape[0], kernel.shape[1]), x.dtype), x, kernel)


_compiled: Any = jax.custom_vjp(prepared(_forward, "n k, k m -> n m", (True, False), (True,)))


def _input_gradient(kernel: jax.Array, gradient: jax.Array) -> jax.Array:
    result = jax.ShapeDtypeStruct((gradient.shape[0], kernel.shape[0]), kernel.dtype)
    return _ffi.call("dense_input_gradient", kernel.dtype, result, kernel, gradient)


def _weight_gradient(x: jax.Array, gradient: jax.Array) -> jax.Array:
    result = jax.ShapeDtypeStruct((x.shape[1], gradient.shape[1]), x.dtype)
    return _ffi.call("dense_weight_gradient", x.dtype, result, x, gradient)


# XLA transposes the inputs in memory first, and one thread makes the gradient of the weights.
_to_inputs: Any = prepared(_input_gradient, "k m, n m -> n k", (False, True), (True,))
_to_weights: Any = prepared(_weight_gradient, "n k, n m -> k m", (True, True), (False,))


def _kept(x: jax.Array, kernel: jax.Array) -> Any:
    return _compiled(x, kernel), (x, kernel)


def _backward(kept: Any, gradient: jax.Array) -> Any:
    x, kernel = kept
    # Whole numbers have no gradient, which JAX takes None for.
    whole = jnp.issubdtype(kernel.dtype, jnp.integer)
    of_kernel = None if whole else _to_weights(x, gradient).astype(kernel.dtype)
    return _to_inputs(kernel.astype(x.dtype), gradient), of_kernel


_compiled.defvjp(_kept, _backward)


def as_bytes(kernel: jax.Array) -> tuple[jax.Array, jax.Array]:
    """``kernel`` as int8, and what each of its columns is to be multiplied with.

    The largest weight of a column becomes 127, so that each is rounded by at most a 254th of it.
    """
    scale = jnp.abs(kernel).max(axis=0) / _MOST
    return jnp.round(kernel / jnp.where(scale > 0, scale, 1)).astype(jnp.int8), scale


def dense(x: jax.Array, kernel: jax.Array, *, path: str = "auto") -> jax.Array:
    """``x @ kernel`` of ``(N, K)`` and ``(K, M)``, in the dtype of ``x``.

    ``kernel`` may be bfloat16 or int8 beside float32 ``x``: then it is widened as it is read, and sums stay float32. On
    the ``ffi`` path (``convolution.choose_path``) by compiled kernels, with bits that do not depend on the batch.
    """
    if x.dtype.name not in ("float32", "float64") or platform_path(path, x.dtype) != "ffi":
        return x @ kernel.astype(x.dtype)
    outputs = kernel.shape[1]
    if missing := -outputs % _OUTPUTS:  # XLA's own product of few columns sums in another order for other batches
        kernel = jnp.pad(kernel, ((0, 0), (0, missing)))
    return _compiled(x, kernel)[:, :outputs]
