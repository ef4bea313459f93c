"""The fast path in JAX alone, for CPUs where compiled calls can't be had.

What makes plain JAX slow on CPU is XLA's convolution for the kernel's gradient (``dot_general`` of shifted images
instead), select-and-scatter for the maximum (its argmax is kept instead) and temporaries of a whole batch (image by
image, they stay in cache). Where no gradient is wanted, XLA's convolution is fast if the maximum comes right after it:
bias and ReLU after the maximum give the same bits, because both are monotonic.

Windows are 2 x 2; a value's position in its window is 0 to 3, row by row.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ctfast.embed._jax_varying import varying_like
from ctfast.model.config import pooled_size
from ctfast.model.network.convolution._assembly import assemble

_FEW_CHANNELS = 4
"""Up to so many, a matrix product or XLA's convolution is too thin to pay: shifted images are multiplied instead."""
_DIMENSIONS = ("NHWC", "HWIO", "NHWC")
_DEAD = 4
"""The argmax of a window whose maximum the ReLU has cut: no position, so that no gradient passes."""


def _convolved(x: jax.Array, kernel: jax.Array, padding: str | list[tuple[int, int]] = "VALID") -> jax.Array:
    return lax.conv_general_dilated(x[None], kernel, (1, 1), padding, dimension_numbers=_DIMENSIONS)[0]


def _corners(y: jax.Array, high: int, wide: int) -> list[jax.Array]:
    """The four values of each window, by position."""
    return [y[r : r + 2 * high - 1 : 2, q : q + 2 * wide - 1 : 2] for r in (0, 1) for q in (0, 1)]


def _shifted(x: jax.Array, high: int, wide: int) -> list[jax.Array]:
    """The nine inputs of each output."""
    return [x[dy : dy + high, dx : dx + wide] for dy in range(3) for dx in range(3)]


def _windows(x: jax.Array, kernel: jax.Array) -> list[jax.Array]:
    """Convolution outputs of one image, ``(H, W, C)``, by position in the window."""
    high, wide = pooled_size(x.shape[0], x.shape[1])
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


def _spread(argmax: jax.Array, gradient: jax.Array) -> jax.Array:
    """Gradient of the convolution's outputs (those that have a window) of one image."""
    high, wide, f = gradient.shape
    # (rows, 1, columns, 1, F) against the positions (2, 2) of a window gives (rows, 2, columns, 2, F), whose reshape is
    # the image; a dead window (4) equals no position.
    codes = jnp.arange(4, dtype=argmax.dtype).reshape(1, 2, 1, 2, 1)
    parts = jnp.where(argmax[:, None, :, None] == codes, gradient[:, None, :, None], 0)
    return parts.reshape(2 * high, 2 * wide, f)


def _taps_by_position(image: jax.Array, argmax: jax.Array, gradient: jax.Array) -> jax.Array:
    """The kernel's gradient, ``(9 C, F)``: for each position in the window, its inputs against the gradient there."""
    high, wide, f = gradient.shape
    inputs = [_corners(part, high, wide) for part in _shifted(image, 2 * high, 2 * wide)]
    total = jnp.zeros((), image.dtype)
    # Four products over a quarter of the outputs each: spread out, three quarters of the gradient would be zeros.
    for position in range(4):
        columns = jnp.concatenate([part[position] for part in inputs], axis=-1).reshape(high * wide, -1)
        outputs = jnp.where(argmax == position, gradient, 0).reshape(-1, f)
        total = total + lax.dot_general(outputs, columns, (((0,), (0,)), ((), ())))
    return total.T


class _ImageByImage:
    """The three functions as loops over images."""

    def forward(self, x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
        # Four axes always (``assemble`` folds others): with one more of length 1, jaxlib 0.10.2 computes this wrong.
        y = lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=_DIMENSIONS)
        window = (1, 2, 2, 1)
        most = lax.reduce_window(y, np.array(-np.inf, y.dtype), lax.max, window, window, "VALID")
        return jax.nn.relu(most + bias[None, None, None])

    def forward_with_argmax(self, x: jax.Array, kernel: jax.Array, bias: jax.Array) -> tuple[jax.Array, jax.Array]:
        def one(image: jax.Array) -> tuple[jax.Array, jax.Array]:
            windows = _windows(image, kernel)
            most = _most(windows)
            position = jnp.full(most.shape, 3, jnp.uint8)
            for k in (2, 1, 0):  # from the last to the first, which wins among equals
                position = jnp.where(windows[k] == most, jnp.uint8(k), position)
            out = jax.nn.relu(most + bias[None, None])
            return out, jnp.where(out > 0, position, jnp.uint8(_DEAD))

        out, argmax = lax.map(one, x)
        return out, argmax

    def input_gradient(
        self, argmax: jax.Array, gradient: jax.Array, kernel: jax.Array, height: int, width: int
    ) -> jax.Array:
        # The gradient of a valid convolution: the full one, with the kernel turned and its channels exchanged. That
        # pads by 2 on each side, and by more where an odd last row or column of outputs was dropped.
        turned = kernel[::-1, ::-1].transpose(0, 1, 3, 2)
        high, wide = gradient.shape[1:3]
        padding = [(2, height - 2 * high), (2, width - 2 * wide)]

        def one(part: tuple[jax.Array, jax.Array]) -> jax.Array:
            return _convolved(_spread(*part), turned, padding)

        return lax.map(one, (argmax, gradient))

    def weight_gradient(self, x: jax.Array, argmax: jax.Array, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
        channels, f = x.shape[3], gradient.shape[3]
        high, wide = 2 * gradient.shape[1], 2 * gradient.shape[2]

        def add(sums: tuple[jax.Array, jax.Array], part: tuple[jax.Array, ...]) -> tuple[tuple[jax.Array, ...], None]:
            image, position, g = part
            if channels <= _FEW_CHANNELS:
                outputs = _spread(position, g).reshape(-1, f)
                inputs = [s.reshape(-1, channels) for s in _shifted(image, high, wide)]
                taps = jnp.stack([s.T for s in inputs]).reshape(-1, high * wide) @ outputs
            else:
                taps = _taps_by_position(image, position, g)
            alive = jnp.where(position < _DEAD, g, 0).sum((0, 1))
            return (sums[0] + taps.reshape(3, 3, channels, f), sums[1] + alive), None

        # A scan, because the sums over images must not keep the taps of every image.
        shapes = (3, 3, channels, f), (f,)
        zero = tuple(varying_like(jnp.zeros(shape, x.dtype), x, gradient) for shape in shapes)
        (kernel, bias), _ = lax.scan(add, zero, (x, argmax, gradient))
        return kernel, bias


conv_relu_pool = assemble(_ImageByImage())
