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
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "match_histogram": ("match_histogram", {"reference": ((0, 7.5), (1, 2))}),
}


@pytest.mark.parametrize(("name", "params"), CALLS.values(), ids=CALLS)
def test_refused_and_computed_on_the_cpu(host_gpu: Simulation, name: str, params: dict[str, Any]) -> None:
    import cupy as cp

    function = getattr(ctfast, name)
    for x, options in ((X, {"backend": "gpu"}), (cp.asarray(X), {})):
        with pytest.raises(BackendUnavailableError, match="backend='cpu'"):
            function(x, **params, **options)
    expected = function(X, **params)
    assert_exact(function(cp.asarray(X), **params, backend="cpu").get(), expected, name)


def test_pipelines_are_refused_too(host_gpu: Simulation) -> None:
    for name, params in CALLS.values():
        chain = Pipeline([Step("median_filter", size=3), Step(name, **params)])
        with pytest.raises(BackendUnavailableError, match="computed on the CPU"):
            chain.run(X, backend="gpu")


def test_a_gaussian_that_leaves_an_axis_alone(host_gpu: Simulation) -> None:
    for sigma in ((0, 1.5), (0, 1, 1.5), (1, 0, 0)):
        x = X.astype(np.float32)
        found, expected = (ctfast.gaussian_filter(x, sigma, backend=b) for b in ("gpu", "cpu"))
        np.testing.assert_allclose(found, expected, atol=1e-3)
