"""The architecture part of Keras files: their JSON to a ``ModelConfig``, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ctfast.errors import ArgumentError, FileFormatError
from ctfast.model.config import ModelConfig

NAME: Final = "sequential_4"
EXPECTED: Final = (
    "Sequential: blocks of Conv2D (3 x 3, valid, relu) and MaxPooling2D (2 x 2), then Flatten, Dense (relu), "
    "Dense (softmax)"
)
ONLY_THIS: Final = f"only this can be read: {EXPECTED}"
SAVE_AGAIN: Final = "save the model again with Keras"
_HARMLESS: Final = ("InputLayer", "Dropout")
"""Layers that change nothing in prediction."""
_BOTH: Final = {"trainable": True, "dtype": "float32"}


@dataclass(frozen=True)
class Architecture:
    """What the JSON says: the network's shape and the names of the layers with weights, in order."""

    config: ModelConfig
    layer_names: tuple[str, ...]


def read_architecture(data: Any, file: str) -> Architecture:
    """Check that the file holds this architecture.

    Raises:
        FileFormatError: For another one; names its layers and what differs.
    """
    try:
        layers = [(layer["class_name"], layer["config"]) for layer in data["config"]["layers"]]
        kind = data["class_name"]
    except (KeyError, TypeError) as error:
        raise FileFormatError(f"{file}: no Keras model: its configuration has no layers", SAVE_AGAIN) from error
    try:
        if kind != "Sequential":
            raise _Other(f"a {kind} model")
        return _architecture(layers)
    except (_Other, KeyError, TypeError, ValueError) as error:
        names = ", ".join(str(name) for name, _ in layers) or "none"
        why = str(error) if isinstance(error, (_Other, ArgumentError)) else f"unknown settings ({error!r})"
        raise FileFormatError(f"{file}: {why}; its layers: {names}", ONLY_THIS) from error


class _Other(Exception):
    """Another architecture; says what differs."""


def _architecture(layers: list[tuple[str, Any]]) -> Architecture:
    shape = next((s for s in (_input_shape(c) for _, c in layers) if s is not None), None)
    if shape is None:
        raise _Other("the size of its input is not known")
    rest = [(kind, config) for kind, config in layers if kind not in _HARMLESS]
    kinds = [kind for kind, _ in rest]
    blocks = (len(kinds) - 3) // 2
    if blocks < 1 or kinds != ["Conv2D", "MaxPooling2D"] * blocks + ["Flatten", "Dense", "Dense"]:
        raise _Other("another architecture")
    convolutions, poolings, dense = rest[0 : 2 * blocks : 2], rest[1 : 2 * blocks : 2], rest[-2:]
    for _, config in convolutions:
        _expect(config, kernel_size=(3, 3), strides=(1, 1), padding="valid", dilation_rate=(1, 1), groups=1)
        _expect(config, activation="relu", use_bias=True, data_format="channels_last")
    for _, config in poolings:
        _expect(config, pool_size=(2, 2), strides=(2, 2), padding="valid", data_format="channels_last")
    _expect(dense[0][1], activation="relu", use_bias=True)
    _expect(dense[1][1], activation="softmax", use_bias=True)
    config = ModelConfig(
        image_size=(shape[0], shape[1]),
        in_channels=shape[2],
        widths=tuple(int(c["filters"]) for _, c in convolutions),
        dense=int(dense[0][1]["units"]),
        classes=int(dense[1][1]["units"]),
    )
    return Architecture(config, tuple(str(c["name"]) for _, c in [*convolutions, *dense]))


def _expect(config: Mapping[str, Any], **wanted: Any) -> None:
    for name, value in wanted.items():
        if name == "groups" and name not in config:  # Keras before 2.3
            continue
        setting = config[name]
        setting = tuple(setting) if isinstance(setting, list) else setting
        if setting != value:
            raise _Other(f"{config.get('name')} has {name}={setting!r} where {value!r} is needed")


def _input_shape(config: Mapping[str, Any]) -> tuple[int, int, int] | None:
    """``batch_shape`` in Keras 3, ``batch_input_shape`` in Keras 2 (in any first layer)."""
    shape = config.get("batch_shape") or config.get("batch_input_shape")
    if shape is None:
        return None
    if len(shape) != 4 or not all(isinstance(n, int) for n in shape[1:]):
        raise _Other(f"an input of shape {tuple(shape)}")
    return shape[1], shape[2], shape[3]


def architecture_json(config: ModelConfig) -> dict[str, Any]:
    """What Keras 3 rebuilds the model from."""
    rows, columns = config.image_size
    layers = [_layer("InputLayer", "input_layer", batch_shape=[None, rows, columns, config.in_channels])]
    for k, width in enumerate(config.widths):
        end = f"_{k}" if k else ""
        layers.append(
            _layer(
                "Conv2D",
                f"conv2d{end}",
                filters=width,
                kernel_size=[3, 3],
                strides=[1, 1],
                padding="valid",
                data_format="channels_last",
                dilation_rate=[1, 1],
                groups=1,
                activation="relu",
                use_bias=True,
            )
        )
        pool = {"pool_size": [2, 2], "strides": [2, 2], "padding": "valid", "data_format": "channels_last"}
        layers.append(_layer("MaxPooling2D", f"max_pooling2d{end}", **pool))
    layers.append(_layer("Flatten", "flatten", data_format="channels_last"))
    layers.append(_layer("Dense", "dense", units=config.dense, activation="relu", use_bias=True))
    layers.append(_layer("Dense", "dense_1", units=config.classes, activation="softmax", use_bias=True))
    shape = [None, rows, columns, config.in_channels]
    return {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": NAME, **_BOTH, "layers": layers, "build_input_shape": shape},
        "registered_name": None,
        "build_config": {"input_shape": shape},
    }


def _layer(kind: str, name: str, **config: Any) -> dict[str, Any]:
    both = {"dtype": "float32"} if kind == "InputLayer" else _BOTH
    return {
        "module": "keras.layers",
        "class_name": kind,
        "config": {"name": name, **both, **config},
        "registered_name": None,
    }
