"""The network of `bench_cnn.py` in each library: the same weights, the same input, the same Adam.

Libraries are imported by the candidate that needs them: each runs in a process of its own.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from bench.cnn_network import BIASES, KERNELS, LEARNING_RATE, Candidate, Train, Weights
from bench.cnn_peers import onnxruntime_session, openvino_model, torch_network

IMAGE: Final = (256, 256)


def _ctfast_trainer(weights: Weights, path: str) -> Callable[[], Train]:
    """A plain jitted step of the same parts as that of ``ctfast train``."""
    import jax
    import jax.numpy as jnp
    import optax

    from ctfast.model.network.convolution import conv_relu_pool
    from ctfast.model.network.dense import dense
    from ctfast.model.training.optimizer import make_optimizer, update

    def logits(p: Any, x: Any) -> Any:
        for n in "123":
            x = conv_relu_pool(x, p[f"k{n}"], p[f"b{n}"], path=path)
        hidden = jax.nn.relu(dense(x.reshape(x.shape[0], -1), p["d1"], path=path) + p["c1"])
        return hidden @ p["d2"] + p["c2"]

    def loss(p: Any, x: Any, y: Any) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(logits(p, x), y).mean()

    def step(p: Any, slots: Any, x: Any, y: Any) -> Any:
        value, gradient = jax.value_and_grad(loss)(p, x, y)
        return *update(p, slots, gradient, 1.0, LEARNING_RATE, 0.0, path), value

    jitted = jax.jit(step, donate_argnums=(0, 1))

    def trainer() -> Train:
        params = {k: jnp.array(v) for k, v in weights.items()}
        trained = [params, make_optimizer(0.0).init(params)]

        def train(x: np.ndarray, y: np.ndarray) -> float:
            *trained[:], value = jitted(*trained, x, y)
            jax.block_until_ready(trained)
            return float(value)

        return train

    return trainer


def ctfast_path(path: str) -> Callable[[Weights], Candidate]:
    return lambda weights: Candidate(_ctfast_forward(weights, path), _ctfast_trainer(weights, path))


def ctfast_narrow(precision: str) -> Callable[[Weights], Candidate]:
    """``ctfast predict --precision``."""
    return lambda weights: Candidate(_ctfast_forward(weights, "ffi", precision), None)


def _ctfast_forward(weights: Weights, path: str, precision: str = "float32") -> Callable[[np.ndarray], np.ndarray]:
    """As ``ctfast predict`` does it."""
    import jax
    from flax import nnx

    from ctfast.model.config import ModelConfig
    from ctfast.model.network.sequential4 import model_from
    from ctfast.model.prediction.compiled import at_a_time

    names = ("conv2d", "conv2d_1", "conv2d_2", "dense", "dense_1")
    layers = {
        name: {"kernel": weights[kernel], "bias": weights[bias]}
        for name, kernel, bias in zip(names, KERNELS, BIASES, strict=True)
    }
    widths = tuple(weights[f"b{n}"].size for n in "123")

    @functools.cache
    def program(size: tuple[int, int]) -> Callable[[np.ndarray], Any]:
        channels = weights["k1"].shape[2]
        config = ModelConfig(size, channels, widths, weights["c1"].size, weights["c2"].size)
        graph, state = nnx.split(model_from(config, layers, path).with_precision(precision))
        jitted = jax.jit(lambda s, x: nnx.merge(graph, s)(x, at_a_time=at_a_time()))
        return lambda x: jitted(state, x)

    return lambda x: np.asarray(program(x.shape[1:3])(x))


def naive_flax(weights: Weights) -> Candidate:
    """What Flax's own example does, NNX."""
    import jax
    import jax.numpy as jnp
    import optax
    from flax import nnx

    sizes = {k: v.shape for k, v in weights.items()}

    class Network(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.c1, self.c2, self.c3 = (
                nnx.Conv(sizes[k][2], sizes[k][3], (3, 3), padding="VALID", rngs=rngs) for k in ("k1", "k2", "k3")
            )
            self.d1, self.d2 = (nnx.Linear(*sizes[k], rngs=rngs) for k in ("d1", "d2"))

        def __call__(self, x: Any) -> Any:
            for convolution in (self.c1, self.c2, self.c3):
                x = nnx.max_pool(nnx.relu(convolution(x)), (2, 2), (2, 2))
            return self.d2(nnx.relu(self.d1(x.reshape(x.shape[0], -1))))

    def loaded() -> Any:
        network = Network(nnx.Rngs(0))
        for layer, kernel, bias in zip(("c1", "c2", "c3", "d1", "d2"), KERNELS, BIASES, strict=True):
            getattr(network, layer).kernel[...] = jnp.asarray(weights[kernel])
            getattr(network, layer).bias[...] = jnp.asarray(weights[bias])
        return network

    still = loaded()

    @nnx.jit
    def step(network: Any, optimizer: Any, x: Any, y: Any) -> Any:
        def loss(n: Any) -> Any:
            return optax.softmax_cross_entropy_with_integer_labels(n(x), y).mean()

        value, gradient = nnx.value_and_grad(loss)(network)
        optimizer.update(network, gradient)
        return value

    def trainer() -> Train:
        network = loaded()
        optimizer = nnx.Optimizer(network, optax.adam(LEARNING_RATE), wrt=nnx.Param)

        def train(x: np.ndarray, y: np.ndarray) -> float:
            value = step(network, optimizer, x, y)
            jax.block_until_ready(nnx.state(network))
            return float(value)

        return train

    forward = nnx.jit(lambda network, x: network(x))
    return Candidate(lambda x: np.asarray(forward(still, x)), trainer)


def keras_on(backend: str) -> Callable[[Weights], Candidate]:
    def build(weights: Weights) -> Candidate:
        os.environ["KERAS_BACKEND"] = backend
        import keras

        def network() -> Any:
            layers = keras.layers
            shape = (*IMAGE, weights["k1"].shape[2])
            blocks = [
                layer
                for n in "123"
                for layer in (
                    layers.Conv2D(weights[f"b{n}"].size, 3, activation="relu"),
                    layers.MaxPooling2D(2),
                )
            ]
            head = [
                layers.Flatten(),
                layers.Dense(weights["c1"].size, activation="relu"),
                layers.Dense(weights["c2"].size),
            ]
            model = keras.Sequential([keras.Input(shape), *blocks, *head])
            model.set_weights([weights[k] for pair in zip(KERNELS, BIASES, strict=True) for k in pair])
            return model

        def trainer() -> Train:
            model = network()
            # Keras adds epsilon before its correction for the first steps: this one makes the first update the others'
            # (epsilon 1e-8). With its default, weights of tiny gradients part at once.
            adam = keras.optimizers.Adam(LEARNING_RATE, epsilon=1e-8 * (1 - 0.999) ** 0.5)
            model.compile(adam, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
            return lambda x, y: float(model.train_on_batch(x, y))

        still = network()
        if backend == "tensorflow":
            import tensorflow as tf

            call = tf.function(lambda x: still(x, training=False), reduce_retracing=True)
            return Candidate(lambda x: call(tf.constant(x)).numpy(), trainer)
        import jax

        values = [v.value for v in still.trainable_variables]
        jitted = jax.jit(lambda p, x: still.stateless_call(p, [], x)[0])
        return Candidate(lambda x: np.asarray(jitted(values, x)), trainer)

    return build


CANDIDATES: Mapping[str, tuple[str, Callable[[Weights], Candidate]]] = {
    "ctfast": ("jax", ctfast_path("ffi")),
    "ctfast lax": ("jax", ctfast_path("lax")),
    "ctfast bfloat16": ("jax", ctfast_narrow("bfloat16")),
    "ctfast int8": ("jax", ctfast_narrow("int8")),
    "flax": ("flax", naive_flax),
    "keras-tensorflow": ("tensorflow", keras_on("tensorflow")),
    "keras-jax": ("keras", keras_on("jax")),
    "torch": ("torch", torch_network(compiled=False)),
    "torch.compile": ("torch", torch_network(compiled=True)),
    "onnxruntime": ("onnxruntime", onnxruntime_session),
    "openvino": ("openvino", openvino_model),
}
"""Name: the module that must be installed, and how it is built."""
