"""Patient-grouped cross-validation: how good a recipe is on patients that it has not seen, and what it gains.

Every learner gets the very same folds. Several seeds give several partitions into folds and several initialisations;
they show the spread that chance alone makes, but add no slices: intervals count each slice once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ctfast.batch.notice import NOT_A_DEVICE
from ctfast.errors import ArgumentError
from ctfast.model.data.dataset import Dataset
from ctfast.model.data.preprocessing import window_pipeline
from ctfast.model.data.split import group_folds, split_by_group
from ctfast.model.data.window_choice import choose_window
from ctfast.model.evaluation import metrics
from ctfast.model.evaluation.baselines import BandBaseline, HistogramBaseline, Learner, Predict
from ctfast.model.evaluation.metrics import Interval
from ctfast.model.evaluation.scores import Evaluation, evaluate, plain

if TYPE_CHECKING:
    from rich.table import Table

    from ctfast.model.config import ModelConfig, TrainConfig
    from ctfast.model.training.fit import FitResult

BASELINES: Final[tuple[Learner, ...]] = (BandBaseline(), HistogramBaseline())
OnFold = Callable[[str], None]
_INNER_FRACTION: Final = 0.2


@dataclass(frozen=True)
class NetworkLearner:
    """``fit`` with a recipe.

    With early stopping (``config.patience``) a fifth of the training patients is held out of each fold to stop by; the
    test fold never takes part in that choice. Without, all training slices are trained on for all epochs. An ensemble
    and the window come from the training folds alone as well.

    Attributes:
        config: How to train; its seed is replaced by that of the cross-validation.
        model_config: Which network.
        fit: Trains a single network; default: ``ctfast.model.fit``.
        name: As tables call it.
        members: Networks of an ensemble, each with another part of the training folds to choose its epoch by.
        chooses_window: Choose the HU window from the training folds, see ``choose_window``.
    """

    config: TrainConfig
    model_config: ModelConfig
    fit: Callable[..., Any] | None = None
    name: str = "network"
    members: int = 1
    chooses_window: bool = False

    def learn(self, training: Dataset, seed: int) -> Predict:
        """See ``Learner``."""
        fit = self.fit or _fit
        config = replace(self.config, seed=seed)
        if self.chooses_window:
            window = choose_window(training.hu_shares, training.labels)
            pipeline = window_pipeline(window.low, window.high)
            training = training.prepared_by(replace(training.preprocessing, pipeline=pipeline))
        preprocessing = training.preprocessing
        if self.members > 1:
            result = _fit_members(training, self.members, seed, config=config, model_config=self.model_config)
        else:
            inner = split_by_group(training, _INNER_FRACTION, seed)[1] if config.patience else None
            result = fit(training, config=config, model_config=self.model_config, validation=inner)

        def predict(dataset: Dataset) -> NDArray[np.float64]:
            same = dataset.prepared_by(preprocessing)
            return result.trained.predict_proba(same.images).astype(np.float64)

        return predict


def _fit(training: Dataset, **options: Any) -> FitResult:
    from ctfast.model.training.fit import fit  # imports JAX, which the baselines don't need

    return fit(training, **options)


def _fit_members(training: Dataset, members: int, seed: int, **options: Any) -> FitResult:
    from ctfast.model.training.members import fit_members, inner_folds

    return fit_members(training, inner_folds(training, members, _INNER_FRACTION, seed), **options)


@dataclass(frozen=True, eq=False)
class Outcome:
    """One learner over all seeds and folds.

    Attributes:
        name: Of the learner.
        probabilities: ``(seeds, N, classes)``: of each slice by the model that had not seen its patient.
        accuracies: ``(seeds,)``: over all slices.
        accuracy: Their mean, with Wilson's interval for ``N`` slices.
        accuracy_by_patient: The same, with the interval over resampled patients.
        auc: Mean over seeds, interval over resampled patients; the folds' models are pooled, which can only lower it.
        gain: Mean accuracy minus that of the best baseline on the same folds, interval over resampled patients; None
            for baselines.
        seconds: Training and prediction, all folds and seeds.
    """

    name: str
    probabilities: NDArray[np.float64]
    accuracies: NDArray[np.float64]
    accuracy: Interval
    accuracy_by_patient: Interval
    auc: Interval
    gain: Interval | None
    seconds: float


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """The result of ``cross_validate``: ``outcomes[0]`` is the learner asked about, the rest are the baselines."""

    folds: int
    seeds: tuple[int, ...]
    classes: tuple[str, ...]
    files: tuple[str, ...]
    labels: NDArray[np.int32]
    groups: NDArray[np.int32]
    outcomes: tuple[Outcome, ...]
    warnings: tuple[str, ...]

    @property
    def best_baseline(self) -> Outcome | None:
        """The baseline with the highest accuracy, if there are any."""
        return max(self.outcomes[1:], key=lambda o: o.accuracy.value, default=None)

    def evaluation(self, seed: int = 0) -> Evaluation:
        """All metrics of one seed's pooled predictions; ``seed`` counts from 0 in ``seeds``."""
        return evaluate(self.outcomes[0].probabilities[seed], self.labels, self.classes, self.groups)

    def to_dict(self) -> dict[str, Any]:
        """Metrics as JSON-able values, with every slice's probabilities."""
        return {
            "folds": self.folds,
            "seeds": list(self.seeds),
            "classes": list(self.classes),
            "slices": len(self.labels),
            "patients": len(np.unique(self.groups)),
            "confidence": metrics.CONFIDENCE,
            "outcomes": [
                {
                    "name": o.name,
                    "accuracies": o.accuracies.tolist(),
                    **{k: plain(getattr(o, k)) for k in ("accuracy", "accuracy_by_patient", "auc")},
                    "gain": None if o.gain is None else plain(o.gain),
                    "seconds": o.seconds,
                }
                for o in self.outcomes
            ],
            "predictions": [
                {"file": name, "label": int(label), "probabilities": self.outcomes[0].probabilities[:, k].tolist()}
                for k, (name, label) in enumerate(zip(self.files, self.labels))
            ],
            "warnings": list(self.warnings),
            "notice": NOT_A_DEVICE,
        }

    def as_table(self) -> Table:
        """For a terminal (rich)."""
        from ctfast.model.evaluation.tables import cross_validation_table

        return cross_validation_table(self)


def cross_validate(
    dataset: Dataset,
    learner: Learner,
    *,
    folds: int = 5,
    seeds: Sequence[int] = (0,),
    baselines: Sequence[Learner] = BASELINES,
    on_fold: OnFold | None = None,
) -> CrossValidation:
    """Train on all folds but one, predict that one; in turn, for each seed, for the learner and the baselines.

    Args:
        dataset: Slices without a label are left out.
        learner: For a network: ``NetworkLearner``.
        folds: All slices of a patient are in one fold.
        seeds: One partition into folds (and one initialisation) each.
        baselines: Compared on the same folds.
        on_fold: Called with a line of text after each fold.

    Raises:
        ArgumentError: Without seeds.
        UsageError: A class with fewer patients than folds.
    """
    if not len(seeds) or len(set(seeds)) != len(seeds):
        raise ArgumentError(f"seeds={list(seeds)!r}: one or more different whole numbers are needed")
    known = dataset.take(dataset.labelled) if len(dataset.labelled) < len(dataset) else dataset
    partitions = [group_folds(known, folds, seed) for seed in seeds]
    learners = (learner, *baselines)
    made = [_predict_all(known, each, partitions, seeds, on_fold or (lambda line: None)) for each in learners]
    right = [(p.argmax(axis=2) == known.labels).mean(axis=0) for p, _ in made]
    best = max(range(1, len(made)), key=lambda k: right[k].mean(), default=None)
    outcomes = [
        _outcome(each.name, p, seconds, known, right[best] if best is not None and k == 0 else None)
        for k, (each, (p, seconds)) in enumerate(zip(learners, made))
    ]
    return CrossValidation(
        folds,
        tuple(seeds),
        known.classes,
        known.files,
        known.labels,
        known.groups,
        tuple(outcomes),
        known.warnings,
    )


def _predict_all(
    dataset: Dataset, learner: Learner, partitions: Sequence[Any], seeds: Sequence[int], on_fold: OnFold
) -> tuple[NDArray[np.float64], float]:
    start = time.perf_counter()
    result = np.zeros((len(seeds), len(dataset), len(dataset.classes)))
    for row, (seed, pairs) in enumerate(zip(seeds, partitions)):
        for number, (train, test) in enumerate(pairs, 1):
            predict = learner.learn(dataset.take(train), seed)
            result[row, test] = predict(dataset.take(test))
            right = int((result[row, test].argmax(axis=1) == dataset.labels[test]).sum())
            spent = time.perf_counter() - start
            on_fold(
                f"{learner.name}: seed {seed}, fold {number}/{len(pairs)}: {right}/{len(test)} right, {spent:.0f} s"
            )
    return result, time.perf_counter() - start


def _outcome(
    name: str, p: NDArray[np.float64], seconds: float, dataset: Dataset, baseline: NDArray[np.float64] | None
) -> Outcome:
    hits = p.argmax(axis=2) == dataset.labels
    share, y, groups = hits.mean(axis=0), dataset.labels, dataset.groups

    areas = [metrics.weighted_auc(y, one) for one in p]
    gain = None
    if baseline is not None:
        gain = metrics.grouped_bootstrap(metrics.weighted_mean(share - baseline), groups)
    return Outcome(
        name=name,
        probabilities=p,
        accuracies=hits.mean(axis=1),
        accuracy=metrics.wilson(float(share.sum()), len(share)),
        accuracy_by_patient=metrics.grouped_bootstrap(metrics.weighted_mean(share), groups),
        auc=metrics.grouped_bootstrap(lambda w: float(np.mean([area(w) for area in areas])), groups),
        gain=gain,
        seconds=seconds,
    )
