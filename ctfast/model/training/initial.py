"""Weights to start from: those of an earlier run or of a Keras file, as far as they fit the new network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from flax import nnx

from ctfast.errors import UsageError
from ctfast.model.config import ModelConfig
from ctfast.model.network.sequential4 import Sequential4, model_from, weights_of
from ctfast.model.run_folder import TrainedModel, load_run

KERAS: Final = (".keras", ".h5", ".hdf5")


def load_initial(path: str | Path) -> TrainedModel | Sequential4:
    """What ``--init-from`` names: a run folder (of an ensemble, its first network counts), or a Keras file.

    Raises:
        UsageError: For what is neither.
        FileFormatError: For a run or file that is damaged.
    """
    path = Path(path)
    if path.is_dir():
        return load_run(path)
    if path.suffix.lower() not in KERAS:
        raise UsageError(f"init_from={str(path)!r}: a run folder, or a Keras file ({', '.join(KERAS)}), is allowed")
    from ctfast.model.exchange.keras_files import load_keras

    return load_keras(path)


def taken_over(initial: Sequential4, config: ModelConfig, seed: int) -> tuple[Sequential4, str]:
    """A network of shape ``config`` with every layer of ``initial`` that fits, the others drawn anew; and a sentence.

    Raises:
        UsageError: If no layer fits.
    """
    if initial.config == config:
        return initial, "starts from the weights that were given"
    fresh = Sequential4(config, rngs=nnx.Rngs(seed))
    old, new = weights_of(initial), weights_of(fresh)
    fits = [name for name in new if name in old and _shapes(old[name]) == _shapes(new[name])]
    if not fits:
        raise UsageError(
            f"no layer of the network to start from fits: it is {initial.config}, the new one {config}; give the same "
            "widths"
        )
    drawn = [name for name in new if name not in fits]
    weights = {name: old[name] if name in fits else new[name] for name in new}
    note = f"starts from the given weights of {', '.join(fits)}; drawn anew, because their shape differs: "
    return model_from(config, weights), note + ", ".join(drawn)


def _shapes(layer: Mapping[str, Any]) -> list[tuple[int, ...]]:
    return [np.shape(layer[part]) for part in ("kernel", "bias")]
