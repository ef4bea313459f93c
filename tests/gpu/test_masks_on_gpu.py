"""Masks, given numbers and lines without ends through the public functions on a GPU, against the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ctfast
from ctfast import Pipeline, Step
from ctfast.errors import ShapeError, ValueRangeError
from ctkernels.testing import assert_exact
from tests.cuda_on_host.simulation import Simulation

X = np.random.default_rng(5).normal(40, 300, (3, 20, 36)).astype(np.int16)
MASK = X > 0
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "where standardize": ("standardize", {"where": MASK}),
    "where standardize of volumes": ("standardize", {"where": MASK, "axes": 3}),
    "where normalize": ("normalize", {"where": MASK}),
    "where normalize by percentiles": ("normalize", {"where": MASK, "percentiles": (5, 90), "dtype": "uint8"}),
    "one mask for all": ("normalize", {"where": MASK[0]}),
    "where summary": ("summary", {"where": MASK}),
    "where histogram": ("histogram", {"where": MASK, "value_range": (0, 9)}),
    "where histogram finds its range": ("histogram", {"where": MASK, "bins": 40}),
    "where histogram of nothing": ("histogram", {"where": MASK & False, "bins": 40}),
    "mean": ("standardize", {"mean": 4.0}),
    "std": ("standardize", {"std": 4.0}),
    "both": ("standardize", {"mean": 4.0, "std": 4.0, "where": MASK}),
    "clip": ("normalize", {"clip": False, "in_range": (0, 100)}),
}


def numbers(result: Any) -> list[np.ndarray]:
    """The arrays of a result, on the host."""
    fields = ("counts", "edges") if hasattr(result, "counts") else ("count", "mean", "std", "min", "max", "percentiles")
    found = (
        [getattr(result, field) for field in fields]
        if hasattr(result, "_fields") or hasattr(result, "q1")
        else [result]
    )
    return [np.asarray(part.get() if hasattr(part, "get") else part) for part in found]


@pytest.mark.parametrize("dtype", ["int16", "float32", "float64"])
@pytest.mark.parametrize(("name", "params"), CALLS.values(), ids=CALLS)
def test_the_values_of_the_cpu(host_gpu: Simulation, name: str, params: dict[str, Any], dtype: str) -> None:
    import cupy as cp

    x, function = X.astype(dtype), getattr(ctfast, name)
    expected = numbers(function(x, **params))
    on_gpu = {word: cp.asarray(value) if isinstance(value, np.ndarray) else value for word, value in params.items()}
    results = (
        function(x, **params, backend="gpu"),
        function(cp.asarray(x), **params),
        function(cp.asarray(x), **on_gpu),
        function(x, **on_gpu, backend="gpu"),
        function(x, **on_gpu, backend="cpu"),
    )
    assert host_gpu.launches
    for result in results:
        for found, wanted in zip(numbers(result), expected, strict=True):
            assert found.dtype == wanted.dtype
            if name == "histogram":
                assert_exact(found, wanted)
            else:
                near = 1 if wanted.dtype.kind == "u" else 2e-5
                np.testing.assert_allclose(found.astype(float), wanted.astype(float), rtol=2e-6, atol=near)


def test_pipelines_and_refusals(host_gpu: Simulation) -> None:
    import cupy as cp

    chain = Pipeline([Step("standardize", mean=40.0, std=300.0), Step("normalize", in_range=(0, 1), clip=False)])
    np.testing.assert_allclose(chain(X, backend="gpu"), chain(X), atol=1e-5)
    with pytest.raises(ShapeError, match="where= has shape"):
        ctfast.summary(cp.asarray(X), where=cp.asarray(MASK[:, :5]))
    x = X.astype(np.float32)
    x[0, 0, 0], mask = np.nan, np.ones(X.shape, bool)
    with pytest.raises(ValueRangeError, match="NaN or inf"):
        ctfast.histogram(cp.asarray(x), 9, where=mask)
    mask[0, 0, 0] = False
    assert_exact(ctfast.histogram(x, 9, where=mask, backend="gpu").counts, ctfast.histogram(x, 9, where=mask).counts)
