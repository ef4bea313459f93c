"""The compiled path on CPU: micro-kernels of ``ctkernels``, called by XLA inside jitted programs."""

from __future__ import annotations

import ctypes
import threading
from typing import Any

import jax
import jax.numpy as jnp

from ctfast.model.config import pooled_size
from ctfast.model.network.convolution._assembly import assemble

_lock = threading.Lock()
_registered: set[str] = set()


def register(dtype: str) -> None:
    """Compile (or read from disk) the kernels for ``float32`` or ``float64`` and make them known to XLA, once."""
    if dtype in _registered:
        return
    from ctkernels.cpu import xla

    with _lock:
        if dtype in _registered:
            return
        for name, address in xla.targets(dtype).items():
            capsule = jax.ffi.pycapsule(ctypes.c_void_p(address))
            jax.ffi.register_ffi_target(_target(name, dtype), capsule, platform="cpu")
        _registered.add(dtype)


def _target(name: str, dtype: str) -> str:
    return (
        f"ctfast_{name}_{dtype}" if name.startswith("dense") or name == "adam" else f"ctfast_convolution_{name}_{dtype}"
    )


def call(name: str, dtype: jnp.dtype, results: object, *args: jax.Array, **settings: Any) -> Any:
    """Call a kernel of this name, for arrays of this dtype; ``settings`` are those of ``jax.ffi.ffi_call``."""
    register(dtype.name)
    return jax.ffi.ffi_call(_target(name, dtype.name), results, **settings)(*args)


class _Compiled:
    """The three functions as foreign calls."""

    def _pooled(self, x: jax.Array, kernel: jax.Array, dtype: object) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((x.shape[0], *pooled_size(*x.shape[1:3]), kernel.shape[3]), dtype)

    def forward(self, x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
        return call("forward", x.dtype, self._pooled(x, kernel, x.dtype), x, kernel, bias)

    def forward_with_argmax(self, x: jax.Array, kernel: jax.Array, bias: jax.Array) -> tuple[jax.Array, jax.Array]:
        results = self._pooled(x, kernel, x.dtype), self._pooled(x, kernel, jnp.uint8)
        out, argmax = call("forward", x.dtype, results, x, kernel, bias)
        return out, argmax

    def input_gradient(
        self, argmax: jax.Array, gradient: jax.Array, kernel: jax.Array, height: int, width: int
    ) -> jax.Array:
        result = jax.ShapeDtypeStruct((argmax.shape[0], height, width, kernel.shape[2]), gradient.dtype)
        # The gradient of a convolution is one with the kernel turned by half, input and output channels exchanged.
        turned = kernel[::-1, ::-1].swapaxes(2, 3)
        return call("input_gradient", gradient.dtype, result, turned, argmax, gradient)

    def weight_gradient(self, x: jax.Array, argmax: jax.Array, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
        f = argmax.shape[3]
        results = (jax.ShapeDtypeStruct((3, 3, x.shape[3], f), x.dtype), jax.ShapeDtypeStruct((f,), x.dtype))
        kernel, bias = call("weight_gradient", x.dtype, results, x, argmax, gradient)
        return kernel, bias


conv_relu_pool = assemble(_Compiled())
