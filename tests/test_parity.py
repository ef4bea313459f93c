"""Every operation of the contract, on every backend that is usable here, against the reference: one grid for all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ctfast
from ctkernels.contract import IMAGE_DTYPES, OPERATIONS
from ctkernels.testing import assert_close, assert_exact
from tests.cases import EDGES, comparable, exact_of, images, results_of, tolerance, variants

SHAPES = [(1, 1), (1, 9), (5, 2), (7, 11), (33, 40), (2, 3, 16, 20)]


LARGE_NETWORKS = {9: ("uint8", "float32", "float64"), **dict.fromkeys((11, 13, 15), ("uint8", "float32"))}
"""Medians whose sorting networks compile for seconds, for dtypes with keys of each width (floats that are whole have
int16's): a network is made of its size, and its keys are made and read as those of the small ones."""


def test_the_edges_are_of_operations() -> None:
    assert set(EDGES) <= set(OPERATIONS)
    sizes = [params.get("size") for params in variants("median_filter")]
    assert set(LARGE_NETWORKS) <= set(sizes)


def usable_backends() -> list[str]:
    return [name for name, status in ctfast.backends().items() if status.usable and name != "reference"]


@pytest.mark.parametrize("backend", usable_backends())
@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
@pytest.mark.parametrize("name", OPERATIONS)
def test_backend_equals_reference(name: str, dtype: str, backend: str) -> None:
    for shape in SHAPES:
        for kind, image in images(shape, dtype).items():
            for params in variants(name):
                if name == "median_filter" and dtype not in LARGE_NETWORKS.get(params.get("size"), IMAGE_DTYPES):
                    continue
                context = f"{name} {dtype} {shape} {kind} {params} on {backend}"
                for result in results_of(name):
                    compare(name, image, params if result is None else {**params, "dtype": result}, backend, context)


def compare(name: str, image: np.ndarray, params: dict[str, Any], backend: str, context: str) -> None:
    function = getattr(ctfast, name)
    if not comparable(name, image, params):
        return
    got, expected = function(image, **params, backend=backend), function(image, **params, backend="reference")
    if name == "histogram":
        assert_exact(got.counts, expected.counts, context)
        assert_exact(got.edges, expected.edges, context)
    elif name == "summary":
        compare_summaries(got, expected, context)
    elif OPERATIONS[name].parity == "exact":
        assert_exact(got, expected, context)
    else:
        assert got.dtype == expected.dtype, context
        assert_close(got, exact_of(name, image, params), tolerance(name, image, params), context)


def compare_summaries(got: Any, expected: Any, context: str) -> None:
    for field in ("count", "min", "max", "percentiles"):
        assert_exact(getattr(got, field), getattr(expected, field), f"{field} {context}")
    for field in ("mean", "std"):
        a, e = getattr(got, field), getattr(expected, field)
        scale = np.maximum(np.abs(expected.min), np.abs(expected.max))
        with np.errstate(invalid="ignore", over="ignore"):
            # float64 sums in another order; the deviation of a huge value overflows in both or in neither
            near = np.isclose(a, e, rtol=1e-9, atol=0) | (np.abs(a - e) <= 1e-12 * scale) | ((a != a) & (e != e))
        assert np.all(near), f"{field} {a} {e} {context}"
