"""Keras files both ways, against real Keras 3; older layouts; all others are refused, with the layers found."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import h5py
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ctfast.errors import ArgumentError, FileFormatError
from ctfast.model import ModelConfig, Sequential4, load_keras, save_keras
from ctfast.model.exchange._keras_config import architecture_json

CONFIG = ModelConfig(image_size=(30, 26), widths=(4, 5), dense=7, classes=3)
ENDINGS = (".keras", ".h5", ".weights.h5")


@pytest.fixture(scope="module")
def keras() -> Any:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    return pytest.importorskip("keras", reason="Keras is not installed: its files were checked against nothing")


def keras_twin(keras: Any, *, dropout: bool = False, **changes: Any) -> Any:
    layers = keras.layers
    k = {"padding": "valid", "pool": 2, "activation": "relu", "last": "softmax", **changes}
    stack = [keras.Input((*CONFIG.image_size, 3))]
    for width in CONFIG.widths:
        stack += [
            layers.Conv2D(width, 3, padding=k["padding"], activation=k["activation"]),
            layers.MaxPooling2D(k["pool"]),
        ]
    stack += [layers.Flatten(), layers.Dense(CONFIG.dense, activation="relu")]
    stack += [layers.Dropout(0.5)] if dropout else []
    model = keras.Sequential([*stack, layers.Dense(CONFIG.classes, activation=k["last"])])
    rng = np.random.default_rng(1)  # biases other than zero, or a lost one would not be seen
    model.set_weights([w if w.ndim > 1 else rng.normal(0, 0.1, w.shape) for w in model.get_weights()])
    return model


def save(model: Any, path: Path) -> Path:
    (model.save_weights if path.name.endswith(".weights.h5") else model.save)(str(path))
    return path


def weights_alone(alone: bool) -> AbstractContextManager:
    """Files of weights alone say nothing of activations and padding, which is told."""
    return pytest.warns(UserWarning, match="activation functions and padding") if alone else nullcontext()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Keras' own, inside NumPy and h5py
@pytest.mark.parametrize(("changes", "size"), [({"activation": "tanh"}, 22), ({"padding": "same"}, 24)])
def test_weights_of_another_network_that_fit_are_not_taken_in_silence(
    keras: Any, tmp_path: Path, changes: dict[str, str], size: int
) -> None:
    layers, padding = keras.layers, changes.get("padding", "valid")
    stack = [keras.Input((22, 22, 3)), layers.Conv2D(4, 3, activation="relu", padding=padding), layers.MaxPooling2D(2)]
    stack += [layers.Flatten(), layers.Dense(8, activation=changes.get("activation", "relu")), layers.Dense(2)]
    path = save(keras.Sequential(stack), tmp_path / "m.weights.h5")
    with weights_alone(True):
        assert load_keras(path, image_size=(size, size)).config.widths == (4,)


@pytest.fixture
def x(rng: np.random.Generator) -> np.ndarray:
    return rng.random((3, *CONFIG.image_size, 3), dtype=np.float32)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Keras' own, inside NumPy and h5py
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("dropout", [False, True])
def test_a_keras_model_is_read(keras: Any, x: np.ndarray, tmp_path: Path, ending: str, dropout: bool) -> None:
    twin = keras_twin(keras, dropout=dropout)
    with weights_alone(ending == ".weights.h5"):
        model = load_keras(save(twin, tmp_path / f"m{ending}"), image_size=CONFIG.image_size)
    assert model.config == CONFIG
    np.testing.assert_allclose(model.probabilities(jnp.asarray(x)), np.asarray(twin(x)), atol=1e-6)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Keras' own, inside NumPy and h5py
@pytest.mark.parametrize("ending", ENDINGS)
def test_keras_reads_what_is_written(keras: Any, x: np.ndarray, tmp_path: Path, ending: str) -> None:
    model = Sequential4(CONFIG, rngs=nnx.Rngs(4))
    model.dense.bias[...] = jnp.linspace(-0.2, 0.3, CONFIG.dense)
    path = save_keras(model, tmp_path / f"m{ending}")
    if ending == ".weights.h5":
        twin = keras_twin(keras)
        twin.load_weights(str(path))
    else:
        twin = keras.models.load_model(str(path))
        assert twin.name == "sequential_4"
    np.testing.assert_allclose(np.asarray(twin(x)), model.probabilities(jnp.asarray(x)), atol=1e-6)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def old_file(path: Path, model: Sequential4, *, whole: bool) -> Path:
    """As Keras 2 wrote it: names end in ``:0``, input shape in the first layer, bytes in attributes."""
    with h5py.File(path, "w") as h5:
        root = h5
        if whole:
            data = architecture_json(model.config)
            layers = data["config"]["layers"]
            shape = layers.pop(0)["config"]["batch_shape"]
            layers[0]["config"]["batch_input_shape"] = shape
            h5.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": data["config"]}).encode()
            root = h5.create_group("model_weights")
        names = [row.name for row in model.summary()]
        root.attrs["layer_names"] = [n.encode() for n in names]
        for name in names:
            group = root.create_group(name)
            parts = ("kernel", "bias") if name in model.layer_names else ()
            group.attrs["weight_names"] = [f"{name}/{part}:0".encode() for part in parts]
            for part in parts:
                group[f"{name}/{part}:0"] = np.asarray(getattr(model.layer(name), part)[...])
    return path


@pytest.mark.parametrize("whole", [True, False])
def test_files_of_keras_2(tmp_path: Path, x: np.ndarray, whole: bool) -> None:
    model = Sequential4(CONFIG, rngs=nnx.Rngs(9))
    with weights_alone(not whole):
        found = load_keras(old_file(tmp_path / "old.h5", model, whole=whole), image_size=CONFIG.image_size)
    np.testing.assert_array_equal(found(jnp.asarray(x)), model(jnp.asarray(x)))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Keras' own, inside NumPy and h5py
@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"padding": "same"}, "conv2d.* has padding='same'"),
        ({"pool": 3}, "pool_size"),
        ({"activation": "elu"}, "activation='elu'"),
        ({"last": "sigmoid"}, "activation='sigmoid'"),
    ],
)
@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_other_settings_are_refused(keras: Any, tmp_path: Path, changes: dict, told: str, ending: str) -> None:
    if changes.get("padding") == "same" and ending == ".h5":
        changes = {"padding": "same", "pool": 2}
    path = save(keras_twin(keras, **changes), tmp_path / f"m{ending}")
    with pytest.raises(FileFormatError, match=told) as error:
        load_keras(path)
    assert "Conv2D, MaxPooling2D, Conv2D" in str(error.value)
    assert path.name in str(error.value)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Keras' own, inside NumPy and h5py
@pytest.mark.parametrize("ending", ENDINGS)
def test_another_architecture_is_refused(keras: Any, tmp_path: Path, ending: str) -> None:
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.BatchNormalization(), layers.Flatten()]
    )
    with pytest.raises(FileFormatError, match=r"(?i)batch_?normalization"):
        load_keras(save(model, tmp_path / f"m{ending}"))


def test_weights_alone_need_the_right_size(tmp_path: Path) -> None:
    path = save_keras(Sequential4(CONFIG), tmp_path / "m.weights.h5")
    with pytest.raises(FileFormatError, match="image_size="):
        load_keras(path)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    model = Sequential4(CONFIG)
    for ending in ENDINGS:
        path = save_keras(model, tmp_path / f"m{ending}")
        whole = path.read_bytes()
        for size in (0, 3, 100, len(whole) // 2):
            path.write_bytes(whole[:size])
            with pytest.raises(FileFormatError, match=f"m{ending}"):
                load_keras(path)
    with pytest.raises(FileNotFoundError):
        load_keras(tmp_path / "none.keras")


def test_weights_that_are_not_numbers(tmp_path: Path) -> None:
    model = Sequential4(CONFIG)
    model.dense.bias[...] = jnp.full(CONFIG.dense, jnp.nan)
    with pytest.raises(FileFormatError, match="bias of dense holds NaN"):
        load_keras(save_keras(model, tmp_path / "m.keras"))


def test_an_archive_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(FileFormatError, match=r"no model.weights.h5"):
        load_keras(path)
    good = save_keras(Sequential4(CONFIG), tmp_path / "good.keras")
    shutil.copy(good, path)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("config.json", '{"class_name": "Sequential", "config": {"layers": 3}}')
    with pytest.raises(FileFormatError, match="no layers"):
        load_keras(path)


def test_other_endings_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"\.keras, \.h5"):
        save_keras(Sequential4(CONFIG), tmp_path / "m.pkl")
