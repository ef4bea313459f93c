"""What a training will do, decided before it: sizes by the recipe, the split by patient, the window."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ctfast.batch.progress import Progress
from ctfast.errors import UsageError
from ctfast.model.commands.options import TrainOptions
from ctfast.model.config import TrainConfig
from ctfast.model.data.dataset import Dataset
from ctfast.model.data.labels import Paths
from ctfast.model.data.preprocessing import DEFAULT_WINDOW, Preprocessing, window_pipeline
from ctfast.model.data.split import Indices, split_by_group
from ctfast.model.data.window_choice import choose_window
from ctfast.model.recipe import Recipe

if TYPE_CHECKING:
    from ctfast.model.network.sequential4 import Sequential4
    from ctfast.model.run_folder import TrainedModel

_VALIDATION: Final = 0.2
_FEWEST_PATIENTS: Final = 4
"""Of each class, for a test split by default: two to train on, one to choose by, one to test."""


@dataclass(frozen=True, eq=False)
class TrainingPlan:
    """Everything that is settled before a training.

    Attributes:
        dataset: All slices, as the network will see them.
        training: Indices of those that are trained on or choose.
        held_out: Indices of those that take no part.
        folds: For each network, which of the training slices (counted among them) choose its epoch.
        config: How to train.
        facts: The recipe, for the run's ``config.json``.
        notes: What a user should know, in sentences.
    """

    dataset: Dataset
    training: Indices
    held_out: Indices
    folds: list[Indices]
    config: TrainConfig
    facts: dict[str, Any]
    notes: tuple[str, ...]


def plan_training(
    data: Paths, options: TrainOptions, initial: TrainedModel | Sequential4 | None, progress: Progress
) -> TrainingPlan:
    """Read the set and decide.

    Raises:
        UsageError, ArgumentError: Data that can't be trained on, or not as asked.
    """
    from ctfast.model.training.members import inner_folds

    notes: list[str] = []
    preprocessing, pipeline, side = _given(options, initial)
    first = preprocessing or Preprocessing(
        pipeline or window_pipeline(*DEFAULT_WINDOW), (side or Recipe.for_set(0, options.recipe).side,) * 2
    )
    dataset = options.load(data, first, progress=progress)
    recipe = Recipe.for_set(len(dataset.labelled), options.recipe, side=side or _side(preprocessing))
    config = recipe.trained_as(options.config)
    if len(dataset.labelled) < len(dataset):
        notes.append(f"{len(dataset) - len(dataset.labelled)} slices without a label are left out")
    training, held_out = _test_split(dataset, options, recipe, config.seed, notes)
    chooses = recipe.chooses_window and preprocessing is None and pipeline is None
    if preprocessing is None:
        if chooses:
            chosen = choose_window(
                None if dataset.hu_shares is None else dataset.hu_shares[training], dataset.labels[training]
            )
            notes.append(chosen.reason)
            pipeline = window_pipeline(chosen.low, chosen.high)
        dataset = dataset.prepared_by(Preprocessing(pipeline or first.pipeline, (recipe.side,) * 2))
    single = options.members is None and options.validation is not None
    members = 1 if single else options.members or recipe.members
    share = _VALIDATION if options.validation is None else options.validation
    folds = inner_folds(dataset.take(training), members, share, config.seed)
    if len(folds) < members:
        notes.append(f"{members} networks need as many patients of each class: {len(folds)} are trained")
    if not share and len(folds) == 1:
        config = replace(config, patience=0)
    facts = {
        "name": recipe.name,
        "members": members,
        "chooses_window": chooses,
        "validation": share,
        "notes": list(notes),
    }
    return TrainingPlan(dataset, training, held_out, folds, config, facts, tuple(notes))


def _given(
    options: TrainOptions, initial: TrainedModel | Sequential4 | None
) -> tuple[Preprocessing | None, Any, int | None]:
    """Preprocessing, pipeline and side, as far as the user or the weights to start from say."""
    if options.preprocessing is not None or initial is None:
        return options.preprocessing, options.pipeline, options.size
    kept: Preprocessing | None = getattr(initial, "preprocessing", None)
    if kept is not None and options.pipeline is None and options.size is None:
        return kept, None, None
    size = initial.config.image_size
    if options.size is None and size[0] != size[1]:
        raise UsageError(f"the network to start from takes {size[0]} x {size[1]}: give preprocessing=, or size=")
    return None, options.pipeline or (kept.pipeline if kept else None), options.size or size[0]


def _side(preprocessing: Preprocessing | None) -> int | None:
    return None if preprocessing is None else preprocessing.image_size[0]


def _test_split(
    dataset: Dataset, options: TrainOptions, recipe: Recipe, seed: int, notes: list[str]
) -> tuple[Indices, Indices]:
    """What is trained on (or chooses), and what takes no part."""
    share = recipe.test if options.test is None else options.test
    whole: Indices = dataset.labelled
    if not share:
        return whole, np.empty(0, np.intp)
    patients = [len(np.unique(dataset.groups[dataset.labels == k])) for k in range(len(dataset.classes))]
    if options.test is None and min(patients, default=0) < _FEWEST_PATIENTS:
        notes.append(
            f"no slices are kept for a test: a class has {min(patients, default=0)} patients, {_FEWEST_PATIENTS} or "
            "more are needed"
        )
        return whole, np.empty(0, np.intp)
    return split_by_group(dataset, share, seed)
