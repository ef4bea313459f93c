"""Counts against NumPy on the pixels themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from ctfast.analysis import Distribution, distribution

LEVELS = (0.0, 1.0, 12.5, 25.0, 50.0, 99.0, 100.0)


def check(pixels: np.ndarray) -> None:
    found = distribution(pixels)
    exact = pixels.astype(np.float64)
    assert found.exact
    assert found.total == pixels.size
    assert found.range() == (exact.min(), exact.max())
    np.testing.assert_allclose(found.mean_and_sd(), (exact.mean(), exact.std()), rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(found.percentiles(LEVELS), np.percentile(exact, LEVELS), rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32", "float64"])
def test_whole_numbers_are_exact(dtype: str, rng: np.random.Generator) -> None:
    low, high = (0, 255) if dtype == "uint8" else (0, 65535) if dtype == "uint16" else (-3024, 3071)
    check(rng.integers(low, high + 1, (37, 41)).astype(dtype))


@given(arrays(np.int16, (5, 7)))
def test_any_int16_image_is_exact(pixels: np.ndarray) -> None:
    check(pixels)


def test_fractions_are_counted_in_steps(rng: np.random.Generator) -> None:
    pixels = rng.normal(0, 300, (60, 60))
    found = distribution(pixels, step=1.0)
    assert not found.exact
    values, counts = np.unique(np.floor(pixels), return_counts=True)
    np.testing.assert_array_equal(found.values[found.counts > 0], values)
    np.testing.assert_array_equal(found.counts[found.counts > 0], counts)
    coarse = distribution(pixels)
    assert abs(coarse.mean_and_sd()[0] - pixels.mean()) < 1


def test_nan_and_inf_are_left_out() -> None:
    found = distribution(np.array([[np.nan, np.inf, 1.5, 2.5]]), step=0.5)
    assert found.total == 2
    assert found.range() == (1.5, 2.5)
    nothing = distribution(np.full((2, 2), np.nan))
    assert nothing.total == 0
    assert np.isnan(nothing.mean_and_sd()).all()
    assert np.isnan(nothing.percentiles((50.0,))).all()


def test_huge_values_are_counted_in_few_bins() -> None:
    found = distribution(np.array([[0.0, 1e12]]))
    assert found.total == 2
    assert len(found.counts) <= 4097


def test_parts_and_sums(rng: np.random.Generator) -> None:
    first, second = (rng.integers(-1000, 1000, (20, 20)).astype(np.int16) for _ in range(2))
    both = distribution(first) + distribution(second)
    pixels = np.concatenate([first, second])
    np.testing.assert_allclose(both.percentiles(LEVELS), np.percentile(pixels, LEVELS))
    part = pixels[(pixels >= -30) & (pixels < 15)]
    assert both.count(-30, 15) == part.size
    assert both.between(-30, 15).total == part.size
    np.testing.assert_allclose(both.between(-30, 15).mean_and_sd(), (part.mean(), part.std()))
    assert both.count(5000, 9000) == both.between(5000, 9000).total == 0
    assert both.count(-np.inf, np.inf) == pixels.size
    with pytest.raises(ValueError, match="can't be added"):
        _ = both + Distribution(0.0, 0.5, np.ones(3, np.int64))
