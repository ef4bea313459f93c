"""How good a classifier is on labelled slices, with intervals that say how certain that is.

>>> scores = evaluate(probabilities, labels, classes, groups)
>>> scores.accuracy, scores.auc        # value, low, high
>>> console.print(scores.as_table())

Not a medical device.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ctfast.batch.notice import NOT_A_DEVICE
from ctfast.errors import ArgumentError
from ctfast.model.evaluation import metrics
from ctfast.model.evaluation.metrics import CLASS_METRICS, ClassMetrics, Interval, Reliability

if TYPE_CHECKING:
    from rich.table import Table

_ROW_SUM_TOLERANCE: Final = 1e-3


@dataclass(frozen=True)
class Evaluation:
    """The result of ``evaluate``. Of two classes, ``per_class[1]`` holds the metrics of the positive one."""

    classes: tuple[str, ...]
    count: int
    patients: int | None
    accuracy: Interval
    """Wilson's interval, slices counted as independent."""
    accuracy_by_patient: Interval | None
    """The same value with the interval over resampled patients; None where each patient has one slice."""
    balanced_accuracy: float
    """Mean sensitivity of the classes."""
    majority: float
    """Accuracy of always naming the most frequent class."""
    auc: Interval
    """Two classes: the area of class 1; more: mean of each class against the rest."""
    log_loss: float
    brier: float
    calibration_error: float
    reliability: Reliability
    confusion: NDArray[np.int64]
    """``(classes, classes)``: rows are the truth, columns the prediction."""
    per_class: tuple[ClassMetrics, ...]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]

    def to_dict(self) -> dict[str, Any]:
        """Metrics as JSON-able values, NaN as None."""
        return {
            "classes": list(self.classes),
            "count": self.count,
            "patients": self.patients,
            "confidence": metrics.CONFIDENCE,
            "accuracy": plain(self.accuracy),
            "accuracy_by_patient": None if self.accuracy_by_patient is None else plain(self.accuracy_by_patient),
            "balanced_accuracy": _number(self.balanced_accuracy),
            "majority": _number(self.majority),
            "auc": plain(self.auc),
            "log_loss": _number(self.log_loss),
            "brier": _number(self.brier),
            "calibration_error": _number(self.calibration_error),
            "reliability": {
                "edges": self.reliability.edges.tolist(),
                "predicted": [_number(v) for v in self.reliability.predicted],
                "observed": [_number(v) for v in self.reliability.observed],
                "counts": self.reliability.counts.tolist(),
            },
            "confusion": self.confusion.tolist(),
            "per_class": [{"name": c.name, **{k: plain(getattr(c, k)) for k in CLASS_METRICS}} for c in self.per_class],
            "notice": NOT_A_DEVICE,
        }

    def as_table(self, title: str = "evaluation") -> Table:
        """For a terminal (rich)."""
        from ctfast.model.evaluation.tables import evaluation_table

        return evaluation_table(self, title)

    def confusion_table(self) -> Table:
        """The confusion matrix for a terminal (rich): rows are the truth."""
        from ctfast.model.evaluation.tables import confusion_table

        return confusion_table(self)


def evaluate(
    probabilities: ArrayLike,
    labels: ArrayLike,
    classes: Sequence[str],
    groups: ArrayLike | None = None,
    *,
    rounds: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Compare predictions with the truth.

    Args:
        probabilities: ``(N, classes)``, rows add up to 1.
        labels: ``(N,)`` class numbers; -1 (not known) is left out.
        classes: Their names.
        groups: ``(N,)`` patients; where some have several slices, intervals are also taken over resampled patients.
        rounds: Resamplings.
        seed: Of the resampling.

    A metric that is not defined (the AUC of one class) is NaN.

    Raises:
        ArgumentError: For shapes that do not fit, probabilities that are none (NaN among them), no known label.
    """
    p, y, g = _checked(probabilities, labels, classes, groups)
    predicted = p.argmax(axis=1)
    right = predicted == y
    number = len(classes)
    confusion = np.zeros((number, number), np.int64)
    np.add.at(confusion, (y, predicted), 1)
    resample = g is not None and len(np.unique(g)) < len(g)

    units = np.arange(len(y)) if g is None else g

    def resampled(statistic: metrics.Statistic) -> Interval:
        return metrics.grouped_bootstrap(statistic, units, rounds=rounds, seed=seed)

    def area(c: int) -> Interval:
        if not resample:
            return metrics.auc_delong(y == c, p[:, c])
        return resampled(metrics.weighted_auc((y == c).astype(int), np.stack([1 - p[:, c], p[:, c]], axis=1)))

    areas = [area(1)] * 2 if number == 2 else [area(c) for c in range(number)]  # of two classes they are the same
    per_class = tuple(_class_metrics(confusion, c, str(name), areas[c]) for c, name in enumerate(classes))
    recall = [c.sensitivity.value for c in per_class if math.isfinite(c.sensitivity.value)]
    curve = metrics.reliability(y, p)
    overall = per_class[1].auc if number == 2 else resampled(metrics.weighted_auc(y, p))
    return Evaluation(
        classes=tuple(map(str, classes)),
        count=len(y),
        patients=None if g is None else len(np.unique(g)),
        accuracy=metrics.wilson(int(right.sum()), len(y)),
        accuracy_by_patient=resampled(metrics.weighted_mean(right.astype(np.float64))) if resample else None,
        balanced_accuracy=float(np.mean(recall)),
        majority=float(confusion.sum(axis=1).max() / len(y)),
        auc=overall,
        log_loss=float(-np.log(np.clip(p[np.arange(len(y)), y], 1e-12, 1)).mean()),
        brier=metrics.brier(y, p),
        calibration_error=metrics.expected_calibration_error(curve),
        reliability=curve,
        confusion=confusion,
        per_class=per_class,
        labels=y,
        probabilities=p,
    )


def _class_metrics(confusion: NDArray[np.int64], c: int, name: str, area: Interval) -> ClassMetrics:
    hit = int(confusion[c, c])
    of_class, called = int(confusion[c].sum()), int(confusion[:, c].sum())
    total = int(confusion.sum())
    others_left = total - of_class - called + hit
    return ClassMetrics(
        name=name,
        sensitivity=metrics.wilson(hit, of_class),
        specificity=metrics.wilson(others_left, total - of_class),
        positive_predictive_value=metrics.wilson(hit, called),
        negative_predictive_value=metrics.wilson(others_left, total - called),
        auc=area,
    )


def _checked(
    probabilities: ArrayLike, labels: ArrayLike, classes: Sequence[str], groups: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[Any] | None]:
    p, y = np.asarray(probabilities, np.float64), np.asarray(labels)
    g = None if groups is None else np.asarray(groups)
    if p.ndim != 2 or p.shape[1] != len(classes) or len(classes) < 2 or y.shape != p.shape[:1]:
        raise ArgumentError(
            f"probabilities of shape {p.shape}, labels of shape {y.shape}, {len(classes)} classes: "
            "(N, classes), (N,) and two or more classes are needed"
        )
    if g is not None and g.shape != y.shape:
        raise ArgumentError(f"groups of shape {g.shape} for {len(y)} labels: one per slice is needed")
    if not np.issubdtype(y.dtype, np.integer) or (y < -1).any() or (y >= len(classes)).any():
        raise ArgumentError(f"labels must be whole numbers from 0 to {len(classes) - 1}, or -1 where not known")
    if not np.isfinite(p).all() or (p < 0).any() or np.abs(p.sum(axis=1) - 1).max(initial=0) > _ROW_SUM_TOLERANCE:
        raise ArgumentError("probabilities must be finite, not negative, and add up to 1 in each row: apply softmax")
    known = y >= 0
    if not known.any():
        raise ArgumentError("no slice has a known label: nothing to compare with")
    return p[known], y[known].astype(np.int64), None if g is None else g[known]


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def plain(interval: Interval) -> dict[str, float | None]:
    """As JSON-able values, NaN as None."""
    return {"value": _number(interval.value), "low": _number(interval.low), "high": _number(interval.high)}
