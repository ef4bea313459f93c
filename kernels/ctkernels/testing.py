"""The one comparison helper of tests and benchmarks: it raises by itself, and a test proves that it can."""

from __future__ import annotations

from typing import Any

import numpy as np


def assert_exact(actual: Any, expected: Any, context: str = "") -> None:
    """Same kind of array, shape, dtype and every value (NaN equals NaN); tells where and by how much otherwise."""
    _same_form(actual, expected, context)
    a, e = _host(actual), _host(expected)
    wrong = ~((a == e) | ((a != a) & (e != e)))
    if wrong.any():
        _fail(a, e, wrong, f"must be equal in every value {context}")


def assert_close(actual: Any, exact: Any, ordinary_error: Any, context: str = "") -> None:
    """At most twice the error that ordinary float32 work makes, against the float64 result ``exact``.

    ``ordinary_error`` is that error, absolute, per pixel or for all; integer results may be off by their rounding of
    one half besides. Where ``exact`` is NaN or infinite the result must be the same.
    """
    a, e = _host(actual), np.asarray(exact, np.float64)
    if a.shape != e.shape:
        raise AssertionError(f"shape {a.shape}, expected {e.shape} {context}")
    finite = np.isfinite(e)
    rounding = 0.5 if a.dtype.kind in "iu" else 0.0
    with np.errstate(invalid="ignore"):
        off = np.abs(a.astype(np.float64) - e) > 2 * np.asarray(ordinary_error, np.float64) + rounding
    same_special = (a == e) | ((a != a) & (e != e))
    wrong = np.where(finite, off | ~np.isfinite(a), ~same_special)
    if wrong.any():
        _fail(a, e, wrong, f"must be within twice the ordinary float32 error {context}")


def ordinary_error(exact: Any, magnitude: float, steps: float = 4.0) -> np.ndarray:
    """Error of a short float32 computation: ``steps`` roundings of intermediate values as large as ``magnitude``."""
    eps = float(np.finfo(np.float32).eps)
    return steps * eps * np.maximum(np.abs(np.asarray(exact, np.float64)), magnitude)


def _same_form(actual: Any, expected: Any, context: str) -> None:
    for name in ("shape", "dtype"):
        a, e = getattr(actual, name), getattr(expected, name)
        if a != e:
            raise AssertionError(f"{name} {a}, expected {e} {context}")
    if type(actual) is not type(expected):
        raise AssertionError(f"array type {type(actual).__name__}, expected {type(expected).__name__} {context}")


def _host(x: Any) -> np.ndarray:
    return np.asarray(x.get() if hasattr(x, "get") else x)


def _fail(a: np.ndarray, e: np.ndarray, wrong: np.ndarray, rule: str) -> None:
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    with np.errstate(invalid="ignore", over="ignore"):
        worst = np.nanmax(np.where(wrong, np.abs(a.astype(np.float64) - e.astype(np.float64)), 0), initial=0)
    raise AssertionError(
        f"{int(wrong.sum())} of {wrong.size} values differ, first at {index}: {a[index]!r} instead of {e[index]!r}, "
        f"largest difference {worst:g}; {rule}"
    )
