"""What ``ctfast train`` does: read, split by patient, train, and judge the result on slices that chose nothing.

Not a medical device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ctfast.batch.atomic import write_json
from ctfast.batch.progress import Progress, no_progress
from ctfast.model.commands.options import TrainOptions
from ctfast.model.commands.plan import TrainingPlan, plan_training
from ctfast.model.config import ModelConfig
from ctfast.model.data.dataset import Dataset
from ctfast.model.data.labels import Paths
from ctfast.model.data.record import describe, record_of
from ctfast.model.evaluation.scores import Evaluation, evaluate

if TYPE_CHECKING:
    from ctfast.model.training.fit import FitResult
    from ctfast.model.training.progress import OnStep

VALIDATION_FILE: Final = "validation.json"
"""In the run folder: the evaluation on the slices that chose the epoch."""
TEST_FILE: Final = "test.json"
"""In the run folder: the evaluation on the slices that took no part."""
NO_PLOTS: Final = 'no plots were drawn: pip install "ctfast[report]"'


@dataclass
class TrainReport:
    """The result of ``train_run``.

    Attributes:
        result: What ``fit`` (or ``fit_members``) gave back.
        data: Counts and warnings of the set.
        evaluation: On the test slices, which took no part. Without any: on the slices that chose the epochs, which
            makes the metrics a little too good. None without either.
        chose: Whether the slices of ``evaluation`` chose the epochs.
        warnings: What the user should know.
    """

    result: FitResult
    data: dict[str, Any]
    evaluation: Evaluation | None = None
    chose: bool = False
    warnings: list[str] = field(default_factory=list)

    @property
    def unread(self) -> int:
        """Files that could not be read."""
        return len(self.data["unread"])


def train_run(
    data: Paths,
    out: str | Path,
    options: TrainOptions | None = None,
    *,
    progress: Progress = no_progress,
    on_start: Callable[[Dataset, int, int], None] | None = None,
    on_step: OnStep | None = None,
    **fields: Any,
) -> TrainReport:
    """Train on a folder of labelled slices.

    >>> report = train_run("slices", "run", config={"epochs": 10})

    Args:
        data: As for ``load_dataset``.
        out: The run folder; must be new, empty, or the same run's.
        options: How; default: ``TrainOptions()``.
        progress: Called after each file that was read.
        on_start: Called once before training, with the set, the slices to train on (and to choose by), and those held
            out.
        on_step: Called after each step; see ``fit``.
        fields: Single fields of ``TrainOptions`` instead of, or in change of, those of ``options``.

    Raises:
        UsageError, ArgumentError: Refused before any training; see ``load_dataset``, ``split_by_group`` and ``fit``.
        DivergedError: A loss that became NaN or infinite.
    """
    options = replace(options or TrainOptions(), **fields)
    from ctfast.model.run_folder import TrainedModel
    from ctfast.model.training.events import EventFiles
    from ctfast.model.training.initial import load_initial, taken_over
    from ctfast.model.training.members import fit_members  # before files are read: a missing JAX is told at once

    given = None if options.init_from is None else load_initial(options.init_from)
    plan = plan_training(data, options, given, progress)
    if on_start is not None:
        on_start(plan.dataset, len(plan.training), len(plan.held_out))
    notes = list(plan.notes)
    model_config, initial = _model_config(plan, options), None
    if given is not None:
        network = given.model if isinstance(given, TrainedModel) else given
        initial, note = taken_over(network, model_config, plan.config.seed)
        notes.append(note)
    events = EventFiles(Path(out), on_step) if options.tensorboard else None
    trained_on = plan.dataset.take(plan.training)
    try:
        result = fit_members(
            trained_on,
            plan.folds,
            config=plan.config,
            model_config=model_config,
            run_dir=out,
            resume=options.resume,
            initial=initial,
            plots=options.plots,
            progress=on_step if events is None else events.on_step,
            facts={"recipe": plan.facts},
        )
    finally:
        if events is not None:
            events.close()
    report = TrainReport(result, describe(plan.dataset), warnings=[*plan.dataset.warnings, *notes])
    _judge(report, plan, trained_on, Path(out), plots=options.plots)
    return report


def _model_config(plan: TrainingPlan, options: TrainOptions) -> ModelConfig:
    return ModelConfig(
        image_size=plan.dataset.preprocessing.image_size,
        in_channels=3,
        widths=options.widths,
        dense=options.dense,
        classes=len(plan.dataset.classes),
    )


def _judge(report: TrainReport, plan: TrainingPlan, trained_on: Dataset, folder: Path, *, plots: bool) -> None:
    """Evaluate on the slices that chose the epochs, and on those that took no part; the latter are what is reported."""
    chosen_by = np.concatenate(plan.folds)
    if len(chosen_by):
        members = report.result.members or (report.result,)
        parts = [m.trained.predict_proba(trained_on.images[fold]) for m, fold in zip(members, plan.folds)]
        report.evaluation, report.chose = _evaluated(trained_on.take(chosen_by), np.concatenate(parts)), True
        write_json(folder / VALIDATION_FILE, report.evaluation.to_dict())
    if len(plan.held_out):
        test = plan.dataset.take(plan.held_out)
        report.evaluation = _evaluated(test, report.result.trained.predict_proba(test.images))
        report.chose = False
        write_json(folder / TEST_FILE, report.evaluation.to_dict())
        single = not report.result.members
        training = np.setdiff1d(plan.training, plan.training[chosen_by]) if single else plan.training
        record = record_of(plan.dataset, training, plan.training[chosen_by] if single else ())
        record["test"] = record_of(plan.dataset, plan.held_out)["training"]
        write_json(folder / "data.json", record)
    if report.evaluation is None or not plots:
        return
    if find_spec("matplotlib") is None:
        report.warnings.append(NO_PLOTS)
    else:
        from ctfast.model.evaluation.plots import save_plots

        save_plots(report.evaluation, folder / "plots")


def _evaluated(dataset: Dataset, probabilities: Any) -> Evaluation:
    return evaluate(probabilities, dataset.labels, dataset.classes, dataset.groups)
