"""All blocks of the network in one call of the compiled path: what lies between two blocks stays in a core's cache."""

from __future__ import annotations

import functools
from typing import Any

import jax

from ctfast.model.config import pooled_size
from ctfast.model.network.convolution import _ffi
from ctfast.model.network.convolution._assembly import prepared


def _forward(x: jax.Array, *weights: jax.Array) -> jax.Array:
    size = x.shape[1:3]
    for _ in weights[::2]:
        size = pooled_size(*size)
    result = jax.ShapeDtypeStruct((x.shape[0], *size, weights[-1].shape[0]), x.dtype)
    return _ffi.call("features", x.dtype, result, x, *weights)


def _one_by_one(x: jax.Array, *weights: jax.Array) -> jax.Array:
    for kernel, bias in zip(weights[::2], weights[1::2], strict=True):
        x = _ffi.conv_relu_pool(x, kernel, bias)
    return x


@functools.cache
def _of_blocks(count: int) -> Any:
    arguments = [f"i j c{k} c{k + 1}, c{k + 1}" for k in range(count)]
    rule = f"n h w c0, {', '.join(arguments)} -> n p q c{count}"
    together: Any = jax.custom_vjp(prepared(_forward, rule, (True, *(False,) * (2 * count)), (True,)))
    # Gradients need what lies between the blocks.
    together.defvjp(lambda *args: jax.vjp(_one_by_one, *args), lambda pull_back, gradient: pull_back(gradient))
    return together


def blocks_together(x: jax.Array, *weights: jax.Array) -> jax.Array:
    """``x`` through a block for each kernel and bias, which take turns; the bits of one block after another."""
    result: jax.Array = _of_blocks(len(weights) // 2)(x, *weights)
    return result
