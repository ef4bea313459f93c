"""Metrics of a classifier, each on plain arrays.

Shapes: ``labels`` ``(N,)`` whole numbers from 0, ``probabilities`` ``(N, classes)`` with rows that add up to 1,
``scores`` ``(N,)``. Sources: Wilson 1927 (J. Am. Stat. Assoc. 22:209) for intervals of proportions, with Newcombe 1998
(Stat. Med. 17:857) for their coverage; DeLong 1988 (Biometrics 44:837) for the variance of an AUC, by the mid-ranks of
Sun and Xu 2014 (IEEE Signal Process. Lett. 21:1389); Brier 1950 (Mon. Weather Rev. 78:1); expected calibration error by
equal-width bins after Naeini 2015 (AAAI). scikit-learn has most of these and is what the tests compare with; here the
AUC is a rank sum, because a bootstrap takes it a thousand times (.05 ms instead of 1 ms).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

CONFIDENCE: Final = 0.95
BINS: Final = 10

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]
Statistic = Callable[[Floats], float]
"""Of slices with weights ``(N,)``."""


class Interval(NamedTuple):
    """A metric and its confidence interval; NaN where it is not defined."""

    value: float
    low: float
    high: float


UNDEFINED: Final = Interval(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class ClassMetrics:
    """One class against the rest; proportions with Wilson intervals, NaN where nobody is counted."""

    name: str
    sensitivity: Interval
    """Recall: share of the slices of the class that were predicted as it."""
    specificity: Interval
    """Share of the slices of other classes that were not predicted as it."""
    positive_predictive_value: Interval
    """Precision: share of the slices predicted as the class that are of it."""
    negative_predictive_value: Interval
    auc: Interval
    """DeLong's interval, or by resampled patients where patients have several slices."""


CLASS_METRICS: Final = {
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "positive_predictive_value": "positive predictive value",
    "negative_predictive_value": "negative predictive value",
    "auc": "AUC",
}
"""Fields of ``ClassMetrics`` and what tables call them."""


class Reliability(NamedTuple):
    """What the probabilities are worth, in bins of equal width over 0 to 1."""

    edges: Floats
    """``(bins + 1,)``."""
    predicted: Floats
    """Mean probability in each bin, NaN where it is empty."""
    observed: Floats
    """Share that was right, NaN where it is empty."""
    counts: NDArray[np.int64]


def wilson(successes: float, n: int, confidence: float = CONFIDENCE) -> Interval:
    """A proportion with Wilson's score interval; undefined for ``n`` = 0."""
    if n == 0:
        return UNDEFINED
    z = _z(confidence)
    p = successes / n
    center = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return Interval(p, max(0.0, center - half), min(1.0, center + half))


def auc(positive: NDArray[np.bool_], scores: Floats) -> float:
    """Area under the ROC curve: how often a positive scores above a negative, ties by half; NaN with one class."""
    m = int(positive.sum())
    n = len(positive) - m
    if m == 0 or n == 0:
        return math.nan
    return float((_midranks(scores)[positive].sum() - m * (m + 1) / 2) / (m * n))


def auc_delong(positive: NDArray[np.bool_], scores: Floats, confidence: float = CONFIDENCE) -> Interval:
    """Area under the ROC curve with DeLong's interval, cut to 0..1.

    Undefined with one class. Observations count as independent; where patients have several slices, resample by
    patient (``grouped_bootstrap``). At an area of exactly 0 or 1 the variance is 0 and says nothing: NaN for the ends.
    """
    m, n = int(positive.sum()), int((~positive).sum())
    if m == 0 or n == 0:
        return UNDEFINED
    above, below = scores[positive], scores[~positive]
    together = _midranks(np.concatenate([above, below]))
    area = float((together[:m].sum() - m * (m + 1) / 2) / (m * n))
    v10 = (together[:m] - _midranks(above)) / n
    v01 = 1 - (together[m:] - _midranks(below)) / m
    variance = (v10.var(ddof=1) / m if m > 1 else 0.0) + (v01.var(ddof=1) / n if n > 1 else 0.0)
    if variance == 0:
        return Interval(area, math.nan, math.nan)
    half = _z(confidence) * math.sqrt(variance)
    return Interval(area, max(0.0, area - half), min(1.0, area + half))


def auc_one_vs_rest(labels: Ints, probabilities: Floats) -> float:
    """Mean over classes of the area of each class against the rest; NaN unless every class is there.

    With two classes that is the ordinary AUC.
    """
    classes = probabilities.shape[1]
    if len(np.unique(labels)) < classes:
        return math.nan
    if classes == 2:
        return auc(labels == 1, probabilities[:, 1])
    return float(np.mean([auc(labels == c, probabilities[:, c]) for c in range(classes)]))


def brier(labels: Ints, probabilities: Floats) -> float:
    """Mean squared error of the probabilities, 0 is best: of class 1 with two classes, else summed over classes."""
    if probabilities.shape[1] == 2:
        return float(np.mean((probabilities[:, 1] - labels) ** 2))
    truth = np.eye(probabilities.shape[1])[labels]
    return float(np.mean(((probabilities - truth) ** 2).sum(axis=1)))


def reliability(labels: Ints, probabilities: Floats, bins: int = BINS) -> Reliability:
    """Two classes: probability of class 1 against its frequency; more: top probability against being right."""
    if probabilities.shape[1] == 2:
        predicted, right = probabilities[:, 1], labels == 1
    else:
        predicted, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    edges = np.linspace(0.0, 1.0, bins + 1)
    index = np.clip(np.digitize(predicted, edges[1:-1], right=False), 0, bins - 1)
    counts = np.bincount(index, minlength=bins)
    with np.errstate(invalid="ignore"):  # 0 / 0 of empty bins is the NaN that is wanted
        mean = np.bincount(index, predicted, bins) / counts
        share = np.bincount(index, right.astype(float), bins) / counts
    return Reliability(edges, mean, share, counts)


def expected_calibration_error(curve: Reliability) -> float:
    """Mean distance of probability and frequency over bins, weighted by their counts; 0 is best."""
    filled = curve.counts > 0
    gap = np.abs(curve.predicted[filled] - curve.observed[filled])
    return float((gap * curve.counts[filled]).sum() / curve.counts.sum())


def grouped_bootstrap(
    statistic: Statistic,
    groups: Ints,
    *,
    rounds: int = 1000,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> Interval:
    """A statistic of weighted slices, with its percentile interval over resampled groups.

    Whole groups (patients) are drawn with replacement (Davison and Hinkley 1997, 3.8), because slices of one patient
    are no independent evidence; a slice's weight is how often its group was drawn. Rounds in which the statistic is
    not defined are left out. Where all rounds give the same (no error was seen), the ends are NaN: that is no interval.
    """
    _, inverse = np.unique(groups, return_inverse=True)
    number = int(inverse.max()) + 1
    rng = np.random.default_rng(seed)
    statistics = np.empty(rounds)
    for k in range(rounds):
        drawn = np.bincount(rng.integers(0, number, number), minlength=number)
        statistics[k] = statistic(drawn[inverse].astype(np.float64))
    statistics = statistics[np.isfinite(statistics)]
    value = statistic(np.ones(len(groups)))
    if not len(statistics) or not math.isfinite(value):
        return Interval(value, math.nan, math.nan)
    tail = (1 - confidence) / 2
    low, high = np.quantile(statistics, [tail, 1 - tail])
    if low == high:
        return Interval(value, math.nan, math.nan)
    return Interval(value, float(low), float(high))


def weighted_mean(x: Floats) -> Statistic:
    """The mean of ``x``, for ``grouped_bootstrap``."""
    return lambda weights: float(weights @ x / weights.sum())


def weighted_auc(labels: Ints, probabilities: Floats) -> Statistic:
    """``auc_one_vs_rest`` of weighted slices, for ``grouped_bootstrap``: sorted once, linear in each round."""
    classes = range(1, 2) if probabilities.shape[1] == 2 else range(probabilities.shape[1])
    areas = [_weighted_area(labels == c, probabilities[:, c]) for c in classes]
    return lambda weights: float(np.mean([area(weights) for area in areas]))


def _weighted_area(positive: NDArray[np.bool_], scores: Floats) -> Statistic:
    order = np.argsort(scores, kind="stable")
    ordered, above = scores[order], positive[order].astype(np.float64)
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))

    def area(weights: Floats) -> float:
        drawn = weights[order]
        hits = np.add.reduceat(drawn * above, starts)
        misses = np.add.reduceat(drawn * (1 - above), starts)
        total = hits.sum() * misses.sum()
        if total == 0:
            return math.nan
        return float(hits @ (np.cumsum(misses) - misses / 2) / total)

    return area


def formatted(interval: Interval) -> tuple[str, str]:
    """Value and interval as text, empty where not defined."""
    if not math.isfinite(interval.value):
        return "not defined", ""
    span = f"{interval.low:.3f} to {interval.high:.3f}" if math.isfinite(interval.low) else ""
    return f"{interval.value:.3f}", span


def _midranks(x: Floats) -> Floats:
    """Ranks from 1, the mean rank for equal values."""
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def _z(confidence: float) -> float:
    return NormalDist().inv_cdf((1 + confidence) / 2)
