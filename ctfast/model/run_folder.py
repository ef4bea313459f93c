"""The folder of a training run: what was trained, on what, how it went, and the weights.

``config.json`` (model, training, preprocessing, classes), ``environment.json``, ``data.json`` (which slices),
``metrics.jsonl`` (a line per epoch), ``checkpoints/``, ``plots/``. An ensemble has no checkpoints of its own but a run
folder for each network in ``members/``. ``load_run`` reads it back for prediction.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import jax
import numpy as np
from numpy.typing import NDArray

from ctfast import __version__
from ctfast.batch.atomic import write_json, write_text
from ctfast.batch.choices import check_choice
from ctfast.batch.held import contents
from ctfast.errors import ArgumentError, FileFormatError, UsageError
from ctfast.model.caching import use_compilation_cache
from ctfast.model.checkpoint import FORMAT, NAMES, CheckpointStore
from ctfast.model.config import PREDICTION_PRECISIONS, ModelConfig, TrainConfig
from ctfast.model.data.preprocessing import Preprocessing
from ctfast.model.devices import Devices
from ctfast.model.network.inputs import as_prepared_images
from ctfast.model.network.sequential4 import Sequential4, empty_weights, model_from, weights_of
from ctfast.model.records import damaged, read_record

MEMBERS: Final = "members"
"""Folder of the run folders of an ensemble."""
MOST_MEMBERS: Final = 100
_FREE: Final = {
    "devices", "path", "memory_limit", "steps_per_dispatch", "accumulate", "patience", "checkpoint_seconds", "epochs",
    "start_from_epoch",
}  # fmt: skip
"""Settings of a training that may change when it is continued: the others would make it another training."""
_PACKAGES: Final = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "numba")


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A network that can predict.

    Attributes:
        model: The network.
        config: Its shape.
        preprocessing: From HU to its input.
        classes: Names of its outputs.
        hash: 16 hex digits: the same for the same weights, preprocessing and classes.
        training: How it was trained, where that is known.
        others: Further networks of the same shape: together with ``model`` they are an ensemble, whose probabilities
            are the mean of its members'.
    """

    model: Sequential4
    config: ModelConfig
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    hash: str
    training: TrainConfig | None = None
    others: tuple[Sequential4, ...] = ()

    @property
    def members(self) -> tuple[Sequential4, ...]:
        """All networks; one, if it is no ensemble."""
        return (self.model, *self.others)

    @classmethod
    def of(
        cls,
        model: Sequential4,
        preprocessing: Preprocessing,
        classes: Sequence[str],
        training: TrainConfig | None = None,
        others: Sequence[Sequential4] = (),
    ) -> TrainedModel:
        """Put together, with its hash; also for a model of ``load_keras``.

        Raises:
            ArgumentError: If the parts do not fit each other.
        """
        if odd := [m.config for m in others if m.config != model.config]:
            raise ArgumentError(f"an ensemble of {model.config} and {odd[0]}: its networks must have one shape")
        if len(classes) != model.config.classes:
            raise ArgumentError(f"{len(classes)} class names for a model of {model.config.classes} classes")
        if preprocessing.image_size != model.config.image_size:
            raise ArgumentError(f"preprocessing to {preprocessing.image_size}, a model for {model.config.image_size}")
        if preprocessing.channels > model.config.in_channels:
            raise ArgumentError("RGB preprocessing needs a model with in_channels=3")
        fingerprint = _hash((model, *others), preprocessing, classes)
        return cls(model, model.config, preprocessing, tuple(classes), fingerprint, training, tuple(others))

    def predict_proba(
        self, images: NDArray[np.uint16], *, batch_size: int | None = None, precision: str = "float32"
    ) -> NDArray[np.float32]:
        """Probabilities ``(N, classes)`` of images ``(N, H, W)`` or ``(N, H, W, 3)`` uint16, as ``Dataset.images``.

        One program is compiled for all batches; the last one is padded. See ``preprocessing`` for slices in HU.
        ``precision="bfloat16"`` halves the weights of the hidden layer and ``"int8"`` quarters them, as
        ``PredictOptions`` has it.

        Raises:
            ArgumentError, DTypeError, ShapeError: For what ``preprocessing`` did not make; see ``as_prepared_images``.
            BackendUnavailableError: In a child that was forked after JAX was used.
        """
        from ctfast.model.prediction.compiled import Predictor, batch_for

        check_choice("precision", precision, PREDICTION_PRECISIONS, ArgumentError)
        images = as_prepared_images(images, self.config.image_size, tuple(sorted({1, self.config.in_channels})))
        if len(images) == 0:
            return np.zeros((0, len(self.classes)), np.float32)
        return Predictor(self, batch_size or batch_for(len(images)), precision=precision).all(images)


def _hash(models: Sequence[Sequential4], preprocessing: Preprocessing, classes: Sequence[str]) -> str:
    settings = [models[0].config.to_dict(), preprocessing.hash, list(classes)]
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for array in jax.tree.leaves([weights_of(model) for model in models]):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]


def load_run(path: str | Path, which: str = "best") -> TrainedModel:
    """The network of a training run, or its ensemble of networks, ready to predict.

    Args:
        path: The run folder; ``RUN/members/1`` is the first member of an ensemble alone.
        which: ``best`` (lowest validation loss) or ``last``.

    Raises:
        ArgumentError: For another ``which``.
        FileFormatError: If the folder is no run, or its checkpoint is damaged, unfinished or of another version; names
            the file and what to do.
    """
    if which not in NAMES:
        raise ArgumentError(f"which={which!r}: 'best' or 'last' is allowed")
    use_compilation_cache()
    run = RunFolder(Path(path))
    data = run.read_config()
    try:
        config = ModelConfig.from_dict(data["model"])
        preprocessing = Preprocessing.from_dict(data["preprocessing"])
        classes = tuple(map(str, data["classes"]))
        training = TrainConfig.from_dict(data["training"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise damaged(run.config_file, error) from error
    folders = [run, *(RunFolder(path) for path in run.members(data))]
    models = [
        model_from(config, folder.checkpoints.read(which, "weights", empty_weights(config)), training.path)
        for folder in (folders[1:] or folders)
    ]
    return TrainedModel.of(models[0], preprocessing, classes, training, models[1:])


class RunFolder:
    """Reads and writes the files of a run, beside the checkpoints."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config_file = path / "config.json"
        self.metrics_file = path / "metrics.jsonl"
        self.data_file = path / "data.json"
        self.checkpoints = CheckpointStore(path / "checkpoints")

    def members(self, config: Mapping[str, Any]) -> list[Path]:
        """The run folders of an ensemble's networks, by its ``config.json``; none for a single network."""
        number = config.get("members", 1)
        if type(number) is not int or not 1 <= number <= MOST_MEMBERS:
            raise damaged(self.config_file, f"members {number!r}")
        return [] if number == 1 else [self.path / MEMBERS / str(k) for k in range(1, number + 1)]

    def read_config(self) -> dict[str, Any]:
        """What ``config.json`` holds.

        Raises:
            FileFormatError: If it is missing, damaged or of another version.
        """
        missing = FileFormatError(f"{self.path} is no run folder of ctfast: it has no config.json", "give one")
        return read_record(self.config_file, FORMAT, missing)

    def start(self, data: Mapping[str, Any], devices: Devices, *, resume: bool) -> bool:
        """Make the folder, or check that the run in it can be resumed; True if it has a checkpoint.

        Raises:
            UsageError: If it holds something else, or a run with other settings.
        """
        if self.path.exists() and (not self.path.is_dir() or contents(self.path)):
            if not resume:
                raise UsageError(f"{self.path} is not empty: give another folder, or resume=True to continue its run")
            self._refuse_another_run(self.read_config(), data)
        else:
            self.path.mkdir(parents=True, exist_ok=True)
            self.write_config(data)
        write_json(self.path / "environment.json", environment(devices))
        return self.checkpoints.exists()

    def write_config(self, data: Mapping[str, Any]) -> None:
        """Model, training, preprocessing and classes."""
        write_json(self.config_file, {"format": FORMAT, "ctfast": __version__, **data})

    def _refuse_another_run(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        fresh = json.loads(json.dumps(new))  # tuples become lists, as in the file
        changed = [k for k in ("model", "preprocessing", "classes", "data") if old.get(k) != fresh.get(k)]
        changed += ["members"] if old.get("members", 1) != fresh.get("members", 1) else []
        before, after = dict(old.get("training", {})), dict(fresh["training"])
        changed += [f"training.{k}" for k in sorted(before | after) if k not in _FREE and before.get(k) != after.get(k)]
        if changed:
            raise UsageError(
                f"{self.path} was trained otherwise: {', '.join(changed)} differ from its config.json; "
                "give the same, or another folder"
            )

    def write_history(self, history: Sequence[Mapping[str, Any]]) -> None:
        """All epochs so far; whole or not at all."""
        write_text(self.metrics_file, "".join(json.dumps(row) + "\n" for row in history))


def environment(devices: Devices) -> dict[str, Any]:
    """Versions and devices, JSON-able."""
    packages = {}
    for name in _PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = "not installed"
    return {
        "ctfast": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "processes": jax.process_count(),
        "devices": devices.describe(),
        "packages": packages,
    }
