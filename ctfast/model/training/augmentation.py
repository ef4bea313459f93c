"""Random changes of training images, inside ``jax.jit``: each image draws from a key of its own.

The key comes from the seed, the epoch and the image's number, so that an image is changed alike whatever batch, device
or accumulated part it lands in. What happens is drawn first (``draw``) and done second (``apply``), so that each can be
tested against NumPy and SciPy.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import jax
import jax.numpy as jnp

from ctfast.model.config import Augmentation

FILL: Final = 0.0
"""What lies outside of an image: the lower end of the window."""


class Draw(NamedTuple):
    """What happens to one image."""

    flip_rows: jax.Array
    flip_columns: jax.Array
    quarter_turns: jax.Array
    """0 to 3, counter-clockwise as in ``numpy.rot90``."""
    angle: jax.Array
    """Radians, clockwise as shown with the first row on top."""
    shift: jax.Array
    """``(2,)``: rows and columns that the content moves by."""
    factor: jax.Array
    offset: jax.Array
    noise: jax.Array
    """Standard deviation."""
    noise_key: jax.Array


def image_keys(seed: int | jax.Array, epoch: int | jax.Array, numbers: jax.Array) -> jax.Array:
    """One key an image, ``(N,)``."""
    base = jax.random.fold_in(jax.random.key(seed), epoch)
    return jax.vmap(lambda number: jax.random.fold_in(base, number))(numbers)


def augment(images: jax.Array, keys: jax.Array, settings: Augmentation) -> jax.Array:
    """Images ``(N, H, W)`` or ``(N, H, W, C)``, values 0 to 1, each changed by its own key; values stay 0 to 1."""
    if not settings.active:
        return images
    return jax.vmap(lambda image, key: apply(image, draw(key, settings, image.shape[:2]), settings))(images, keys)


def draw(key: jax.Array, settings: Augmentation, size: tuple[int, int]) -> Draw:
    """What happens to the image of this key.

    All of it comes from one call for uniform numbers: nine calls took three times as long to compile.
    """
    u = jax.random.uniform(key, (9,))
    signed = 2.0 * u - 1.0
    return Draw(
        flip_rows=(u[0] < 0.5) & settings.flip_vertical,
        flip_columns=(u[1] < 0.5) & settings.flip_horizontal,
        quarter_turns=(u[2] * 4).astype(jnp.int32) * settings.rot90,
        angle=jnp.deg2rad(signed[3] * settings.rotation),
        shift=signed[4:6] * jnp.array(size, jnp.float32) * settings.shift,
        factor=1.0 + signed[6] * settings.contrast,
        offset=signed[7] * settings.brightness,
        noise=u[8] * settings.noise,
        noise_key=jax.random.fold_in(key, 1),
    )


def apply(image: jax.Array, drawn: Draw, settings: Augmentation) -> jax.Array:
    """One image ``(H, W)`` or ``(H, W, C)`` changed; ``settings`` only says what can be left out at compile time."""
    if settings.flip_vertical:
        image = jnp.where(drawn.flip_rows, image[::-1], image)
    if settings.flip_horizontal:
        image = jnp.where(drawn.flip_columns, image[:, ::-1], image)
    if settings.rot90:
        image = _quarter_turned(image, drawn.quarter_turns)
    if settings.moves:
        image = turned(image, drawn.angle, drawn.shift)
    if settings.contrast > 0 or settings.brightness > 0:
        image = image * drawn.factor + drawn.offset
    if settings.noise > 0:
        image = image + drawn.noise * jax.random.normal(drawn.noise_key, image.shape, image.dtype)
    return jnp.clip(image, 0.0, 1.0)


def _quarter_turned(image: jax.Array, turns: jax.Array) -> jax.Array:
    """``numpy.rot90`` by a number that is known at run time only; all four are permutations, so values stay exact."""
    half = jnp.where(turns >= 2, image[::-1, ::-1], image)
    return jnp.where(turns % 2 == 1, jnp.rot90(half), half)


def turned(image: jax.Array, angle: jax.Array, shift: jax.Array) -> jax.Array:
    """Turned about the centre, then moved; bilinear, ``FILL`` outside.

    The same as ``scipy.ndimage.affine_transform`` with ``order=1, mode="grid-constant"``.
    """
    rows, columns = image.shape[:2]
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    y = jnp.arange(rows, dtype=jnp.float32)[:, None] - (rows - 1) / 2 - shift[0]
    x = jnp.arange(columns, dtype=jnp.float32)[None, :] - (columns - 1) / 2 - shift[1]
    return _bilinear(image, cos * y - sin * x + (rows - 1) / 2, sin * y + cos * x + (columns - 1) / 2)


def _bilinear(image: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
    """Values at places between pixels. One border of ``FILL`` around the image replaces all tests but a clip."""
    rows, columns = image.shape[:2]
    padded = jnp.pad(image, [(1, 2), (1, 2)] + [(0, 0)] * (image.ndim - 2), constant_values=FILL)
    y = jnp.clip(y + 1, 0.0, rows + 1.0)
    x = jnp.clip(x + 1, 0.0, columns + 1.0)
    top, left = jnp.floor(y), jnp.floor(x)
    down, right = y - top, x - left
    flat = padded.reshape(-1, *image.shape[2:])
    at = top.astype(jnp.int32) * (columns + 3) + left.astype(jnp.int32)
    if image.ndim == 3:
        down, right = down[..., None], right[..., None]

    def tap(step: int) -> jax.Array:
        return flat.at[at + step].get(mode="promise_in_bounds")

    above = tap(0) * (1 - right) + tap(1) * right
    below = tap(columns + 3) * (1 - right) + tap(columns + 4) * right
    return above * (1 - down) + below * down
