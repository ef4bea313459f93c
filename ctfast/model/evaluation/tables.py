"""Results of evaluations as tables for a terminal (rich)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table

from ctfast.batch.notice import NOT_A_DEVICE
from ctfast.model.evaluation.metrics import CLASS_METRICS, Interval, formatted

if TYPE_CHECKING:
    from ctfast.model.evaluation.cross_validation import CrossValidation, Outcome
    from ctfast.model.evaluation.scores import Evaluation


def evaluation_table(scores: Evaluation, title: str) -> Table:
    """Every metric with its interval."""
    who = f"{scores.count} slices" + (f" of {scores.patients} patients" if scores.patients is not None else "")
    table = Table(title=f"{title}: {who}", title_justify="left", caption=NOT_A_DEVICE, caption_justify="left")
    table.add_column("")
    table.add_column("value", justify="right")
    table.add_column("95 % interval", justify="right")
    table.add_row("accuracy", *formatted(scores.accuracy))
    if scores.accuracy_by_patient is not None and math.isfinite(scores.accuracy_by_patient.low):
        table.add_row("  resampled by patient", "", formatted(scores.accuracy_by_patient)[1])
    table.add_row("always the most frequent class", f"{scores.majority:.3f}", "")
    table.add_row("balanced accuracy", f"{scores.balanced_accuracy:.3f}", "")
    table.add_row("AUC", *formatted(scores.auc))
    listed = scores.per_class[1:] if len(scores.classes) == 2 else scores.per_class
    for of_class in listed:
        for key, name in CLASS_METRICS.items():
            if not (key == "auc" and len(scores.classes) == 2):
                table.add_row(f"{name}, {of_class.name}", *formatted(getattr(of_class, key)))
    table.add_row("Brier score", f"{scores.brier:.3f}", "")
    table.add_row("log loss", f"{scores.log_loss:.3f}", "")
    table.add_row("expected calibration error", f"{scores.calibration_error:.3f}", "")
    return table


def confusion_table(scores: Evaluation) -> Table:
    """The confusion matrix: rows are the truth."""
    table = Table(title="confusion matrix", title_justify="left")
    table.add_column("truth \\ prediction")
    for name in scores.classes:
        table.add_column(name, justify="right")
    for name, row in zip(scores.classes, scores.confusion):
        table.add_row(name, *map(str, row.tolist()))
    return table


def cross_validation_table(result: CrossValidation) -> Table:
    """The learner and the baselines side by side."""
    who = f"{len(result.labels)} slices of {len(np.unique(result.groups))} patients"
    how = f"{result.folds} folds by patient, {len(result.seeds)} {'seed' if len(result.seeds) == 1 else 'seeds'}"
    table = Table(title=f"cross-validation: {who}, {how}", title_justify="left")
    table.caption, table.caption_justify = NOT_A_DEVICE, "left"
    table.add_column("")
    for o in result.outcomes:
        table.add_column(o.name, justify="right")
    rows: list[tuple[str, Callable[[Outcome], str]]] = [
        ("accuracy", lambda o: formatted(o.accuracy)[0]),
        ("  95 % interval", lambda o: formatted(o.accuracy)[1]),
        ("  by patient", lambda o: formatted(o.accuracy_by_patient)[1]),
        ("  over seeds", lambda o: f"{o.accuracies.min():.3f} to {o.accuracies.max():.3f}"),
        ("AUC", lambda o: formatted(o.auc)[0]),
        ("  by patient", lambda o: formatted(o.auc)[1]),
        ("gain in accuracy", lambda o: "" if o.gain is None else f"{o.gain.value:+.3f}"),
        ("  by patient", lambda o: "" if o.gain is None else _signed(o.gain)),
        ("seconds", lambda o: f"{o.seconds:.1f}"),
    ]
    for name, text in rows:
        cells = [text(o) for o in result.outcomes]
        if any(cells):
            table.add_row(name, *cells)
    return table


def _signed(gain: Interval) -> str:
    return f"{gain.low:+.3f} to {gain.high:+.3f}" if math.isfinite(gain.low) else ""
