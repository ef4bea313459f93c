"""Class-activation maps: which parts of a slice speak for a class.

``hires-cam`` (Draelos and Carin, arXiv 2011.08891): each value of the last block times its own gradient of the class'
logit, summed over channels, negative parts cut. ``grad-cam`` (Selvaraju et al., ICCV 2017): the mean gradient of each
channel instead. This network flattens its last block, so that the same channel counts differently at each position, and
the mean over positions says little: often it is negative for all of them and the map is empty. Hence the default.

A map shows what the network looked at, not what is there. Not a medical device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from ctfast.batch.choices import check_choice
from ctfast.errors import ArgumentError
from ctfast.model.config import EXPLAIN_METHODS

if TYPE_CHECKING:
    from ctfast.model.network.sequential4 import Sequential4


@dataclass(frozen=True, eq=False)
class Activation:
    """The maps of ``class_activation`` for ``N`` images; arrays of NumPy or JAX."""

    logits: jax.Array
    """``(N, classes)``."""
    target: jax.Array
    """``(N,)`` int32: the class that each map explains."""
    maps: jax.Array
    """``(N, h, w)`` float32, 0 and above, not scaled; one cell for each position of the last block. See ``enlarge``."""


def class_activation(
    model: Sequential4,
    x: jax.Array,
    *,
    target: jax.Array | int | None = None,
    method: str = "hires-cam",
    at_a_time: int | None = None,
) -> Activation:
    """Maps of the last block (after its pooling) for a class; works inside ``jax.jit``.

    Args:
        model: The network.
        x: ``(N, H, W)``, ``(N, H, W, 1)`` or ``(N, H, W, 3)``, 0 to 1, as for ``model(x)``.
        target: Class by image, or one for all; default: the predicted class of each.
        method: ``"hires-cam"`` or ``"grad-cam"``.
        at_a_time: As for ``Sequential4.features``.

    Raises:
        ArgumentError: For another method.
        CTFastError: For images that ``model(x)`` refuses.
    """
    check_choice("method", method, EXPLAIN_METHODS, ArgumentError)
    features = model.features(x, at_a_time=at_a_time)
    logits, pull_back = jax.vjp(model.classify, features)
    chosen = logits.argmax(axis=1) if target is None else jnp.broadcast_to(jnp.asarray(target), logits.shape[:1])
    (gradient,) = pull_back(jax.nn.one_hot(chosen, logits.shape[1], dtype=logits.dtype))
    weights = gradient.mean(axis=(1, 2), keepdims=True) if method == "grad-cam" else gradient
    maps = jax.nn.relu((weights * features).sum(axis=-1))
    return Activation(logits, chosen.astype(jnp.int32), maps.astype(jnp.float32))


def enlarge(maps: NDArray[np.float32], size: tuple[int, int], blocks: int) -> NDArray[np.float32]:
    """Maps ``(..., h, w)`` at the size of the network's input, bilinear, each cell at the centre of what it sees.

    A block is a valid 3 x 3 convolution and 2 x 2 pooling: cell ``i`` sees 4 rows of its input, centred on row
    ``2 i + 1.5``. After three blocks that is row ``8 i + 10.5``; stretching the map to the image's edges instead would
    be off by up to 7 pixels. Beyond the outermost centres the outermost cells are repeated.
    """
    down = _interpolation(maps.shape[-2], size[0], blocks)
    across = _interpolation(maps.shape[-1], size[1], blocks)
    return np.asarray(down @ maps @ across.T, np.float32)


def _interpolation(cells: int, pixels: int, blocks: int) -> NDArray[np.float32]:
    """``(pixels, cells)``: the share of each cell in each pixel."""
    stride = 2**blocks
    centres = stride * np.arange(cells) + 1.5 * (stride - 1)
    pixel = np.arange(pixels)
    columns = [np.interp(pixel, centres, np.eye(cells)[k]) for k in range(cells)]
    return np.stack(columns, axis=1).astype(np.float32)
