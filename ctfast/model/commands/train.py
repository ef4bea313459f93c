"""What ``ctfast train`` does: read the set, split it by patient, train, and say how the result does on the rest.

Not a medical device.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ctfast.analysis.scan.table import write_text
from ctfast.batch.progress import Show, silent
from ctfast.errors import ArgumentError, UsageError
from ctfast.files import UnitsChoice
from ctfast.model.commands.evaluate import DATA_FILE
from ctfast.model.config import ModelConfig, TrainConfig
from ctfast.model.data.dataset import Dataset, describe, load_dataset, record_of
from ctfast.model.data.labels import Inputs
from ctfast.model.data.preprocessing import Preprocessing
from ctfast.model.data.split import split_by_group
from ctfast.model.evaluation.scores import Evaluation, evaluate

if TYPE_CHECKING:
    from ctfast.model.training.fit import FitResult, Progress

VALIDATION_FILE: Final = "validation.json"


@dataclass
class TrainReport:
    """What a training did."""

    result: FitResult
    data: dict[str, Any]
    """The set in figures."""
    evaluation: Evaluation | None
    """Of the best epoch on what was held out; it chose the epoch, so the figures flatter a little."""
    warnings: list[str] = field(default_factory=list)

    @property
    def unread(self) -> int:
        """Files that could not be read."""
        return len(self.data["unread"])


def train_run(
    data: Inputs,
    out: str | Path,
    *,
    config: TrainConfig,
    preprocessing: Preprocessing,
    widths: tuple[int, ...],
    dense: int,
    validation: float = 0.2,
    labels: str | Path | None = None,
    column: str | None = None,
    groups: str | None = None,
    units: UnitsChoice = "auto",
    resume: bool = True,
    workers: int | None = None,
    reading: Show = silent,
    progress: Callable[[Progress], None] | None = None,
    told: Callable[[Dataset, int, int], None] | None = None,
    plots: bool = True,
) -> TrainReport:
    """Train on a folder of slices.

    Args:
        data: As for ``load_dataset``.
        out: The run folder; must be new, empty, or the same run's.
        config: How.
        preprocessing: From HU to the network's input.
        widths: Channels of each block.
        dense: Units of the hidden layer.
        validation: Share of the slices to hold out, patients never torn; 0: train on all.
        labels: Table of labels.
        column: Its column of classes.
        groups: Its column of patients.
        units: What the files' values are.
        resume: Go on with the run in ``out``, if there is one.
        workers: Files read at once.
        reading: Told after each file.
        progress: Told after each step; see ``fit``.
        told: Called once before training: the set, slices to train on, slices held out.
        plots: Draw the curves of the evaluation.

    Raises:
        UsageError, ArgumentError: Refused before any training; see ``load_dataset``, ``split_by_group`` and ``fit``.
        DivergedError: A loss that became NaN or infinite.
    """
    if not 0 <= validation < 1:
        raise ArgumentError(f"validation={validation!r}: a share from 0 to below 1 is allowed")
    if config.patience and not validation:
        raise UsageError("early stopping (--patience) needs held-out slices: give --validation above 0")
    dataset = load_dataset(
        data,
        labels=labels,
        column=column,
        groups=groups,
        preprocessing=preprocessing,
        units=units,
        workers=workers,
        progress=reading,
    )
    training, held_out = dataset.labelled, np.empty(0, np.intp)
    if validation:
        training, held_out = split_by_group(dataset, validation, config.seed)
    if told is not None:
        told(dataset, len(training), len(held_out))
    model_config = ModelConfig(
        image_size=preprocessing.image_size,
        in_channels=3,
        widths=widths,
        dense=dense,
        classes=len(dataset.classes),
    )
    from ctfast.model.training.fit import fit

    folder = Path(out)
    record = record_of(dataset, training, held_out)

    def show(event: Progress) -> None:
        if not (folder / DATA_FILE).exists():  # fit has accepted the folder by now
            write_text(folder / DATA_FILE, json.dumps(record, indent=1) + "\n")
        if progress is not None:
            progress(event)

    result = fit(
        dataset,
        config=config,
        model_config=model_config,
        validation=held_out if validation else None,
        run_dir=folder,
        resume=resume,
        progress=show,
    )
    report = TrainReport(result, describe(dataset), None, list(dataset.warnings))
    if validation:
        found = result.trained.predict_proba(dataset.images[held_out])
        report.evaluation = evaluate(found, dataset.labels[held_out], dataset.classes, dataset.groups[held_out])
        write_text(folder / VALIDATION_FILE, json.dumps(report.evaluation.to_dict(), indent=1) + "\n")
        if plots and find_spec("matplotlib") is not None:
            from ctfast.model.evaluation.plots import save_plots

            save_plots(report.evaluation, folder / "plots")
        elif plots:
            report.warnings.append('no plots were drawn: pip install "ctfast[report]"')
    return report
