"""What GPUs do not compute: refused with the way out, which is taken; and a Gaussian that leaves an axis alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ctfast
from ctfast import Pipeline, Step
from ctfast.errors import BackendUnavailableError
from ctkernels.testing import assert_exact
from tests.cuda_on_host.simulation import Simulation

X = np.random.default_rng(5).normal(40, 300, (3, 20, 36)).astype(np.int16)
MASK = X > 0
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "where standardize": ("standardize", {"where": MASK}),
    "where normalize": ("normalize", {"where": MASK}),
    "where summary": ("summary", {"where": MASK}),
    "where histogram": ("histogram", {"where": MASK, "value_range": (0, 9)}),
    "mean": ("standardize", {"mean": 4.0}),
    "std": ("standardize", {"std": 4.0}),
    "clip": ("normalize", {"clip": False}),
    "footprint": ("median_filter", {"footprint": np.eye(3)}),
}


@pytest.mark.parametrize(("name", "params"), CALLS.values(), ids=CALLS)
def test_refused_and_computed_on_the_cpu(host_gpu: Simulation, name: str, params: dict[str, Any]) -> None:
    import cupy as cp

    function = getattr(ctfast, name)
    for x, options in ((X, {"backend": "gpu"}), (cp.asarray(X), {})):
        with pytest.raises(BackendUnavailableError, match="backend='cpu'"):
            function(x, **params, **options)
    expected = function(X, **params)
    on_gpu = {word: cp.asarray(MASK) if value is MASK else value for word, value in params.items()}
    found = function(cp.asarray(X), **on_gpu, backend="cpu")
    if name in ("summary", "histogram"):
        field = "mean" if name == "summary" else "counts"
        assert_exact(getattr(found, field).get(), getattr(expected, field), name)
    else:
        assert_exact(found.get(), expected, name)


def test_pipelines_are_refused_too(host_gpu: Simulation) -> None:
    chain = Pipeline([Step("median_filter", size=3), Step("normalize", in_range=(0, 100), clip=False)])
    with pytest.raises(BackendUnavailableError, match="clip=False"):
        chain.run(X, backend="gpu")


def test_a_gaussian_that_leaves_an_axis_alone(host_gpu: Simulation) -> None:
    for sigma in ((0, 1.5), (0, 1, 1.5), (1, 0, 0)):
        x = X.astype(np.float32)
        found, expected = (ctfast.gaussian_filter(x, sigma, backend=b) for b in ("gpu", "cpu"))
        np.testing.assert_allclose(found, expected, atol=1e-3)
