"""What tests and benchmarks share.

The comparison helper raises by itself, and a test proves that it can. The context managers make the CPU backend do for
any image what it otherwise does for large ones only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
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


@contextmanager
def fresh_pool(threads: int) -> Iterator[Any]:
    """Inside, the CPU backend has a thread pool of its own, whatever the machine has; the ``parallel.Pool``."""
    from ctkernels.cpu._core import parallel

    before, parallel.pool = parallel.pool, parallel.Pool()
    parallel.pool.threads = threads
    try:
        yield parallel.pool
    finally:
        if parallel.pool.executor is not None:
            parallel.pool.executor.shutdown()
        parallel.pool = before


@contextmanager
def force_bands(threads: int = 2, bands: Sequence[tuple[int, int, int]] | None = None) -> Iterator[None]:
    """Inside, the CPU backend cuts images of any size into bands of rows, on so many threads.

    Args:
        threads: how many.
        bands: exactly these (image, first row, one past the last); None cuts as thin as the operation allows.
    """
    from ctkernels.cpu._core import parallel

    before = replace(parallel.cutting)
    parallel.cutting.__dict__.update(band_nanoseconds=1.0, call_nanoseconds=0.0, bands=bands)
    try:
        with fresh_pool(threads):
            yield
    finally:
        parallel.cutting.__dict__.update(before.__dict__)


@contextmanager
def pairs_from(pixels: int) -> Iterator[None]:
    """Inside, the CPU backend counts images of so many pixels on in pairs (uint8, and floats up to 256 bins)."""
    from ctkernels.cpu._histogram import pairs

    before, pairs.least_pixels = pairs.least_pixels, pixels
    try:
        yield
    finally:
        pairs.least_pixels = before


@contextmanager
def past_cache_from(size: int) -> Iterator[None]:
    """Inside, the CPU backend writes float results of so many bytes on past the caches."""
    from ctkernels.cpu._core import past_cache

    before, past_cache.least_bytes = past_cache.least_bytes, size
    try:
        yield
    finally:
        past_cache.least_bytes = before
