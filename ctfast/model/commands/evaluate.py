"""What ``ctfast evaluate`` does: a run on a labelled set, or its settings cross-validated there; metrics, curves, rows.

Not a medical device.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ctfast.batch.atomic import replacing, write_json
from ctfast.batch.cells import safe_cell
from ctfast.batch.held import claimed, contents
from ctfast.batch.notice import NOT_A_DEVICE
from ctfast.batch.parsing import parsed_json
from ctfast.batch.progress import Progress, no_progress
from ctfast.errors import ArgumentError, UsageError
from ctfast.model.commands.options import EvaluateOptions
from ctfast.model.commands.train import NO_PLOTS
from ctfast.model.data.dataset import Dataset
from ctfast.model.data.labels import Paths, listed
from ctfast.model.data.record import describe, seen_before
from ctfast.model.evaluation.cross_validation import CrossValidation, NetworkLearner, OnFold, cross_validate
from ctfast.model.evaluation.scores import Evaluation, evaluate
from ctfast.model.records import damaged

if TYPE_CHECKING:
    from ctfast.model.config import TrainConfig
    from ctfast.model.run_folder import TrainedModel


@dataclass
class EvaluationReport:
    """The result of ``evaluate_run``.

    Attributes:
        evaluation: Of the run; with folds, of the first seed's pooled predictions.
        cross_validation: Where folds were asked for.
        data: Counts and warnings of the set.
        warnings: What the user should know.
        out: The folder.
        files: What was written.
        seen: Slices of the set that the run was trained on, or chose its epoch by.
    """

    evaluation: Evaluation
    cross_validation: CrossValidation | None
    data: dict[str, Any]
    warnings: list[str]
    out: Path
    files: list[Path] = field(default_factory=list)
    seen: int = 0

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
            "seen": self.seen,
        }


def evaluate_run(
    run: str | Path | TrainedModel,
    data: Paths,
    options: EvaluateOptions | None = None,
    *,
    progress: Progress = no_progress,
    on_fold: OnFold | None = None,
    **fields: Any,
) -> EvaluationReport:
    """Evaluate a run on labelled slices that it has not seen, or cross-validate its settings on them.

    >>> report = evaluate_run("run", "other_slices", plots=False)

    Args:
        run: A run folder, or what ``load_run`` gave.
        data: As for ``load_dataset``; the run's preprocessing and classes are used.
        options: How; default: ``EvaluateOptions()``.
        progress: Called after each file that was read.
        on_fold: Called with a line of text after each fold.
        fields: Single fields of ``EvaluateOptions`` instead of, or in change of, those of ``options``.

    Raises:
        UsageError: Nothing to evaluate, classes that the run does not know, too few patients for the folds, ``out``
            taken.
        MissingDependencyError: For an optional package.
    """
    from ctfast.model import load_run

    options = replace(options or EvaluateOptions(), **fields)
    trained: TrainedModel = load_run(run) if isinstance(run, str | Path) else run
    with _output_folder(run if isinstance(run, str | Path) else None, options) as folder:
        return _evaluate_into(folder, run, trained, data, options, progress, on_fold)


def _evaluate_into(
    folder: Path,
    run: str | Path | TrainedModel,
    trained: TrainedModel,
    data: Paths,
    options: EvaluateOptions,
    progress: Progress,
    on_fold: OnFold | None,
) -> EvaluationReport:
    dataset = options.load(data, trained.preprocessing, classes=trained.classes, progress=progress)
    if not len(dataset.labelled):
        raise UsageError(f"none of {len(dataset)} slices has a label: nothing to evaluate")
    report, dataset, probabilities = (
        _evaluated(run, trained, dataset, folder)
        if options.folds is None
        else _cross_validated(run, trained, dataset, folder, options, on_fold)
    )
    _write_results(report, dataset, probabilities)
    if options.plots and find_spec("matplotlib") is None:
        report.warnings.append(NO_PLOTS)
    elif options.plots:
        from ctfast.model.evaluation.plots import save_plots

        report.files += save_plots(report.evaluation, folder / "plots")
    return report


_Results = tuple[EvaluationReport, Dataset, NDArray[np.float64]]
"""The report, the slices that have a row in the table of predictions, and their probabilities."""


def _evaluated(run: object, trained: TrainedModel, dataset: Dataset, folder: Path) -> _Results:
    probabilities = np.asarray(trained.predict_proba(dataset.images), np.float64)
    scores = evaluate(probabilities, dataset.labels, dataset.classes, dataset.groups)
    seen, warning = _training_warning(dataset, Path(run)) if isinstance(run, str | Path) else (0, [])
    report = EvaluationReport(scores, None, describe(dataset), [*dataset.warnings, *warning], folder, seen=seen)
    return report, dataset, probabilities


def _cross_validated(
    run: object,
    trained: TrainedModel,
    dataset: Dataset,
    folder: Path,
    options: EvaluateOptions,
    on_fold: OnFold | None,
) -> _Results:
    assert options.folds is not None
    config, facts = _recipe_of(run)
    members, chooses = len(trained.members), facts.get("chooses_window") is True
    learner = NetworkLearner(config, trained.config, name="the run's recipe", members=members, chooses_window=chooses)
    result = cross_validate(dataset, learner, folds=options.folds, seeds=options.seeds, on_fold=on_fold)
    report = EvaluationReport(result.evaluation(), result, describe(dataset), list(dataset.warnings), folder)
    return report, dataset.take(dataset.labelled), result.outcomes[0].probabilities.mean(axis=0)


@contextmanager
def _output_folder(run: str | Path | None, options: EvaluateOptions) -> Iterator[Path]:
    """The folder of the results, for this evaluation alone."""
    if options.out is None:
        folder = _numbered_folder(run, options)
    else:
        folder = Path(options.out)
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder} is a file: a folder is needed")
    with claimed(folder, "evaluation"):
        if contents(folder) and not options.overwrite:
            raise UsageError(f"{folder} exists and is not empty: choose another, or give --overwrite")
        yield folder


def _numbered_folder(run: str | Path | None, options: EvaluateOptions) -> Path:
    if run is None:
        raise UsageError("out= is needed where the run is not given as a folder")
    name = "evaluation" if options.folds is None else "cross-validation"
    number, folder = 1, Path(run) / name
    while folder.exists() and not options.overwrite:
        number += 1
        folder = Path(run) / f"{name}-{number}"
    return folder


def _recipe_of(run: object) -> tuple[TrainConfig, dict[str, Any]]:
    from ctfast.model.config import TrainConfig
    from ctfast.model.run_folder import RunFolder

    if not isinstance(run, str | Path):
        raise UsageError("folds= trains with the settings of a run anew: give the run as a folder, not only its model")
    folder = RunFolder(Path(run))
    try:
        data = folder.read_config()
        return TrainConfig.from_dict(data["training"]), dict(data.get("recipe") or {})
    except (KeyError, TypeError, ValueError, ArgumentError) as error:
        raise damaged(folder.config_file, error) from error


def _training_warning(dataset: Dataset, run: Path) -> tuple[int, list[str]]:
    from ctfast.model.run_folder import RunFolder

    try:
        seen = seen_before(dataset, parsed_json(RunFolder(run).data_file.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return 0, [f"{run} does not say which slices it was trained on: make sure that these are others"]
    if not seen:
        return 0, []
    return len(seen), [
        f"the run was trained on {listed(seen)} of this set: the metrics say nothing about new patients; "
        "give other slices, or cross-validate (--folds 5)"
    ]


def _write_results(report: EvaluationReport, dataset: Dataset, probabilities: NDArray[np.float64]) -> None:
    """Both files or none: an earlier evaluation is not half replaced, and where a disk was full the same call can be
    made again, as its folder is still empty."""
    report.out.mkdir(parents=True, exist_ok=True)
    record, table = report.out / "evaluation.json", report.out / "predictions.csv"
    classes = [safe_cell(name) for name in dataset.classes]
    with replacing(table) as file:
        rows = csv.writer(file)
        rows.writerow(["file", "label", "prediction", *(f"p_{name}" for name in classes)])
        for name, label, p in zip(dataset.files, dataset.labels.tolist(), probabilities):
            truth = classes[label] if label >= 0 else ""
            rows.writerow([safe_cell(name), truth, classes[int(p.argmax())], *(f"{v:.6g}" for v in p)])
        file.flush()
        write_json(record, report.to_dict())
    report.files += [record, table]
