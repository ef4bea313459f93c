"""The network: layer table, initialisation, input forms, sizes."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import ctfast.model
from ctfast.errors import ArgumentError, ShapeError
from ctfast.model.config import Augmentation, ModelConfig, TrainConfig
from ctfast.model.network.sequential4 import Sequential4, empty_weights, model_from, parameter_count, weights_of

SMALL = ModelConfig(image_size=(24, 22), widths=(4, 6), dense=10, classes=3)
WIDER = ModelConfig(image_size=(40, 40), widths=(32, 64), dense=64)

SEED_TABLE = [  # the seed report's, line by line
    ("conv2d", "Conv2D", (254, 254, 32), 896),
    ("max_pooling2d", "MaxPooling2D", (127, 127, 32), 0),
    ("conv2d_1", "Conv2D", (125, 125, 64), 18_496),
    ("max_pooling2d_1", "MaxPooling2D", (62, 62, 64), 0),
    ("conv2d_2", "Conv2D", (60, 60, 128), 73_856),
    ("max_pooling2d_2", "MaxPooling2D", (30, 30, 128), 0),
    ("flatten", "Flatten", (115_200,), 0),
    ("dense", "Dense", (128,), 14_745_728),
    ("dense_1", "Dense", (2,), 258),
]


def test_the_default_is_the_seeds_network() -> None:
    model = nnx.eval_shape(lambda: ctfast.model.Sequential4(rngs=nnx.Rngs(0)))
    found = [(row.name, row.kind, row.output_shape, row.parameters) for row in model.summary()]
    assert found == SEED_TABLE
    assert parameter_count(model) == 14_839_234
    assert sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param))) == 14_839_234


def test_initialisation_is_that_of_keras() -> None:
    model = Sequential4(WIDER, rngs=nnx.Rngs(3))
    for name in model.layer_names:
        kernel, bias = np.asarray(model.layer(name).kernel[...]), np.asarray(model.layer(name).bias[...])
        fan_in, fan_out = kernel[..., 0].size, kernel.size // kernel.shape[-2]
        limit = np.sqrt(6 / (fan_in + fan_out))
        assert np.abs(kernel).max() <= limit, name
        if kernel.size > 1000:
            assert kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.05), name
        assert not bias.any()


def test_equal_keys_give_equal_weights() -> None:
    one, same, other = (weights_of(Sequential4(WIDER, rngs=nnx.Rngs(seed))) for seed in (1, 1, 2))
    jax.tree.map(np.testing.assert_array_equal, one, same)
    assert (np.asarray(one["conv2d"]["kernel"]) != np.asarray(other["conv2d"]["kernel"])).all()


def test_gray_is_rgb_with_equal_channels(rng: np.random.Generator) -> None:
    model = Sequential4(SMALL, path="xla")
    gray = jnp.asarray(rng.random((2, 24, 22)), jnp.float32)
    logits = model(gray)
    assert logits.shape == (2, 3)
    np.testing.assert_array_equal(model(gray[..., None]), logits)
    np.testing.assert_allclose(model(jnp.repeat(gray[..., None], 3, axis=-1)), logits, atol=1e-6)
    np.testing.assert_allclose(model.probabilities(gray).sum(axis=1), 1, atol=1e-6)


def test_the_forward_pass_against_torch(rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed: the network was not compared with torch's")
    model = Sequential4(SMALL, rngs=nnx.Rngs(5), path="xla")
    x = rng.random((2, 24, 22, 3), dtype=np.float32)
    y = torch.tensor(x).permute(0, 3, 1, 2)
    for name in model.block_names:
        layer = model.layer(name)
        kernel = torch.tensor(np.array(layer.kernel[...])).permute(3, 2, 0, 1)
        y = torch.max_pool2d(torch.relu(torch.conv2d(y, kernel, torch.tensor(np.array(layer.bias[...])))), 2)
    y = y.permute(0, 2, 3, 1).reshape(2, -1)
    y = torch.relu(y @ torch.tensor(np.array(model.dense.kernel[...])))
    y = y @ torch.tensor(np.array(model.dense_1.kernel[...]))
    np.testing.assert_allclose(model(jnp.asarray(x)), y.numpy(), atol=1e-6)


def test_another_path_keeps_the_weights(rng: np.random.Generator) -> None:
    model = Sequential4(SMALL)
    other = model.with_path("xla")
    assert (model.path, other.path) == ("auto", "xla")
    x = jnp.asarray(rng.random((1, 24, 22)), jnp.float32)
    np.testing.assert_allclose(model(x), other(x), atol=1e-6)


@pytest.mark.parametrize("path", ["ffi", "lax", "xla"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_few_images_at_a_time_are_the_same(path: str, channels: int, rng: np.random.Generator) -> None:
    model = Sequential4(SMALL, path=path)
    x = jnp.asarray(rng.random((7, 24, 22, channels)), jnp.float32)
    whole = model(x)
    for at_a_time in (1, 3, 7, 8):
        parts = jax.jit(lambda x, n=at_a_time: model(x, at_a_time=n))(x)
        np.testing.assert_allclose(parts, whole, rtol=1e-5, atol=1e-6)


def test_weights_go_out_and_in() -> None:
    model = Sequential4(SMALL, rngs=nnx.Rngs(7), path="xla")
    shapes = jax.tree.map(lambda a: a.shape, empty_weights(SMALL))
    assert shapes == jax.tree.map(lambda a: a.shape, weights_of(model))
    x = jnp.ones((1, 24, 22), jnp.float32)
    np.testing.assert_array_equal(model_from(SMALL, weights_of(model), "xla")(x), model(x))


@pytest.mark.parametrize("shape", [(2, 22, 24), (2, 24, 22, 2), (24, 22), (2, 24, 22, 3, 1)])
def test_other_images_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"\(N, 24, 22\)"):
        Sequential4(SMALL)(jnp.zeros(shape))


def test_one_channel_takes_no_rgb() -> None:
    model = Sequential4(ModelConfig(image_size=(8, 8), in_channels=1, widths=(2,), dense=2))
    with pytest.raises(ShapeError):
        model(jnp.zeros((1, 8, 8, 3)))


@pytest.mark.parametrize(
    ("kind", "settings", "told"),
    [
        (ModelConfig, {"image_size": (20, 20)}, "22 x 22"),
        (ModelConfig, {"image_size": (256,)}, "rows, columns"),
        (ModelConfig, {"widths": ()}, "widths"),
        (ModelConfig, {"classes": 1}, "classes"),
        (ModelConfig, {"in_channels": 2}, "1 or 3"),
        (TrainConfig, {"learning_rate": 0.0}, "above 0"),
        (TrainConfig, {"epochs": 0}, "epochs"),
        (TrainConfig, {"accumulate": 17}, "from 1 to 16"),
        (TrainConfig, {"schedule": "cyclic"}, "constant, cosine"),
        (TrainConfig, {"precision": "float16"}, "bfloat16"),
        (TrainConfig, {"class_weights": "even"}, "balanced"),
        (TrainConfig, {"augmentation": "mild"}, "Augmentation"),
        (Augmentation, {"rotation": -1.0}, "0 to 180"),
        (Augmentation, {"flip_vertical": 1}, "True or False"),
    ],
)
def test_settings_are_checked(kind: type, settings: dict, told: str) -> None:
    with pytest.raises(ArgumentError, match=told):
        kind(**settings)


@pytest.mark.parametrize("made", [SMALL, TrainConfig(augmentation=Augmentation.mild(), class_weights=(1, 2))])
def test_settings_go_through_json(made: ModelConfig | TrainConfig) -> None:
    import json

    assert type(made).from_dict(json.loads(json.dumps(made.to_dict()))) == made
    with pytest.raises(ArgumentError, match="has no depth"):
        type(made).from_dict({"depth": 3})
