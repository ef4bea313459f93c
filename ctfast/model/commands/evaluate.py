"""What ``ctfast evaluate`` does: a run on a labelled set, or its recipe cross-validated there; figures, curves, rows.

Not a medical device.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ctfast.batch.notice import NOT_A_DEVICE
from ctfast.batch.progress import Show, silent
from ctfast.errors import ArgumentError, FileFormatError, UsageError
from ctfast.files import UnitsChoice
from ctfast.model.data.dataset import Dataset, describe, load_dataset, seen_before
from ctfast.model.data.labels import Inputs, told
from ctfast.model.evaluation.cross_validation import CrossValidation, Tell, cross_validate
from ctfast.model.evaluation.network_learner import NetworkLearner
from ctfast.model.evaluation.scores import Evaluation, evaluate
from ctfast.model.prediction.predictions_csv import safe

if TYPE_CHECKING:
    from rich.console import Console

    from ctfast.model.config import TrainConfig
    from ctfast.model.run_folder import TrainedModel

DATA_FILE: Final = "data.json"
"""In a run folder: which slices it was trained on."""


@dataclass
class EvaluationReport:
    """What an evaluation found and wrote."""

    evaluation: Evaluation
    """Of the run; with folds, of the first seed's pooled predictions."""
    cross_validation: CrossValidation | None
    data: dict[str, Any]
    """The set in figures."""
    warnings: list[str]
    out: Path
    files: list[Path] = field(default_factory=list)

    @property
    def unread(self) -> int:
        """Files that could not be read."""
        return len(self.data["unread"])

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-able values."""
        return {
            "notice": NOT_A_DEVICE,
            "evaluation": self.evaluation.to_dict(),
            "cross_validation": None if self.cross_validation is None else self.cross_validation.to_dict(),
            "data": self.data,
            "warnings": self.warnings,
        }


def evaluate_run(
    run: str | Path | TrainedModel,
    data: Inputs,
    *,
    folds: int | None = None,
    seeds: Sequence[int] = (0,),
    labels: str | Path | None = None,
    column: str | None = None,
    groups: str | None = None,
    units: UnitsChoice = "auto",
    out: str | Path | None = None,
    overwrite: bool = False,
    plots: bool = True,
    workers: int | None = None,
    progress: Show = silent,
    tell: Tell | None = None,
) -> EvaluationReport:
    """Evaluate a run on labelled slices that it has not seen, or cross-validate its recipe on them.

    Args:
        run: A run folder, or what ``load_run`` gave.
        data: As for ``load_dataset``; the run's preprocessing and classes are used.
        folds: None: predict with the run's weights. A number: forget the weights, train the run's recipe anew on all
            folds but one, patients never torn, and compare with the histogram baselines on the same folds.
        seeds: One partition into folds and one initialisation each.
        labels: Table of labels.
        column: Its column of classes.
        groups: Its column of patients.
        units: What the files' values are.
        out: Folder for ``evaluation.json``, ``predictions.csv`` and ``plots/``; default: ``evaluation`` (or
            ``cross-validation``) in the run folder, with a number where that is taken.
        overwrite: Replace what ``out`` holds of these.
        plots: Draw the curves.
        workers: Files at work at once.
        progress: Told after each file.
        tell: Told after each fold.

    Raises:
        UsageError: Nothing to evaluate, classes that the run does not know, too few patients for the folds, ``out``
            taken.
        MissingDependencyError: For an optional package.
    """
    from ctfast.model import load_run

    trained: TrainedModel = load_run(run) if isinstance(run, str | Path) else run
    folder = _place(run if isinstance(run, str | Path) else None, out, folds is not None, overwrite)
    dataset = load_dataset(
        data,
        labels=labels,
        column=column,
        groups=groups,
        preprocessing=trained.preprocessing,
        units=units,
        classes=trained.classes,
        workers=workers,
        progress=progress,
    )
    if not len(dataset.labelled):
        raise UsageError(f"none of {len(dataset)} slices has a label: nothing to evaluate")
    warnings = list(dataset.warnings)
    crossed = None
    if folds is not None:
        learner = NetworkLearner(_recipe(run), trained.config, name="the run's recipe")
        crossed = cross_validate(dataset, learner, folds=folds, seeds=seeds, tell=tell)
        known = dataset.take(dataset.labelled)
        found, probabilities = crossed.evaluation(), crossed.outcomes[0].probabilities.mean(axis=0)
    else:
        if isinstance(run, str | Path):
            warnings += _training_warning(dataset, Path(run))
        known = dataset
        probabilities = np.asarray(trained.predict_proba(dataset.images), np.float64)
        found = evaluate(probabilities, dataset.labels, dataset.classes, dataset.groups)
    if plots and find_spec("matplotlib") is None:
        warnings.append('no plots were drawn: pip install "ctfast[report]"')
        plots = False
    report = EvaluationReport(found, crossed, describe(dataset), warnings, folder)
    _write(report, known, probabilities, plots=plots)
    return report


def print_evaluation(report: EvaluationReport, console: Console) -> None:
    """Warnings, figures and where the rest lies."""
    for warning in report.warnings:
        console.print(f"warning: {warning}", highlight=False, markup=False, soft_wrap=True)
    if report.cross_validation is not None:
        console.print(report.cross_validation.as_table())
    title = "evaluation" if report.cross_validation is None else f"seed {report.cross_validation.seeds[0]}, all folds"
    console.print(report.evaluation.as_table(title))
    console.print(report.evaluation.confusion_table())
    console.print(f"written: {report.out}", highlight=False, markup=False, soft_wrap=True)


def _place(run: str | Path | None, out: str | Path | None, crossed: bool, overwrite: bool) -> Path:
    name = "cross-validation" if crossed else "evaluation"
    if out is not None:
        folder = Path(out)
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder} is a file: a folder is needed")
        if folder.is_dir() and any(folder.iterdir()) and not overwrite:
            raise UsageError(f"{folder} exists and is not empty: choose another, or say --overwrite")
        return folder
    if run is None:
        raise UsageError("out= is needed where the run is not given as a folder")
    number, folder = 1, Path(run) / name
    while folder.exists() and not overwrite:
        number += 1
        folder = Path(run) / f"{name}-{number}"
    return folder


def _recipe(run: object) -> TrainConfig:
    from ctfast.model.config import TrainConfig
    from ctfast.model.run_folder import RunFolder

    if not isinstance(run, str | Path):
        raise UsageError("folds= trains the recipe of a run anew: give the run as a folder, not only its model")
    folder = RunFolder(Path(run))
    try:
        return TrainConfig.from_dict(folder.read_config()["training"])
    except (KeyError, TypeError, ArgumentError) as error:
        raise FileFormatError(f"{folder.config_file} is damaged ({error}): train again") from error


def _training_warning(dataset: Dataset, run: Path) -> list[str]:
    try:
        record = json.loads((run / DATA_FILE).read_text(encoding="utf-8"))
        seen = seen_before(dataset, record)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return [f"{run} does not say which slices it was trained on: make sure that these are others"]
    if not seen:
        return []
    return [
        f"the run was trained on {told(seen)} of this set: the figures say nothing about new patients; "
        "give other slices, or cross-validate (--folds 5)"
    ]


def _write(report: EvaluationReport, dataset: Dataset, probabilities: NDArray[np.float64], *, plots: bool) -> None:
    report.out.mkdir(parents=True, exist_ok=True)
    record = report.out / "evaluation.json"
    record.write_text(json.dumps(report.to_dict(), indent=2) + "\n", encoding="utf-8")
    rows = report.out / "predictions.csv"
    with rows.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        classes = [safe(name) for name in dataset.classes]
        table.writerow(["file", "label", "prediction", *(f"p_{name}" for name in classes)])
        for name, label, p in zip(dataset.files, dataset.labels.tolist(), probabilities):
            truth = classes[label] if label >= 0 else ""
            table.writerow([safe(name), truth, classes[int(p.argmax())], *(f"{v:.6g}" for v in p)])
    report.files += [record, rows]
    if plots:
        from ctfast.model.evaluation.plots import save_plots

        report.files += save_plots(report.evaluation, report.out / "plots")
