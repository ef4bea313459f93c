"""``Sequential4``: the network of the seed report, in Flax NNX, with the layers, names and weights of its Keras twin.

Blocks of valid 3 x 3 convolution, ReLU and 2 x 2 maximum; flatten; a hidden layer with ReLU; logits. Kernels are HWIO,
features are flattened row by row, channels last, as in Keras, so that weights map one to one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import jax
import jax.numpy as jnp
from flax import nnx

from ctfast.errors import ShapeError
from ctfast.model.config import ModelConfig, convolved_size
from ctfast.model.network.convolution import blocks_together, conv_relu_pool, serves_together
from ctfast.model.network.dense import as_bytes, dense
from ctfast.model.network.inputs import as_unit_images

_SIDE: Final = 3
_glorot_uniform = jax.nn.initializers.glorot_uniform()


class Layer(nnx.Module):  # type: ignore[misc] # mypy does not follow flax
    """A kernel and a bias, as every layer with weights has them.

    Glorot uniform (Glorot and Bengio, 2010) and zeros: the initialisation of Keras.
    """

    scale: nnx.Param | None = None
    """What the columns of an int8 kernel are to be multiplied with; see ``Sequential4.with_precision``."""

    def __init__(self, shape: tuple[int, ...], *, rngs: nnx.Rngs) -> None:
        self.kernel = nnx.Param(_glorot_uniform(rngs.params(), shape, jnp.float32))
        self.bias = nnx.Param(jnp.zeros(shape[-1:], jnp.float32))


@dataclass(frozen=True)
class LayerRow:
    """One line of the layer table; shapes without the batch."""

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int


class Sequential4(nnx.Module):  # type: ignore[misc] # mypy does not follow flax
    """The network.

    Args:
        config: Its shape; default: the seed's ``sequential_4``.
        rngs: Random keys for the weights; default ``nnx.Rngs(0)``.
        path: How convolutions are computed; see ``ctfast.model.network.convolution``.

    ``model(x)`` takes images ``(N, H, W)``, ``(N, H, W, 1)`` or ``(N, H, W, 3)``, floats from 0 to 1 in any library's
    array, and returns logits ``(N, classes)``. Gray images are not repeated into three channels: the kernel is summed
    over its input channels instead, which is the same and three times less work in the first layer.
    """

    def __init__(self, config: ModelConfig | None = None, *, rngs: nnx.Rngs | None = None, path: str = "auto") -> None:
        config = config or ModelConfig()
        rngs = rngs if rngs is not None else nnx.Rngs(0)
        self.config = config
        self.path = path
        channels = config.in_channels
        for name, width in zip(self.block_names, config.widths):
            setattr(self, name, Layer((_SIDE, _SIDE, channels, width), rngs=rngs))
            channels = width
        self.dense = Layer((math.prod(config.feature_shape), config.dense), rngs=rngs)
        self.dense_1 = Layer((config.dense, config.classes), rngs=rngs)

    @property
    def block_names(self) -> tuple[str, ...]:
        """Names of the convolutions: ``conv2d``, ``conv2d_1``, ..."""
        return tuple(_numbered("conv2d", k) for k in range(len(self.config.widths)))

    @property
    def layer_names(self) -> tuple[str, ...]:
        """Names of the layers with weights, in order."""
        return (*self.block_names, "dense", "dense_1")

    def layer(self, name: str) -> Layer:
        """The layer of this name (``layer_names``)."""
        layer: Layer = getattr(self, name)
        return layer

    def __call__(self, x: jax.Array, *, at_a_time: int | None = None) -> jax.Array:
        """Logits ``(N, classes)``; ``at_a_time`` as for ``features``.

        Raises:
            ArgumentError, DTypeError: For what is not 0 to 1, see ``as_unit_images``.
            ShapeError: For images of another size or number of channels.
        """
        return self.classify(self.features(x, at_a_time=at_a_time))

    def features(self, x: jax.Array, *, at_a_time: int | None = None) -> jax.Array:
        """``(N, h, w, C)`` after the last block.

        ``at_a_time``, for predictions: so many images go through all blocks before the next ones, so that on a CPU
        what lies between the blocks stays in its cache; the compiled path then takes an image a thread, whatever the
        number. The result is the same.
        """
        x = self._checked(x)
        if x.shape[0] == 0:
            return jnp.zeros((0, *self.config.feature_shape), x.dtype)
        if at_a_time is None:
            return self._blocks(x)
        if serves_together(self.path, x.dtype):
            return blocks_together(x, *itertools.chain(*self._weights(x)))
        if x.shape[0] <= at_a_time:
            return self._blocks(x)
        whole = x.shape[0] // at_a_time * at_a_time
        parts = jax.lax.map(self._blocks, x[:whole].reshape(-1, at_a_time, *x.shape[1:]))
        result = parts.reshape(whole, *parts.shape[2:])
        return result if whole == x.shape[0] else jnp.concatenate([result, self._blocks(x[whole:])])

    def _blocks(self, x: jax.Array) -> jax.Array:
        for kernel, bias in self._weights(x):
            x = conv_relu_pool(x, kernel, bias, path=self.path)
        return x

    def _weights(self, x: jax.Array) -> Iterator[tuple[jax.Array, jax.Array]]:
        """Kernels and biases of the blocks; gray images get the first kernel summed over its input channels."""
        channels = x.shape[-1]
        for name in self.block_names:
            layer = self.layer(name)
            kernel = layer.kernel[...]
            yield kernel.sum(axis=2, keepdims=True) if channels < kernel.shape[2] else kernel, layer.bias[...]
            channels = kernel.shape[3]

    def classify(self, features: jax.Array) -> jax.Array:
        """Logits ``(N, classes)`` of what ``features`` gave."""
        flat = features.reshape(features.shape[0], math.prod(features.shape[1:]))
        product = dense(flat, self.dense.kernel[...], path=self.path)
        if self.dense.scale is not None:
            product *= self.dense.scale[...][None]
        hidden = jax.nn.relu(product + self.dense.bias[...][None])
        return dense(hidden, self.dense_1.kernel[...], path=self.path) + self.dense_1.bias[...][None]

    def probabilities(self, x: jax.Array) -> jax.Array:
        """Softmax of the logits, ``(N, classes)``; takes and refuses what ``model(x)`` does."""
        return jax.nn.softmax(self(x), axis=-1)

    def with_path(self, path: str) -> Self:
        """The same weights with convolutions computed another way."""
        graph, state = nnx.split(self)
        other = nnx.merge(graph, state)
        other.path = path
        return other

    def with_precision(self, precision: str) -> Self:
        """The same weights, those of the hidden layer in ``"bfloat16"`` or ``"int8"``, which are nearly all.

        Sums stay float32: what is rounded is each of these weights, by up to 1 in 512 (bfloat16), or by up to 1 in 254
        of the largest that goes to the same unit (int8). ``"float32"`` changes nothing.
        """
        graph, state = nnx.split(self)
        other = nnx.merge(graph, state)
        if precision == "int8":
            other.dense.kernel, other.dense.scale = map(nnx.Param, as_bytes(self.dense.kernel[...]))
        elif precision != "float32":
            other.dense.kernel = nnx.Param(self.dense.kernel[...].astype(precision))
        return other

    def summary(self) -> tuple[LayerRow, ...]:
        """The layer table: names, kinds, output shapes and numbers of parameters as Keras prints them."""
        rows, size = [], self.config.image_size
        for k, name in enumerate(self.block_names):
            channels, pooled = self.config.widths[k], self.config.block_sizes[k]
            rows.append(LayerRow(name, "Conv2D", (*convolved_size(*size), channels), _size(self.layer(name))))
            rows.append(LayerRow(_numbered("max_pooling2d", k), "MaxPooling2D", (*pooled, channels), 0))
            size = pooled
        rows.append(LayerRow("flatten", "Flatten", (math.prod(self.config.feature_shape),), 0))
        for name in ("dense", "dense_1"):
            layer = self.layer(name)
            rows.append(LayerRow(name, "Dense", tuple(layer.bias.shape), _size(layer)))
        return tuple(rows)

    def _checked(self, x: jax.Array) -> jax.Array:
        x = as_unit_images(x, self.dense.bias[...].dtype)
        if x.ndim == 3:
            x = x[..., None]
        size, most = self.config.image_size, self.config.in_channels
        if x.ndim != 4 or x.shape[1:3] != size or x.shape[3] not in (1, most):
            allowed = f"(N, {size[0]}, {size[1]})" + (f" or (N, {size[0]}, {size[1]}, 3)" if most == 3 else "")
            raise ShapeError(f"images of shape {x.shape}: {allowed} is allowed")
        return x


Weights = Mapping[str, Mapping[str, Any]]
"""Layer name to ``kernel`` and ``bias``."""


def empty_weights(config: ModelConfig) -> dict[str, dict[str, jax.ShapeDtypeStruct]]:
    """Shapes of the weights, without drawing random numbers."""
    return weights_of(nnx.eval_shape(lambda: Sequential4(config)))


def weights_of(model: Sequential4) -> dict[str, dict[str, Any]]:
    """The weights as plain dictionaries of arrays, which ``model_from`` takes."""
    pure: dict[str, dict[str, Any]] = nnx.to_pure_dict(nnx.state(model, nnx.Param))
    return pure


def model_from(config: ModelConfig, weights: Weights, path: str = "auto") -> Sequential4:
    """A model with these weights; no random numbers are drawn on the way."""
    graph, state = nnx.split(nnx.eval_shape(lambda: Sequential4(config, path=path)))
    nnx.replace_by_pure_dict(state, jax.tree.map(jnp.asarray, dict(weights)))
    model: Sequential4 = nnx.merge(graph, state)
    return model


def parameter_count(model: Sequential4) -> int:
    """Number of trainable values."""
    return sum(row.parameters for row in model.summary())


def _numbered(name: str, number: int) -> str:
    """Keras' names: ``conv2d``, ``conv2d_1``, ``conv2d_2``."""
    return name if number == 0 else f"{name}_{number}"


def _size(layer: Layer) -> int:
    return math.prod(layer.kernel.shape) + math.prod(layer.bias.shape)
