"""Derivatives of Gaussians and kernels of a given radius: SciPy is the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ctfast
from ctfast.errors import ArgumentError
from ctkernels.contract import IMAGE_DTYPES, MODES, OPERATIONS

ndimage = pytest.importorskip("scipy.ndimage")

RNG = np.random.default_rng(29)
SHAPES = [(1, 1), (1, 9), (5, 2), (7, 11), (33, 41)]
ORDERS: list[dict[str, Any]] = [
    {"sigma": 1.2, "order": 1},
    {"sigma": (1.1, 2.3), "order": (0, 1)},
    {"sigma": (0.8, 1.7), "order": (2, 0), "truncate": 3.0},
    {"sigma": (0, 1.5), "order": (1, 2)},
    {"sigma": 2.0, "order": (3, 1), "radius": (4, 6)},
]


def image(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return np.clip(RNG.normal(90, 60, shape), 0, 255).astype(dtype)


def close(found: np.ndarray, x: np.ndarray, expected: np.ndarray, context: Any) -> None:
    """Integers are what SciPy's float64 result rounds to; floats as near as their type is."""
    assert found.dtype == x.dtype
    if x.dtype.kind in "iu":
        limits = np.iinfo(x.dtype)
        expected = np.clip(expected, limits.min, limits.max)
    allowed = 0.501 if x.dtype.kind in "iu" else {"float32": 2e-6, "float64": 1e-12}[x.dtype.name]
    largest = 1.0 if x.dtype.kind in "iu" else max(float(np.abs(x).max()), 1.0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=allowed * largest, err_msg=str(context))


@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
@pytest.mark.parametrize("mode", [*MODES, ("wrap", "constant"), ("constant", "mirror")])
def test_orders_are_scipy_s(mode: Any, dtype: str) -> None:
    for shape in SHAPES:
        x = image(shape, dtype)
        for params in ORDERS:
            found = ctfast.gaussian_filter(x, mode=mode, cval=7, **params)
            expected = ndimage.gaussian_filter(x.astype(np.float64), mode=mode, cval=7, **params)
            close(found, x, expected, (shape, params))


@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
def test_radii_are_scipy_s(dtype: str) -> None:
    for shape in SHAPES:
        x = image(shape, dtype)
        for params in ({"sigma": 1.5, "radius": 3}, {"sigma": (2, 0.7), "radius": (1, 9)}, {"sigma": 1, "radius": 0}):
            for mode in ("mirror", ("wrap", "constant")):
                found = ctfast.gaussian_filter(x, mode=mode, cval=7, **params)
                close(found, x, ndimage.gaussian_filter(x.astype(np.float64), mode=mode, cval=7, **params), params)


def test_volumes_batches_and_results() -> None:
    x = image((2, 6, 17, 19), "float32")
    for params in ({"order": (1, 0, 2)}, {"radius": (2, 3, 1)}, {"order": (0, 0, 1), "radius": 2}):
        found = ctfast.gaussian_filter(x, (1.2, 0, 2), mode="nearest", **params)
        for volume, result in zip(x, found, strict=True):
            close(result, volume, ndimage.gaussian_filter(volume, (1.2, 0, 2), mode="nearest", **params), params)
    slopes = ctfast.gaussian_filter(x, 1.5, order=(0, 1))
    out = np.empty_like(x)
    assert ctfast.gaussian_filter(x, 1.5, order=(0, 1), out=out) is out
    np.testing.assert_array_equal(out, slopes)
    np.testing.assert_array_equal(ctfast.gaussian_filter(out, 1.5, order=0), ctfast.gaussian_filter(slopes, 1.5))
    ctfast.gaussian_filter(x, 1.5, order=(0, 1), out=x)
    np.testing.assert_array_equal(x, slopes)


def test_constants_have_no_slope_and_ramps_theirs() -> None:
    assert not ctfast.gaussian_filter(np.full((20, 30), 1234.5), 2.0, order=(1, 0)).any()
    ramp = np.tile(np.arange(40, dtype=np.float64) * 3, (20, 1))
    np.testing.assert_allclose(ctfast.gaussian_filter(ramp, 1.0, order=(0, 1))[:, 8:-8], 3, rtol=1e-3)
    down = ctfast.gaussian_filter((250 - ramp).clip(0, 255).astype(np.uint8), 1.0, order=(0, 1))
    assert not down[:, 8:-8].any()  # saturated, where SciPy wraps around


def test_steps_and_halos() -> None:
    step = ctfast.Step("gaussian_filter", sigma=2.0, order=(0, 1), radius=5)
    assert step.params["radius"] == (5, 5)
    assert ctfast.Pipeline.from_dict(ctfast.Pipeline([step]).to_dict()).steps == (step,)
    assert ctfast.Step("gaussian_filter", order=(0, 0)) == ctfast.Step("gaussian_filter")
    halo = OPERATIONS["gaussian_filter"].halo
    assert halo(ctfast.Step("gaussian_filter", sigma=(0, 2.0), radius=(3, 7)).params) == (0, 7)
    x = image((9, 30, 40), "int16")
    chain = ctfast.Pipeline([ctfast.Step("window", center=40, width=400, dtype="uint8"), step])
    seen = ctfast.window(x, center=40, width=400, dtype="uint8")
    np.testing.assert_array_equal(chain(x), ctfast.gaussian_filter(seen, 2.0, order=(0, 1), radius=5))


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"order": 9}, "order=9: a whole number from 0 to 8"),
        ({"order": -1}, "from 0 to 8"),
        ({"order": (1, 0, 0)}, "or 2 of them, is allowed"),
        ({"radius": 1.5}, "radius=1.5: a whole number"),
        ({"radius": (1, 2, 3)}, "or 2 of them, is allowed"),
        ({"radius": 9000}, "would look at 9,000 pixels"),
    ],
)
def test_refused_with_the_way_out(params: dict[str, Any], match: str) -> None:
    with pytest.raises(ArgumentError, match=match):
        ctfast.gaussian_filter(np.zeros((9, 9), np.int16), 1.0, **params)
