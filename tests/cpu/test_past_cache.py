"""Results written past the caches have the bits of others, wherever they begin and end."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ctkernels.cpu.normalize import normalize
from ctkernels.cpu.rescale import rescale
from ctkernels.cpu.standardize import standardize
from ctkernels.cpu.window import window
from ctkernels.testing import assert_exact, force_bands, past_cache_from

CALLS: dict[str, tuple[Callable[..., None], dict[str, Any]]] = {
    "window": (
        window,
        {"center": 40.0, "width": 400.0, "function": "linear", "out_range": None, "slope": 1.0, "intercept": 0.0},
    ),
    "rescale": (rescale, {"slope": 1.25, "intercept": -1024.0}),
    "standardize": (standardize, {"value_range": None}),
    "normalize": (normalize, {"in_range": None, "percentiles": None, "value_range": None, "out_range": None}),
    "normalize of a range": (
        normalize,
        {"in_range": (-160.0, 240.0), "percentiles": None, "value_range": None, "out_range": (0.0, 1.0)},
    ),
}


def image(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    x = np.rint(np.random.default_rng(0).normal(40, 300, shape)).astype(dtype)
    if x.dtype.kind == "f":
        x.reshape(-1)[1::50] = np.nan
    return x


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("dtype", ["int16", "float32", "float64"])
def test_the_same_bits(name: str, dtype: str) -> None:
    function, params = CALLS[name]
    for shape in ((1, 1, 1), (1, 3, 5), (2, 17, 31), (1, 40, 41)):
        x = image(dtype, shape)
        expected = np.empty(shape, np.float32)
        function(x, expected, **params)
        for shift in (0, 1, 7, 15):
            memory = np.full(x.size + 40, 7.0, np.float32)
            out = memory[shift : shift + x.size].reshape(shape)
            with past_cache_from(1):
                function(x, out, **params)
            assert_exact(out, expected, f"{shape} {shift}")
            assert (memory[:shift] == 7).all()
            assert (memory[shift + x.size :] == 7).all()


def test_float64_results() -> None:
    x = image("float64", (1, 40, 41))
    expected, out = np.empty_like(x), np.empty_like(x)
    rescale(x, expected, slope=1.1, intercept=0.3)
    with past_cache_from(1):
        rescale(x, out, slope=1.1, intercept=0.3)
    assert_exact(out, expected)


def test_on_two_threads() -> None:
    function, params = CALLS["window"]
    x = image("float32", (3, 40, 41))
    expected, out = np.empty_like(x), np.empty_like(x)
    function(x, expected, **params)
    with past_cache_from(1), force_bands(threads=2):
        function(x, out, **params)
    assert_exact(out, expected)
