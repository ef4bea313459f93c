"""A Gaussian that leaves an axis alone."""

from __future__ import annotations

import numpy as np

import ctfast
from tests.cuda_on_host.simulation import Simulation

X = np.random.default_rng(5).normal(40, 300, (3, 20, 36)).astype(np.float32)


def test_a_gaussian_that_leaves_an_axis_alone(host_gpu: Simulation) -> None:
    for sigma in ((0, 1.5), (0, 1, 1.5), (1, 0, 0)):
        found, expected = (ctfast.gaussian_filter(X, sigma, backend=b) for b in ("gpu", "cpu"))
        np.testing.assert_allclose(found, expected, atol=1e-3)
