"""Figures of merit against scikit-learn, SciPy and published values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, norm
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, mean_squared_error, roc_auc_score

from ctfast.model.evaluation import metrics


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_that_of_scipy(pair: tuple[int, int]) -> None:
    k, n = pair
    expected = binomtest(k, n).proportion_ci(0.95, method="wilson")
    found = metrics.wilson(k, n)
    assert found.value == k / n
    assert found.low == pytest.approx(expected.low, abs=1e-12)
    assert found.high == pytest.approx(expected.high, abs=1e-12)


def test_wilson_of_newcombes_examples() -> None:
    # Newcombe 1998, table I, method 3
    for k, n, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        found = metrics.wilson(k, n)
        assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
    assert math.isnan(metrics.wilson(0, 0).value)


def scored(n: int, seed: int, *, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    y[:2] = 0, 1
    scores = np.clip(rng.normal(y * 0.8, 1.0) / 8 + 0.5, 0, 1)
    return y, np.round(scores, 1) if ties else scores


@pytest.mark.parametrize("ties", [False, True])
def test_auc_is_that_of_sklearn(ties: bool) -> None:
    for seed in range(20):
        y, scores = scored(40, seed, ties=ties)
        assert metrics.auc(y == 1, scores) == pytest.approx(roc_auc_score(y, scores), abs=1e-12)
        assert metrics.auc_delong(y == 1, scores).value == pytest.approx(roc_auc_score(y, scores), abs=1e-12)


def test_delong_by_its_definition() -> None:
    y, scores = scored(60, 3, ties=True)
    above, below = scores[y == 1], scores[y == 0]
    psi = (above[:, None] > below) + 0.5 * (above[:, None] == below)  # DeLong 1988, equation 1
    m, n = psi.shape
    v10, v01 = psi.mean(axis=1), psi.mean(axis=0)
    s = ((v10 - psi.mean()) ** 2).sum() / (m - 1) / m + ((v01 - psi.mean()) ** 2).sum() / (n - 1) / n
    found = metrics.auc_delong(y == 1, scores)
    half = norm.ppf(0.975) * math.sqrt(s)
    assert found.low == pytest.approx(psi.mean() - half, abs=1e-12)
    assert found.high == pytest.approx(psi.mean() + half, abs=1e-12)


def test_auc_of_one_class_or_of_single_slices() -> None:
    scores = np.array([0.2, 0.7])
    assert math.isnan(metrics.auc(np.array([True, True]), scores))
    assert math.isnan(metrics.auc_delong(np.array([False, False]), scores).value)
    found = metrics.auc_delong(np.array([False, True]), scores)
    assert found.value == 1.0
    assert math.isnan(found.low), "no error seen is no interval"


def test_auc_of_several_classes_is_the_mean_of_each_against_the_rest(rng: np.random.Generator) -> None:
    y = rng.integers(0, 4, 80)
    p = rng.dirichlet(np.ones(4), 80)
    expected = roc_auc_score(y, p, multi_class="ovr", average="macro")
    assert metrics.auc_one_vs_rest(y, p) == pytest.approx(expected, abs=1e-12)
    assert math.isnan(metrics.auc_one_vs_rest(np.minimum(y, 2), p))


def test_brier_is_that_of_sklearn(rng: np.random.Generator) -> None:
    y, scores = scored(50, 0)
    p = np.stack([1 - scores, scores], axis=1)
    assert metrics.brier(y, p) == pytest.approx(brier_score_loss(y, scores), abs=1e-12)
    y3, p3 = rng.integers(0, 3, 50), rng.dirichlet(np.ones(3), 50)
    expected = 3 * mean_squared_error(np.eye(3)[y3], p3)  # over all entries; Brier adds the three of each slice
    assert metrics.brier(y3, p3) == pytest.approx(expected, abs=1e-12)


def test_reliability_is_that_of_sklearn() -> None:
    y, scores = scored(300, 5)
    curve = metrics.reliability(y, np.stack([1 - scores, scores], axis=1))
    observed, predicted = calibration_curve(y, scores, n_bins=10, strategy="uniform")
    filled = curve.counts > 0
    assert curve.counts.sum() == 300
    assert np.allclose(curve.observed[filled], observed)
    assert np.allclose(curve.predicted[filled], predicted)
    gap = (np.abs(observed - predicted) * curve.counts[filled]).sum() / 300
    assert metrics.expected_calibration_error(curve) == pytest.approx(gap)


def test_reliability_at_the_edges() -> None:
    y = np.array([0, 1, 1, 0])
    p = np.array([0.0, 1.0, 0.5, 0.5])
    curve = metrics.reliability(y, np.stack([1 - p, p], axis=1), bins=2)
    assert curve.counts.tolist() == [1, 3]
    assert curve.observed.tolist() == [0.0, 2 / 3]
    assert np.isnan(metrics.reliability(y, np.stack([1 - p, p], axis=1), bins=10).observed[1])


def test_reliability_of_several_classes_is_that_of_the_top_one() -> None:
    p = np.array([[0.6, 0.3, 0.1], [0.1, 0.1, 0.8], [0.2, 0.7, 0.1]])
    curve = metrics.reliability(np.array([0, 2, 0]), p, bins=2)
    assert curve.counts.tolist() == [0, 3]
    assert curve.observed[1] == pytest.approx(2 / 3)
    assert curve.predicted[1] == pytest.approx(0.7)


def test_weights_are_repetitions(rng: np.random.Generator) -> None:
    for classes in (2, 3):
        y = rng.integers(0, classes, 30)
        p = np.round(rng.dirichlet(np.ones(classes), 30), 1)
        p[:, 0] = 1 - p[:, 1:].sum(axis=1)
        weights = rng.integers(0, 4, 30)
        drawn = np.repeat(np.arange(30), weights)
        expected = metrics.auc_one_vs_rest(y[drawn], p[drawn])
        assert metrics.weighted_auc(y, p)(weights.astype(float)) == pytest.approx(expected, abs=1e-12)
        assert metrics.weighted_mean(p[:, 0])(weights.astype(float)) == pytest.approx(p[drawn, 0].mean())
    assert math.isnan(metrics.weighted_auc(y, p)((y != 0).astype(float)))


def test_the_bootstrap_draws_whole_groups() -> None:
    x = np.random.default_rng(0).normal(size=400)
    mean = metrics.weighted_mean(x)
    alone = metrics.grouped_bootstrap(mean, np.arange(400))
    assert alone.value == pytest.approx(x.mean())
    # The normal interval of a mean; the percentile bootstrap of 1000 rounds is within some 5 % of its width.
    half = 1.96 * x.std() / 20
    assert alone.low == pytest.approx(x.mean() - half, abs=0.25 * half)
    assert alone.high == pytest.approx(x.mean() + half, abs=0.25 * half)
    four_times = metrics.weighted_mean(np.repeat(x, 4))
    grouped = metrics.grouped_bootstrap(four_times, np.repeat(np.arange(400), 4))
    assert (grouped.low, grouped.high) == (pytest.approx(alone.low, abs=1e-9), pytest.approx(alone.high, abs=1e-9))
    assert metrics.grouped_bootstrap(mean, np.arange(400)) == alone
    assert metrics.grouped_bootstrap(mean, np.arange(400), seed=1) != alone


def test_the_bootstrap_of_what_is_not_defined() -> None:
    found = metrics.grouped_bootstrap(lambda weights: math.nan, np.arange(3))
    assert all(math.isnan(v) for v in found)
    sometimes = metrics.grouped_bootstrap(lambda weights: 1.0 if weights[0] else math.nan, np.arange(3))
    assert sometimes.value == 1.0
    assert math.isnan(sometimes.low), "an interval without width is none"
    assert metrics.grouped_bootstrap(lambda weights: weights[0] or math.nan, np.arange(3)).low == 1.0
