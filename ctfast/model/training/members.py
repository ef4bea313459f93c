"""``fit_members``: several networks on one set, each with another part of it to choose its epoch by: an ensemble.

A set of some tens of slices can spare few to choose an epoch by, and few choose badly. So the slices are cut into as
many folds (by patient) as there are networks; each network is trained on all folds but one, which chooses its epoch.
Every slice is trained on by all networks but one, and the mean of their probabilities is steadier than any of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import jax
import numpy as np

from ctfast.batch.atomic import write_json
from ctfast.batch.held import claimed
from ctfast.errors import ArgumentError
from ctfast.model.config import ModelConfig, TrainConfig
from ctfast.model.data.dataset import Dataset
from ctfast.model.data.record import record_of
from ctfast.model.data.split import Indices, group_folds, split_by_group
from ctfast.model.devices import choose_devices
from ctfast.model.network.sequential4 import Sequential4
from ctfast.model.run_folder import MEMBERS, MOST_MEMBERS, RunFolder, TrainedModel
from ctfast.model.training.fit import FitResult, default_config, fit
from ctfast.model.training.progress import OnStep, TrainingProgress

_SEEDS: Final = 1 << 31


def inner_folds(dataset: Dataset, members: int, validation: float, seed: int) -> list[Indices]:
    """For each network the slices that choose its epoch; empty for one that is trained on everything.

    Args:
        dataset: What is trained on and chosen by.
        members: How many networks; fewer where a class has fewer patients.
        validation: Of a single network: the share of slices, 0 for none.
        seed: Of the split.

    Raises:
        ArgumentError: For another number of networks.
        UsageError: Too few patients for any split.
    """
    if type(members) is not int or not 1 <= members <= MOST_MEMBERS:
        raise ArgumentError(f"members={members!r}: a whole number from 1 to {MOST_MEMBERS} is allowed")
    labels = range(len(dataset.classes))
    most = min((len(np.unique(dataset.groups[dataset.labels == k])) for k in labels), default=0)
    members = min(members, most)
    if members < 2:
        return [split_by_group(dataset, validation, seed)[1] if validation else np.empty(0, np.intp)]
    return [chosen for _, chosen in group_folds(dataset, members, seed)]


def fit_members(
    dataset: Dataset,
    folds: list[Indices],
    *,
    config: TrainConfig | None = None,
    model_config: ModelConfig | None = None,
    run_dir: str | Path | None = None,
    resume: bool = False,
    initial: Sequential4 | None = None,
    plots: bool = True,
    progress: OnStep | None = None,
    facts: Mapping[str, Any] | None = None,
) -> FitResult:
    """Train a network for each of ``folds``, as ``fit`` does.

    Args:
        dataset: Slices without a label are left out.
        folds: What ``inner_folds`` gave: the validation slices of each network. One fold is one ordinary ``fit``.
        config: How; default: as for ``fit``. The networks' seeds follow from its seed.
        model_config: As for ``fit``.
        run_dir: Folder; the networks of an ensemble have run folders of their own in ``members/1``, ``members/2``, ...
        resume: As for ``fit``; finished networks are not trained again.
        initial: As for ``fit``, for all networks.
        plots: As for ``fit``.
        progress: As for ``fit``; events name the network.
        facts: As for ``fit``.

    Raises:
        CTFastError: As ``fit``.
    """
    config = config or default_config(dataset, all(len(fold) for fold in folds))
    words: dict[str, Any] = {
        "model_config": model_config, "resume": resume, "initial": initial, "plots": plots, "facts": facts,
    }  # fmt: skip
    if len(folds) == 1:
        chosen = folds[0] if len(folds[0]) else None
        return fit(dataset, config=config, validation=chosen, run_dir=run_dir, progress=progress, **words)
    root = None if run_dir is None else RunFolder(Path(run_dir))
    alone = nullcontext() if root is None or root.path.is_file() or jax.process_index() else claimed(root.path, "train")
    with alone:
        if root is not None and not jax.process_index():
            _start(root, dataset, folds, config, model_config, facts, resume=resume)
        results = []
        for k, fold in enumerate(folds, 1):
            where = None if root is None else root.path / MEMBERS / str(k)
            results.append(
                fit(
                    dataset,
                    config=replace(config, seed=member_seed(config.seed, k)),
                    validation=fold,
                    run_dir=where,
                    progress=_naming(progress, k, len(folds)),
                    **{**words, "resume": resume and where is not None},
                )
            )
        joined = _joined(results, config, None if root is None else root.path)
        if root is not None and not jax.process_index():
            root.write_history(joined.history)
        return joined


def member_seed(seed: int, member: int) -> int:
    """Of a network of an ensemble: another order, initialisation and augmentation for each."""
    return int(np.random.SeedSequence([seed, member]).generate_state(1)[0]) % _SEEDS


def _start(
    root: RunFolder,
    dataset: Dataset,
    folds: list[Indices],
    config: TrainConfig,
    model_config: ModelConfig | None,
    facts: Mapping[str, Any] | None,
    *,
    resume: bool,
) -> None:
    size = dataset.preprocessing.image_size
    model = model_config or ModelConfig(image_size=size, classes=len(dataset.classes))
    settings = {
        "model": model.to_dict(),
        "training": config.to_dict(),
        "preprocessing": dataset.preprocessing.to_dict(),
        "classes": list(dataset.classes),
        "members": len(folds),
        **(facts or {}),
    }
    root.start(settings, choose_devices(config.devices), resume=resume)
    root.write_config(settings)
    write_json(root.data_file, record_of(dataset, dataset.labelled))


def _naming(progress: OnStep | None, member: int, members: int) -> OnStep | None:
    if progress is None:
        return None

    def named(event: TrainingProgress) -> None:
        progress(replace(event, member=member, members=members))

    return named


def _joined(results: list[FitResult], config: TrainConfig, path: Path | None) -> FitResult:
    first = results[0].trained
    models = [result.model for result in results]
    return FitResult(
        trained=TrainedModel.of(models[0], first.preprocessing, first.classes, config, models[1:]),
        history=tuple({"member": k, **row} for k, result in enumerate(results, 1) for row in result.history),
        best_epoch=results[0].best_epoch,
        stopped=f"all {len(results)} networks are trained",
        notes=tuple(dict.fromkeys(note for result in results for note in result.notes)),
        run_dir=path,
        members=tuple(results),
    )
