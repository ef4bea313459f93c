"""The comparison helper must be able to fail, in every way it promises."""

from __future__ import annotations

import numpy as np
import pytest

from ctkernels.testing import assert_close, assert_exact, ordinary_error

A = np.array([[1.0, np.nan], [np.inf, 4.0]], np.float32)


def test_equal_arrays_pass() -> None:
    assert_exact(A, A.copy())
    assert_close(A, A.astype(np.float64), 0.0)


@pytest.mark.parametrize(
    ("actual", "message"),
    [
        (A.astype(np.float64), "dtype"),
        (A[:1], "shape"),
        (A.view(np.ma.MaskedArray), "array type"),
        (np.where(np.isnan(A), 0, A).astype(np.float32), "1 of 4 values differ, first at \\(0, 1\\)"),
        (np.where(A == 4, np.nan, A).astype(np.float32), "values differ"),
        (np.nextafter(A, np.float32(0)), "values differ"),
    ],
)
def test_exact_fails(actual: np.ndarray, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        assert_exact(actual, A)


def test_close_allows_twice_the_error_and_no_more() -> None:
    exact = np.array([1.0, 100.0])
    assert_close((exact + [0.019, -0.019]).astype(np.float32), exact, 0.01)
    with pytest.raises(AssertionError, match="1 of 2"):
        assert_close((exact + [0.0, 0.021]).astype(np.float32), exact, 0.01)


def test_close_allows_integers_their_rounding_only() -> None:
    exact = np.array([0.5, 1.2])
    assert_close(np.array([1, 1], np.uint8), exact, 0.0)
    with pytest.raises(AssertionError, match="1 of 2"):
        assert_close(np.array([0, 2], np.uint8), exact, 0.0)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_close_fails_where_a_number_was_due(wrong: float) -> None:
    with pytest.raises(AssertionError):
        assert_close(np.array([wrong]), np.array([1.0]), 1e9)
    with pytest.raises(AssertionError):
        assert_close(np.array([1.0]), np.array([wrong]), 1e9)


def test_close_fails_on_shape() -> None:
    with pytest.raises(AssertionError, match="shape"):
        assert_close(np.zeros(3), np.zeros((3, 1)), 1.0)


def test_ordinary_error_grows_with_the_values() -> None:
    small, large = ordinary_error(np.array([0.1, 1000.0]), magnitude=1.0)
    assert large == pytest.approx(1000 * small)
