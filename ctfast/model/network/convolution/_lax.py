"""The fast path in JAX alone, for CPUs where compiled calls can't be had.

What makes plain JAX slow on CPU is XLA's convolution for the kernel's gradient (nine shifted ``dot_general`` instead),
select-and-scatter for the maximum (the place of each maximum is kept instead) and temporaries of a whole batch (image
by image, they stay in cache). With few channels the convolution itself is one fused element-wise loop.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from ctfast.model.network.convolution._assembly import assemble
from ctfast.model.network.convolution._varying import varying_like

_FEW_CHANNELS = 4
_DIMENSIONS = ("NHWC", "HWIO", "NHWC")
_DEAD = 4


def _convolved(x: jax.Array, kernel: jax.Array, padding: str | list[tuple[int, int]] = "VALID") -> jax.Array:
    return lax.conv_general_dilated(x[None], kernel, (1, 1), padding, dimension_numbers=_DIMENSIONS)[0]


def _corners(y: jax.Array, high: int, wide: int) -> list[jax.Array]:
    """The four values of each window."""
    return [y[r : r + 2 * high - 1 : 2, q : q + 2 * wide - 1 : 2] for r in (0, 1) for q in (0, 1)]


def _shifted(x: jax.Array, high: int, wide: int) -> list[jax.Array]:
    """The nine inputs of each output."""
    return [x[dy : dy + high, dx : dx + wide] for dy in range(3) for dx in range(3)]


def _windows(x: jax.Array, kernel: jax.Array) -> list[jax.Array]:
    """Convolution outputs of one image, ``(H, W, C)``, by place in the window."""
    high, wide = (x.shape[0] - 2) // 2, (x.shape[1] - 2) // 2
    if x.shape[2] > _FEW_CHANNELS:
        return _corners(_convolved(x, kernel), high, wide)
    taps = kernel.reshape(9, x.shape[2], -1)
    inputs = [_corners(part, high, wide) for part in _shifted(x, 2 * high, 2 * wide)]
    return [
        sum(
            (inputs[t][k][:, :, c, None] * taps[t, c][None, None] for t in range(9) for c in range(x.shape[2])),
            start=jnp.zeros((), x.dtype),
        )
        for k in range(4)
    ]


def _most(windows: list[jax.Array]) -> jax.Array:
    return jnp.maximum(jnp.maximum(windows[0], windows[1]), jnp.maximum(windows[2], windows[3]))


def _spread(places: jax.Array, gradient: jax.Array) -> jax.Array:
    """Gradient of the convolution's outputs (those that have a window) of one image."""
    high, wide, f = gradient.shape
    parts = [jnp.where(places == k, gradient, 0) for k in range(4)]
    rows = [jnp.stack(parts[2 * r : 2 * r + 2], axis=2) for r in (0, 1)]
    return jnp.stack(rows, axis=1).reshape(2 * high, 2 * wide, f)


class _ImageByImage:
    """The three functions as loops over images."""

    def forward(self, x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
        return lax.map(lambda image: jax.nn.relu(_most(_windows(image, kernel)) + bias[None, None]), x)

    def forward_with_places(self, x: jax.Array, kernel: jax.Array, bias: jax.Array) -> tuple[jax.Array, jax.Array]:
        def one(image: jax.Array) -> tuple[jax.Array, jax.Array]:
            windows = _windows(image, kernel)
            most = _most(windows)
            place = jnp.full(most.shape, 3, jnp.uint8)
            for k in (2, 1, 0):
                place = jnp.where(windows[k] == most, jnp.uint8(k), place)
            out = jax.nn.relu(most + bias[None, None])
            return out, jnp.where(out > 0, place, jnp.uint8(_DEAD))

        out, places = lax.map(one, x)
        return out, places

    def input_gradient(
        self, places: jax.Array, gradient: jax.Array, kernel: jax.Array, height: int, width: int
    ) -> jax.Array:
        turned = kernel[::-1, ::-1].transpose(0, 1, 3, 2)
        high, wide = gradient.shape[1:3]
        padding = [(2, height - 2 * high), (2, width - 2 * wide)]

        def one(part: tuple[jax.Array, jax.Array]) -> jax.Array:
            return _convolved(_spread(*part), turned, padding)

        return lax.map(one, (places, gradient))

    def weight_gradient(self, x: jax.Array, places: jax.Array, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
        channels, f = x.shape[3], gradient.shape[3]
        high, wide = 2 * gradient.shape[1], 2 * gradient.shape[2]

        def add(sums: tuple[jax.Array, jax.Array], part: tuple[jax.Array, ...]) -> tuple[tuple[jax.Array, ...], None]:
            image, place, g = part
            outputs = _spread(place, g).reshape(-1, f)
            inputs = [s.reshape(-1, channels) for s in _shifted(image, high, wide)]
            if channels > _FEW_CHANNELS:
                taps = jnp.stack([lax.dot_general(s, outputs, (((0,), (0,)), ((), ()))) for s in inputs])
            else:
                taps = jnp.stack([s.T for s in inputs]).reshape(-1, high * wide) @ outputs
            return (sums[0] + taps.reshape(3, 3, channels, f), sums[1] + outputs.sum(0)), None

        shapes = (3, 3, channels, f), (f,)
        zero = tuple(varying_like(jnp.zeros(shape, x.dtype), x, gradient) for shape in shapes)
        (kernel, bias), _ = lax.scan(add, zero, (x, places, gradient))
        return kernel, bias


conv_relu_pool = assemble(_ImageByImage())
