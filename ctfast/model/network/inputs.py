"""The one gate before the network: which arrays it takes, in which scale.

Two scales go in, told apart by dtype: floats from 0 to 1 (``Sequential4``, ``class_activation``), and prepared 16-bit
images (``predict_proba`` of runs and exports). Anything else, such as slices in HU, would give probabilities too.
"""

from __future__ import annotations

from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from ctfast.dispatch.arrays import device_of, has_channel, kind_of, to_host
from ctfast.dispatch.forked import refuse_jax_after_fork
from ctfast.dispatch.jax_arrays import to_jax
from ctfast.dispatch.transfer import copied_to_host
from ctfast.errors import ArgumentError, DTypeError, ShapeError

_ROUNDING: Final = 1e-3
"""How far interpolation and low precision may leave 0 to 1."""


def as_unit_images(x: Any, dtype: Any) -> jax.Array:
    """Images of any library with values 0 to 1 as a JAX array of ``dtype``; inside ``jax.jit`` they stay as they are.

    Raises:
        ArgumentError: Values outside of 0 to 1, a masked array, a deleted JAX array.
        BackendUnavailableError: In a child that was forked after JAX was used.
        DTypeError: Anything but floats.
    """
    if isinstance(x, jax.core.Tracer):
        _check_float(x.dtype)
        return x
    refuse_jax_after_fork()
    kind = kind_of(x)
    device_of(x, kind)
    images = to_host(x, kind) if kind == "numpy" else to_jax(x)
    _check_float(images.dtype)
    images = jnp.asarray(images.astype(dtype))
    if images.size:
        low, high = float(jnp.nanmin(images)), float(jnp.nanmax(images))
        if low < -_ROUNDING or high > 1 + _ROUNDING:
            raise ArgumentError(
                f"images with values from {low:g} to {high:g}: 0 to 1 is allowed; slices in HU go through a "
                "Preprocessing, preprocessing(slices) / 65535"
            )
    return images


def _check_float(dtype: Any) -> None:
    if not jnp.issubdtype(dtype, jnp.floating):
        raise DTypeError(
            f"images of dtype {dtype}: floats from 0 to 1 are allowed, which are converted to float32; prepared "
            "uint16 images are x.astype('float32') / 65535"
        )


def as_prepared_images(x: Any, size: tuple[int, int], channels: tuple[int, ...]) -> NDArray[np.uint16]:
    """What a ``Preprocessing`` gave, in any library's array: ``(N, H, W)`` or ``(N, H, W, 3)`` uint16 in memory.

    Args:
        x: Images; gray ones may have their channel last, ``(N, H, W, 1)``.
        size: Rows and columns that the network takes.
        channels: How many it takes: 1, 3 or both.

    Raises:
        ArgumentError: A masked array, or a deleted JAX array.
        BackendUnavailableError: In a child that was forked after JAX was used.
        DTypeError: Another dtype: bytes, floats and HU are not in the scale of the network.
        ShapeError: Another shape.
    """
    refuse_jax_after_fork()
    kind = kind_of(x)
    images = to_host(x, kind) if device_of(x, kind) is None else copied_to_host(x, kind)
    if images.dtype.newbyteorder("=") != np.uint16:
        raise DTypeError(
            f"images of dtype {images.dtype}: prepared uint16 images are allowed, which .preprocessing(slices) of this "
            "model makes of slices in HU; images of 0 to 1 go to model.probabilities"
        )
    if images.ndim == 4 and has_channel(images.shape):
        images = images[..., 0]
    if images.shape[1:] not in {size if n == 1 else (*size, n) for n in channels}:
        allowed = " or ".join(f"(N, {size[0]}, {size[1]}{'' if n == 1 else f', {n}'})" for n in channels)
        raise ShapeError(f"images of shape {images.shape}: {allowed} is allowed")
    return images.astype(np.uint16, copy=False)
