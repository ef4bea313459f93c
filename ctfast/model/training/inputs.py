"""What ``fit`` trains on, checked before anything is compiled, so that no error comes after minutes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ctfast.errors import ArgumentError, UsageError
from ctfast.model.config import ModelConfig, TrainConfig
from ctfast.model.data.dataset import Dataset
from ctfast.model.network.sequential4 import Sequential4


@dataclass(frozen=True, eq=False)
class FitInputs:
    """The parts of a training.

    Attributes:
        dataset: All slices.
        training: Indices that are trained on.
        held_out: The set that validation indices point into; None without validation.
        validation: Those indices.
        model: Which network.
        batch_size: Images in a step; no more than there are.
        class_weights: ``(classes,)``.
        notes: What a user should know.
    """

    dataset: Dataset
    training: NDArray[np.intp]
    held_out: Dataset | None
    validation: NDArray[np.intp]
    model: ModelConfig
    batch_size: int
    class_weights: NDArray[np.float32]
    notes: tuple[str, ...]

    @property
    def steps(self) -> int:
        """Of an epoch."""
        return -(-len(self.training) // self.batch_size)

    def fingerprint(self) -> str:
        """16 hex digits of what is trained on: files (or pixels), labels and split."""
        digest = hashlib.sha256()
        for data, indices in ((self.dataset, self.training), (self.held_out, self.validation)):
            if data is not None:
                digest.update(data.labels[indices].data)
                digest.update(indices.astype(np.int64).data)
                for name in data.hashes or data.files:
                    digest.update(name.encode())
        return digest.hexdigest()[:16]


def prepare(
    dataset: Dataset,
    validation: ArrayLike | Dataset | None,
    config: TrainConfig,
    model_config: ModelConfig | None,
    initial: Sequential4 | None,
) -> FitInputs:
    """Check everything that can be checked before a training.

    Raises:
        UsageError: Data that can't be trained on.
        ArgumentError: Settings that don't fit each other or the data.
    """
    held_out, chosen, training = _split(dataset, validation)
    _check_classes(dataset, training)
    if config.patience and held_out is None:
        raise ArgumentError(f"patience={config.patience} stops by the validation loss: give validation=, or patience=0")
    model = _model_config(dataset, model_config, initial)
    if held_out is not None and held_out.images.shape[1:] != dataset.images.shape[1:]:
        raise ArgumentError(
            f"validation images {held_out.images.shape[1:]}, training images {dataset.images.shape[1:]}: "
            "the same size is needed"
        )
    if config.augmentation.rot90 and model.image_size[0] != model.image_size[1]:
        raise ArgumentError(f"rot90 needs square images, these are {model.image_size}: leave it out, or use flips")
    notes = []
    if len(training) < len(dataset.labels) - (len(chosen) if held_out is dataset else 0):
        notes.append(f"{int((dataset.labels < 0).sum())} slices without a label are left out")
    batch = min(config.batch_size, len(training))
    if batch < config.batch_size:
        notes.append(
            f"a batch of {config.batch_size} is more than the {batch} training slices: all of them are a batch"
        )
    return FitInputs(
        dataset, training, held_out, chosen, model, batch, _class_weights(dataset, training, config), tuple(notes)
    )


def _split(
    dataset: Dataset, validation: ArrayLike | Dataset | None
) -> tuple[Dataset | None, NDArray[np.intp], NDArray[np.intp]]:
    """The validation set, its indices, and the training indices."""
    known = np.flatnonzero(dataset.labels >= 0)
    if validation is None:
        return None, np.empty(0, np.intp), known
    if isinstance(validation, Dataset):
        if validation.classes != dataset.classes:
            raise ArgumentError(f"validation has classes {validation.classes}, training {dataset.classes}")
        chosen = np.flatnonzero(validation.labels >= 0)
        if not len(chosen):
            raise UsageError("no slice of the validation set has a label")
        return validation, chosen, known
    chosen = np.asarray(validation)
    if chosen.ndim != 1 or not np.issubdtype(chosen.dtype, np.integer) or not len(chosen):
        raise ArgumentError("validation: a Dataset, or a list of indices that is not empty, is allowed")
    if chosen.min() < 0 or chosen.max() >= len(dataset.labels):
        raise ArgumentError(
            f"validation indices {chosen.min()} to {chosen.max()}: 0 to {len(dataset.labels) - 1} exist"
        )
    chosen = np.intersect1d(chosen, known)
    if not len(chosen):
        raise UsageError("none of the validation slices has a label")
    return dataset, chosen, np.setdiff1d(known, chosen)


def _check_classes(dataset: Dataset, training: NDArray[np.intp]) -> None:
    if len(dataset.classes) < 2:
        raise UsageError(f"only one class ({', '.join(dataset.classes) or 'none'}) in the data: two or more are needed")
    if not len(training):
        raise UsageError("no slice with a label is left to train on")
    counts = np.bincount(dataset.labels[training], minlength=len(dataset.classes))
    lost = [name for name, count in zip(dataset.classes, counts) if not count]
    if lost:
        raise UsageError(
            f"no training slice of class {', '.join(map(repr, lost))}: give some, split otherwise, or leave it out"
        )


def _model_config(dataset: Dataset, wanted: ModelConfig | None, initial: Sequential4 | None) -> ModelConfig:
    shape = dataset.images.shape
    if dataset.images.dtype != np.uint16 or len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] != 3):
        raise ArgumentError(
            f"images {shape} {dataset.images.dtype}: (N, H, W) or (N, H, W, 3) uint16 is needed, as Preprocessing gives"
        )
    if initial is not None:
        wanted = wanted or initial.config
        if wanted != initial.config:
            raise ArgumentError(f"model_config={wanted}, but initial is {initial.config}")
    model = wanted or ModelConfig(image_size=(shape[1], shape[2]), classes=len(dataset.classes))
    if model.image_size != shape[1:3] or model.classes != len(dataset.classes):
        raise ArgumentError(
            f"a model for {model.image_size} and {model.classes} classes, images of {shape[1:3]} and "
            f"{len(dataset.classes)} classes: they must be the same"
        )
    if len(shape) == 4 and model.in_channels != 3:
        raise ArgumentError("RGB images need in_channels=3")
    return model


def _class_weights(dataset: Dataset, training: NDArray[np.intp], config: TrainConfig) -> NDArray[np.float32]:
    number = len(dataset.classes)
    if config.class_weights is None:
        return np.ones(number, np.float32)
    if config.class_weights == "balanced":
        counts = np.bincount(dataset.labels[training], minlength=number)
        return (len(training) / (number * counts)).astype(np.float32)
    if len(config.class_weights) != number:
        raise ArgumentError(f"class_weights: {len(config.class_weights)} given, {number} classes: one each is needed")
    return np.array(config.class_weights, np.float32)
