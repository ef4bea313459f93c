"""What ``ctfast train`` does: read the set, split it by patient, train, and evaluate the result on the held-out slices.

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
from ctfast.model.config import ModelConfig
from ctfast.model.data.dataset import Dataset
from ctfast.model.data.labels import Paths
from ctfast.model.data.preprocessing import Preprocessing
from ctfast.model.data.record import describe
from ctfast.model.data.split import Indices, split_by_group
from ctfast.model.evaluation.scores import Evaluation, evaluate

if TYPE_CHECKING:
    from ctfast.model.training.fit import FitResult
    from ctfast.model.training.progress import OnStep

VALIDATION_FILE: Final = "validation.json"
"""In the run folder: the evaluation on the held-out slices."""
NO_PLOTS: Final = 'no plots were drawn: pip install "ctfast[report]"'


@dataclass
class TrainReport:
    """The result of ``train_run``.

    Attributes:
        result: What ``fit`` gave back.
        data: Counts and warnings of the set.
        evaluation: Of the best epoch on the held-out slices. These chose the epoch, so the metrics are a little too
            good.
        warnings: What the user should know.
    """

    result: FitResult
    data: dict[str, Any]
    evaluation: Evaluation | None = None
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

    >>> report = train_run("slices", "run", validation=0.3, config=TrainConfig(epochs=10))

    Args:
        data: As for ``load_dataset``.
        out: The run folder; must be new, empty, or the same run's.
        options: How; default: ``TrainOptions()``.
        progress: Called after each file that was read.
        on_start: Called once before training, with the set, the slices to train on, and those held out.
        on_step: Called after each step; see ``fit``.
        fields: Single fields of ``TrainOptions`` instead of, or in change of, those of ``options``.

    Raises:
        UsageError, ArgumentError: Refused before any training; see ``load_dataset``, ``split_by_group`` and ``fit``.
        DivergedError: A loss that became NaN or infinite.
    """
    options = replace(options or TrainOptions(), **fields)
    from ctfast.model.training.fit import fit  # before the files are read: a missing JAX is told at once

    dataset = options.load(data, options.preprocessing or Preprocessing(), progress=progress)
    training, held_out = dataset.labelled, np.empty(0, np.intp)
    if options.validation:
        training, held_out = split_by_group(dataset, options.validation, options.config.seed)
    if on_start is not None:
        on_start(dataset, len(training), len(held_out))
    result = fit(
        dataset,
        config=options.config,
        model_config=_model_config(dataset, options),
        validation=held_out if options.validation else None,
        run_dir=out,
        resume=options.resume,
        plots=options.plots,
        progress=on_step,
    )
    report = TrainReport(result, describe(dataset), warnings=list(dataset.warnings))
    if options.validation:
        _evaluate(report, dataset, held_out, Path(out), plots=options.plots)
    return report


def _model_config(dataset: Dataset, options: TrainOptions) -> ModelConfig:
    return ModelConfig(
        image_size=dataset.preprocessing.image_size,
        in_channels=3,
        widths=options.widths,
        dense=options.dense,
        classes=len(dataset.classes),
    )


def _evaluate(report: TrainReport, dataset: Dataset, held_out: Indices, folder: Path, *, plots: bool) -> None:
    probabilities = report.result.trained.predict_proba(dataset.images[held_out])
    report.evaluation = evaluate(probabilities, dataset.labels[held_out], dataset.classes, dataset.groups[held_out])
    write_json(folder / VALIDATION_FILE, report.evaluation.to_dict())
    if plots and find_spec("matplotlib") is None:
        report.warnings.append(NO_PLOTS)
    elif plots:
        from ctfast.model.evaluation.plots import save_plots

        save_plots(report.evaluation, folder / "plots")
