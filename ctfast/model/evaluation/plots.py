"""Figures of an evaluation: ROC, precision and recall, reliability, confusion matrix.

>>> save_plots(evaluation, "run/plots")

Each function draws on matplotlib axes and returns them; without ``ax`` a new figure is made.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ctfast.batch.atomic import replacing
from ctfast.batch.notice import NOT_A_DEVICE
from ctfast.errors import UsageError, missing_extra
from ctfast.model.evaluation.metrics import formatted, wilson
from ctfast.model.evaluation.scores import Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS: Final = ("png", "svg")
_MOST_CLASSES: Final = 8
_FEW: Final = 100
"""Slices below which the points of a reliability curve are mostly chance."""


def roc(evaluation: Evaluation, ax: Axes | None = None) -> Axes:
    """Sensitivity against false alarms for every threshold; with more than two classes each against the rest."""
    from sklearn.metrics import roc_curve

    ax = _axes(ax)
    for c, name in _scored(evaluation):
        truth = evaluation.labels == c
        if truth.all() or not truth.any():
            continue
        false_alarms, sensitivity, _ = roc_curve(truth, evaluation.probabilities[:, c], drop_intermediate=False)
        value, span = formatted(evaluation.per_class[c].auc)
        ax.plot(false_alarms, sensitivity, drawstyle="steps-post", label=f"{name}: AUC {value} ({span})")
    ax.plot([0, 1], [0, 1], linestyle=":", color="gray", label="chance")
    return _finish(ax, "ROC", "1 - specificity", "sensitivity")


def precision_recall(evaluation: Evaluation, ax: Axes | None = None) -> Axes:
    """Positive predictive value against sensitivity for every threshold."""
    from sklearn.metrics import average_precision_score, precision_recall_curve

    ax = _axes(ax)
    for c, name in _scored(evaluation):
        truth = evaluation.labels == c
        if not truth.any():
            continue
        precision, recall, _ = precision_recall_curve(truth, evaluation.probabilities[:, c])
        area = average_precision_score(truth, evaluation.probabilities[:, c])
        ax.plot(recall, precision, drawstyle="steps-post", label=f"{name}: average precision {area:.3f}")
        ax.axhline(truth.mean(), linestyle=":", color="gray")
    return _finish(ax, "precision and recall", "sensitivity (recall)", "positive predictive value (precision)")


def reliability(evaluation: Evaluation, ax: Axes | None = None) -> Axes:
    """How often the class was right against the probability given; on the diagonal probabilities mean what they say."""
    ax = _axes(ax)
    curve = evaluation.reliability
    filled = curve.counts > 0
    ax.bar(
        (curve.edges[:-1] + curve.edges[1:]) / 2,
        curve.counts / curve.counts.sum(),
        width=np.diff(curve.edges),
        color="lightgray",
        label="share of slices",
    )
    spans = [wilson(seen * count, int(count)) for seen, count in zip(curve.observed[filled], curve.counts[filled])]
    ends = np.array([[s.value - s.low, s.high - s.value] for s in spans]).clip(0).T
    label = f"{evaluation.count} slices, 95 % interval of each share"
    ax.errorbar(curve.predicted[filled], curve.observed[filled], ends, marker="o", capsize=2, label=label)
    ax.plot([0, 1], [0, 1], linestyle=":", color="gray", label="ideal")
    what = (
        f"probability of {evaluation.classes[1]}" if len(evaluation.classes) == 2 else "probability of the class named"
    )
    title = f"reliability (expected calibration error {evaluation.calibration_error:.3f})"
    if evaluation.count < _FEW:
        title += "\ntoo few slices: the line's turns mean nothing"
    return _finish(ax, title, what, "observed frequency")


def confusion(evaluation: Evaluation, ax: Axes | None = None) -> Axes:
    """Counts; colours are shares of the true class."""
    ax = _axes(ax)
    of_class = evaluation.confusion.sum(axis=1, keepdims=True)
    share: NDArray[Any] = evaluation.confusion / np.maximum(of_class, 1)
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*evaluation.confusion.shape):
        color = "white" if share[row, column] > 0.5 else "black"
        ax.text(column, row, str(evaluation.confusion[row, column]), ha="center", va="center", color=color)
    ticks = range(len(evaluation.classes))
    ax.set_xticks(ticks, evaluation.classes, rotation=30, ha="right")
    ax.set_yticks(ticks, evaluation.classes)
    ax.set_title("confusion matrix")
    ax.set_xlabel("prediction")
    ax.set_ylabel("truth")
    _say_what_it_is_not(ax)
    return ax


def save_plots(evaluation: Evaluation, folder: str | Path, formats: tuple[str, ...] = FORMATS) -> list[Path]:
    """Draw the four figures into ``folder`` (made if needed, files of the same names are replaced).

    Raises:
        MissingDependencyError: Without matplotlib or scikit-learn.
        UsageError: If ``folder`` is a file.
    """
    try:
        import sklearn.metrics  # noqa: F401  # asked for before half of the figures are written
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_extra("plots need matplotlib and scikit-learn", "nn,report") from error
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file: a folder for the plots is needed")
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for draw in (roc, precision_recall, reliability, confusion):
        figure = Figure(figsize=(5.5, 5.0), layout="constrained")
        draw(evaluation, figure.subplots())
        for kind in formats:
            written.append(folder / f"{draw.__name__}.{kind}")
            with replacing(written[-1], "wb") as file:
                figure.savefig(file, format=kind, dpi=150, bbox_inches="tight")
    return written


def _scored(evaluation: Evaluation) -> list[tuple[int, str]]:
    classes = list(enumerate(evaluation.classes))
    return classes[1:] if len(classes) == 2 else classes[:_MOST_CLASSES]


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_extra("plots need matplotlib", "report") from error
    return Figure(figsize=(5.5, 5.0), layout="constrained").subplots()


def _finish(ax: Axes, title: str, x: str, y: str) -> Axes:
    ax.set_title(title)
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.set_xlim(-0.02, 1.02)
    ax.set_ylim(-0.02, 1.02)
    ax.set_aspect("equal")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="lower right", fontsize=8)
    _say_what_it_is_not(ax)
    return ax


def _say_what_it_is_not(ax: Axes) -> None:
    """Along the right side, where no label of a class, however long, can cover it."""
    ax.text(
        1.01,
        0.0,
        NOT_A_DEVICE,
        transform=ax.transAxes,
        rotation=90,
        va="bottom",
        fontsize=7,
        color="gray",
        clip_on=False,
    )
