"""The weights part of Keras files: HDF5 groups to arrays by layer, and back. h5py only.

Keras 3 keeps ``layers/<kind>_<number>/vars/<0 or 1>``, counted by kind whatever the layers are called; Keras 2 and
``.h5`` files of Keras 3 keep groups by layer name, whose attribute ``weight_names`` lists the arrays.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ctfast.errors import FileFormatError
from ctfast.files.next_steps import COPY_AGAIN
from ctfast.model.exchange._keras_config import NAME, ONLY_THIS, SAVE_AGAIN

Weights = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Kernel and bias."""

_SMALL: Final = 64 << 20
_RATIO: Final = 100
"""Weights hardly compress; declared sizes beyond both are no weights."""
_NUMBERED: Final = re.compile(r"(conv2d|dense)(?:_(\d+))?")
_WITHOUT_WEIGHTS: Final = re.compile(r"(max_pooling2d|flatten|dropout|input_layer|top_level_model_weights)(_\d+)?")


def keras3_names(blocks: int) -> tuple[str, ...]:
    """Names of the groups in a Keras 3 weights file, in the order of the network."""
    return (*(f"conv2d_{k}" if k else "conv2d" for k in range(blocks)), "dense", "dense_1")


def read_weights(h5: Any, names: Sequence[str] | None, file: str) -> list[Weights]:
    """Kernel and bias of each layer, in the order of the network.

    Args:
        h5: The open HDF5 file.
        names: Names of the layers with weights; None where no architecture is stored with them.
        file: For messages.

    Raises:
        FileFormatError: If the weights are not those of this architecture; names its layers.
    """
    if "layers" in h5 and "layer_names" not in h5.attrs:
        groups = h5["layers"]
        if names is None:
            return [_pair_by_number(groups, name, file) for name in _names_in_order(list(groups), file)]
        return [_pair_by_number(groups, name, file) for name in keras3_names(len(names) - 2)]
    groups = h5.get("model_weights", h5)
    if "layer_names" not in groups.attrs:
        raise _foreign(file, list(groups))
    layers = [_text(name) for name in groups.attrs["layer_names"]]
    filled = [name for name in layers if name in groups and len(groups[name].attrs.get("weight_names", ()))]
    if names is not None and set(names) != set(filled):
        raise _foreign(file, layers)
    return [_pair_by_name(groups, name, file) for name in names or filled]


def _names_in_order(layers: list[str], file: str) -> list[str]:
    """Convolutions, then dense layers, each by number."""
    matched = {name: _NUMBERED.fullmatch(name) for name in layers if not _WITHOUT_WEIGHTS.fullmatch(name)}
    if not matched or not all(matched.values()):
        raise _foreign(file, layers)

    def position(name: str) -> tuple[str, int]:
        match = matched[name]
        return (match[1], int(match[2] or 0)) if match else ("", 0)

    return sorted(matched, key=position)


def _pair_by_number(groups: Any, name: str, file: str) -> Weights:
    try:
        variables = groups[name]["vars"]
        return _pair([variables[key] for key in sorted(variables)], name, file)
    except (KeyError, TypeError, AttributeError) as error:
        raise _foreign(file, list(groups)) from error


def _pair_by_name(groups: Any, name: str, file: str) -> Weights:
    try:
        arrays = {_text(n).rsplit("/", 1)[-1].partition(":")[0]: groups[name][_text(n)] for n in
                  groups[name].attrs["weight_names"]}  # fmt: skip
        return _pair([arrays["kernel"], arrays["bias"], *(a for n, a in arrays.items() if n not in ("kernel", "bias"))],
                     name, file)  # fmt: skip
    except (KeyError, TypeError, AttributeError) as error:
        raise FileFormatError(f"{file}: layer {name} has no kernel and bias: {error}", SAVE_AGAIN) from error


def _pair(arrays: list[Any], name: str, file: str) -> Weights:
    if len(arrays) != 2 or not all(np.issubdtype(a.dtype, np.floating) for a in arrays):
        shapes = ", ".join(f"{a.shape} {a.dtype}" for a in arrays) or "nothing"
        raise FileFormatError(
            f"{file}: layer {name} holds {shapes} where a float kernel and a bias are needed", SAVE_AGAIN
        )
    for array in arrays:
        stored = array.id.get_storage_size()
        if array.nbytes > max(_SMALL, _RATIO * stored):
            raise FileFormatError(f"{file}: layer {name} declares {array.nbytes} bytes, {stored} are there", COPY_AGAIN)
    kernel, bias = (np.asarray(a[()], np.float32) for a in arrays)
    return kernel, bias


def _foreign(file: str, layers: list[str]) -> FileFormatError:
    return FileFormatError(
        f"{file}: these are not the weights of this architecture; its layers: {', '.join(layers) or 'none'}",
        ONLY_THIS,
    )


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def write_keras3(h5: Any, weights: Sequence[Weights], others: Sequence[str]) -> None:
    """As Keras 3 writes ``.weights.h5``; ``others`` are the layers without weights."""
    h5.create_group("vars").attrs["name"] = NAME
    for name in others:
        h5.create_group(f"layers/{name}/vars").attrs["name"] = name
    for name, pair in zip(keras3_names(len(weights) - 2), weights):
        variables = h5.create_group(f"layers/{name}/vars")
        variables.attrs["name"] = name
        for k, array in enumerate(pair):
            variables[str(k)] = array


def write_by_name(h5: Any, weights: Sequence[Weights], all_names: Sequence[str], keras_version: str) -> None:
    """As Keras writes ``model_weights`` of an ``.h5`` file."""
    groups = h5.create_group("model_weights")
    groups.attrs["layer_names"] = list(all_names)
    groups.attrs["backend"], groups.attrs["keras_version"] = "jax", keras_version
    for name in all_names:
        groups.create_group(name).attrs["weight_names"] = []
    groups.create_group("top_level_model_weights").attrs["weight_names"] = []
    for name, pair in zip(keras3_names(len(weights) - 2), weights):
        paths = [f"{NAME}/{name}/{part}" for part in ("kernel", "bias")]
        groups[name].attrs["weight_names"] = paths
        for path, array in zip(paths, pair):
            groups[name][path] = array
