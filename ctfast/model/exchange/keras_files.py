"""Keras files of this network, read and written without Keras or TensorFlow: ``.keras``, ``.h5``, ``.weights.h5``."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from ctfast.batch.atomic import write_bytes
from ctfast.batch.parsing import parsed_json
from ctfast.errors import ArgumentError, CTFastError, FileFormatError, missing_extra
from ctfast.model.config import ModelConfig
from ctfast.model.exchange._keras_config import NAME, ONLY_THIS, SAVE_AGAIN, architecture_json, read_architecture
from ctfast.model.exchange._keras_weights import Weights, keras3_names, read_weights, write_by_name, write_keras3
from ctfast.model.network.sequential4 import Sequential4, empty_weights, model_from

try:
    import h5py
except ImportError as missing:
    raise missing_extra("Keras files need h5py", "nn") from missing

_WRITTEN_AS: Final = "3.6.0"
"""The oldest Keras that reads these files; newer ones do as well."""
_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_MOST_JSON: Final = 1 << 24


def load_keras(path: str | Path, *, image_size: tuple[int, int] | None = None) -> Sequential4:
    """A user's ``sequential_4`` (or one of other widths, sizes, classes) from a file of Keras 3 or 2.

    Args:
        path: ``.keras``, ``.h5`` or ``.weights.h5`` (also those that Keras 2 wrote).
        image_size: Rows and columns, needed only for files that hold weights alone and don't fit 256 x 256.

    The probabilities of the result equal those of the Keras model to 1e-6 for the same input. Files of weights alone
    don't tell activation functions and padding: they are taken to be ours, with a warning.

    Raises:
        FileFormatError: If the file is damaged, or holds another architecture; names its layers.
    """
    file = str(path)
    with open(path, "rb") as stream:  # says by itself what is wrong with a missing file
        zipped = stream.read(4).startswith(b"PK")
    try:
        if zipped:
            return _from_archive(file)
        with h5py.File(path, "r") as h5:
            return _from_h5(h5, file, image_size)
    except CTFastError:
        raise
    except Exception as error:  # a damaged HDF5 file or archive raises nearly everything
        raise FileFormatError(f"{file} is no Keras file, or damaged: {error}", SAVE_AGAIN) from error


def _from_archive(file: str) -> Sequential4:
    with zipfile.ZipFile(file) as archive:
        missing = {_CONFIG, _WEIGHTS} - set(archive.namelist())
        if missing:
            raise FileFormatError(f"{file} is no .keras file: it has no {' and no '.join(sorted(missing))}", SAVE_AGAIN)
        if archive.getinfo(_CONFIG).file_size > _MOST_JSON:
            raise FileFormatError(
                f"{file}: a {_CONFIG} of {archive.getinfo(_CONFIG).file_size} bytes is not believed", SAVE_AGAIN
            )
        architecture = read_architecture(parsed_json(archive.read(_CONFIG)), file)
        most = 64 * _parameters(architecture.config) + (1 << 24)  # weights, an optimizer's state, and room to spare
        if archive.getinfo(_WEIGHTS).file_size > most:
            size = archive.getinfo(_WEIGHTS).file_size
            raise FileFormatError(
                f"{file}: {_WEIGHTS} has {size} bytes, far more than the architecture needs", SAVE_AGAIN
            )
        with h5py.File(io.BytesIO(archive.read(_WEIGHTS)), "r") as h5:
            return _filled(architecture.config, read_weights(h5, architecture.layer_names, file), file)


def _from_h5(h5: Any, file: str, image_size: tuple[int, int] | None) -> Sequential4:
    if "model_config" in h5.attrs:
        text = h5.attrs["model_config"]
        if not isinstance(text, str | bytes):
            raise FileFormatError(f"{file}: its model_config is {type(text).__name__}, not text", SAVE_AGAIN)
        architecture = read_architecture(parsed_json(text), file)
        return _filled(architecture.config, read_weights(h5, architecture.layer_names, file), file)
    weights = read_weights(h5, None, file)
    model = _filled(_config_of(weights, image_size, file), weights, file)
    warnings.warn(
        f"{file} holds weights alone: activation functions and padding are not stored in it, and those of "
        f"{NAME} are taken (relu, softmax, padding valid); if the network had others, save it as .keras",
        stacklevel=3,
    )
    return model


def _config_of(weights: list[Weights], image_size: tuple[int, int] | None, file: str) -> ModelConfig:
    """The shape of the network, from the shapes of its weights."""
    shapes = [kernel.shape for kernel, _ in weights]
    if len(shapes) < 3 or any(len(s) != 4 for s in shapes[:-2]) or any(len(s) != 2 for s in shapes[-2:]):
        raise FileFormatError(f"{file}: kernels of shapes {shapes} are not those of this architecture", ONLY_THIS)
    config = ModelConfig(
        image_size=image_size or ModelConfig().image_size,
        in_channels=shapes[0][2],
        widths=tuple(s[3] for s in shapes[:-2]),
        dense=shapes[-2][1],
        classes=shapes[-1][1],
    )
    flat = int(np.prod(config.feature_shape))
    if shapes[-2][0] != flat:
        raise FileFormatError(
            f"{file}: its hidden layer has {shapes[-2][0]} inputs, images of {config.image_size} give {flat}",
            "give the right image_size=(rows, columns)",
        )
    return config


def _parameters(config: ModelConfig) -> int:
    channels = (config.in_channels, *config.widths)
    convolutions = sum(9 * a * b + b for a, b in pairwise(channels))
    dense = int(np.prod(config.feature_shape)) + 1, config.dense + 1
    return convolutions + dense[0] * config.dense + dense[1] * config.classes


def _filled(config: ModelConfig, weights: list[Weights], file: str) -> Sequential4:
    wanted = empty_weights(config)
    names = keras3_names(len(config.widths))
    filled: dict[str, dict[str, Any]] = {}
    for name, (kernel, bias) in zip(names, weights, strict=True):
        filled[name] = {"kernel": kernel, "bias": bias}
        for part, array in filled[name].items():
            if array.shape != wanted[name][part].shape:
                shape = wanted[name][part].shape
                raise FileFormatError(f"{file}: {part} of {name} has shape {array.shape}, not {shape}", SAVE_AGAIN)
            if not np.isfinite(array).all():
                raise FileFormatError(
                    f"{file}: {part} of {name} holds NaN or infinite values", "train it anew: it diverged"
                )
    return model_from(config, filled)


def save_keras(model: Sequential4, path: str | Path) -> Path:
    """Write what Keras 3 loads: ``keras.models.load_model`` for ``.keras`` and ``.h5``, ``load_weights`` for
    ``.weights.h5``.

    The file appears whole or not at all; an existing one is replaced.

    Raises:
        ArgumentError: For another ending.
    """  # fmt: skip
    path = Path(path)
    weights: list[Weights] = [
        (np.asarray(model.layer(name).kernel[...]), np.asarray(model.layer(name).bias[...]))
        for name in model.layer_names
    ]
    everything = [row.name for row in model.summary()]
    others = [name for name in everything if name not in model.layer_names]
    buffer = io.BytesIO()
    if path.suffix == ".keras":
        with h5py.File(buffer, "w") as h5:
            write_keras3(h5, weights, others)
        buffer = _archive(model.config, buffer.getvalue())
    elif path.name.endswith(".weights.h5"):
        with h5py.File(buffer, "w") as h5:
            write_keras3(h5, weights, others)
    elif path.suffix in (".h5", ".hdf5"):
        with h5py.File(buffer, "w") as h5:
            h5.attrs["model_config"] = json.dumps(architecture_json(model.config))
            h5.attrs["backend"], h5.attrs["keras_version"] = "jax", _WRITTEN_AS
            write_by_name(h5, weights, everything, _WRITTEN_AS)
    else:
        raise ArgumentError(f"{path}: a name ending in .keras, .h5 or .weights.h5 is allowed")
    write_bytes(path, buffer.getbuffer())
    return path


def _archive(config: ModelConfig, weights: bytes) -> io.BytesIO:
    buffer = io.BytesIO()
    saved = datetime.now(UTC).strftime("%Y-%m-%d@%H:%M:%S")
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(_METADATA, json.dumps({"keras_version": _WRITTEN_AS, "date_saved": saved}))
        archive.writestr(_CONFIG, json.dumps(architecture_json(config)))
        archive.writestr(_WEIGHTS, weights)
    return buffer
