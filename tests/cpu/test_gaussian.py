"""The Gaussian on the CPU against SciPy in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

import ctfast
from ctkernels import reference
from ctkernels.contract import MODES
from ctkernels.cpu._core.parallel import bands
from ctkernels.cpu._core.scratch import scratch
from ctkernels.cpu._core.vectors import VECTOR_BYTES
from ctkernels.cpu._gaussian.plan import plan
from ctkernels.cpu.gaussian_filter import gaussian_filter
from ctkernels.shared.gaussian_weights import half_kernel
from ctkernels.testing import assert_close, assert_exact, force_bands, ordinary_error

SHAPES = [(1, 1), (1, 9), (9, 1), (5, 3), (61, 67), (40, 129), (33, 256), (2, 271), (17, 512)]
SIGMAS = [(1.0, 1.0), (0.05, 0.05), (2.0, 1.5), (5.0, 0.1), (0.1, 5.0), (30.0, 20.0)]
DTYPES = ["uint8", "int16", "uint16", "float32", "float64"]
EXACT = ordinary_error(0.0, 1.0)


def noise(dtype: str, shape: tuple[int, ...], seed: int = 0) -> Any:
    r = np.random.default_rng(seed)
    t = np.dtype(dtype)
    if t.kind == "f":
        return r.normal(0, 1000, shape).astype(t)
    limits = np.iinfo(t)
    return r.integers(limits.min, limits.max, shape, endpoint=True).astype(t)


def smooth(x: Any, sigma: Any, mode: str = "reflect", cval: float = 0.0, truncate: float = 4.0) -> Any:
    out = np.empty_like(x)
    gaussian_filter(x, out, sigma=sigma, truncate=truncate, mode=mode, cval=cval)
    return out


def exact(x: Any, sigma: Any, mode: str = "reflect", cval: float = 0.0, truncate: float = 4.0) -> Any:
    """SciPy in float64, one image after the other; integers saturated, not rounded."""
    images = [ndimage.gaussian_filter(v.astype(np.float64), sigma, mode=mode, cval=cval, truncate=truncate) for v in x]
    if x.dtype.kind == "f":
        return np.stack(images)
    limits = np.iinfo(x.dtype)
    return np.stack(images).clip(limits.min, limits.max)


def check(x: Any, sigma: Any, mode: str = "reflect", cval: float = 0.0, truncate: float = 4.0) -> None:
    expected = exact(x, sigma, mode, cval, truncate)
    magnitude = max(float(np.abs(x.astype(np.float64)).max()), abs(cval))
    error = ordinary_error(expected, magnitude)
    if x.dtype == np.float64:
        error *= 1e-8
    assert_close(smooth(x, sigma, mode, cval, truncate), expected, error, f"{x.dtype} {x.shape} {mode} {sigma}")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_scipy(dtype: str, mode: str, shape: tuple[int, int]) -> None:
    for sigma in SIGMAS:
        check(noise(dtype, (2, *shape)), sigma, mode, cval=7.5)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(DTYPES), st.sampled_from(MODES), st.integers(1, 40), st.integers(1, 300),
    st.floats(0.01, 12), st.floats(0.01, 12), st.floats(0.1, 6), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_any_geometry(
    dtype: str, mode: str, height: int, width: int, sy: float, sx: float, truncate: float, seed: int
) -> None:
    check(noise(dtype, (1, height, width), seed), (sy, sx), mode, -3.0, truncate)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_weights_of_a_huge_sigma_are_folded(mode: str, n: int) -> None:
    for sigma in (3.0, 40.0, 1000.0):
        assert half_kernel(n, sigma, 4.0, mode, np.dtype(np.float64)).size <= n + 1
        check(noise("float64", (1, n, n + 3)), (sigma, sigma), mode, cval=2.0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_constant_images_stay(dtype: str) -> None:
    t = np.dtype(dtype)
    values = (np.iinfo(t).min, np.iinfo(t).max, 3) if t.kind != "f" else (-1024.0, 0.0, 3071.0)
    for value in values:
        for sigma in ((1.0, 1.0), (5.0, 2.0), (100.0, 100.0)):
            x = np.full((1, 30, 40), value, t)
            if t.kind == "f":
                assert_close(smooth(x, sigma), x, ordinary_error(x, 0.0))
            else:
                assert_exact(smooth(x, sigma), x)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16"])
def test_values_outside_the_type_saturate(dtype: str) -> None:
    limits = np.iinfo(dtype)
    x = noise(dtype, (1, 5, 5))
    for cval, end in ((1e9, limits.max), (-1e9, limits.min), (1e300, limits.max), (-1e300, limits.min)):
        assert smooth(x, (3.0, 3.0), "constant", cval)[0, 0, 0] == end


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16"])
def test_integers_are_the_float32_result_rounded_half_to_even(dtype: str) -> None:
    x = noise(dtype, (1, 50, 60))
    for sigma in ((1.0, 1.0), (0.05, 3.0)):
        assert_exact(smooth(x, sigma), np.rint(smooth(x.astype(np.float32), sigma)).astype(dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mode", MODES)
def test_nan_and_infinity_spread_over_their_window(dtype: str, mode: str) -> None:
    x = noise(dtype, (1, 50, 300))
    x[0, 20, 30], x[0, 0, 0], x[0, 49, 1], x[0, 7, 299] = np.nan, np.inf, -np.inf, np.inf
    for sigma, truncate in (((1.0, 2.0), 4.0), ((1.4, 1.6), 4.0), ((0.5, 0.5), 16.0)):
        expected = np.empty(x.shape)
        options: dict[str, Any] = {"sigma": sigma, "truncate": truncate, "mode": mode, "cval": 7.5}
        with np.errstate(invalid="ignore"):
            reference.gaussian_filter(x, expected, **options)
        actual = smooth(x, sigma, mode, 7.5, truncate)
        assert_close(actual, expected, ordinary_error(np.nan_to_num(expected), 4000.0))


@pytest.mark.parametrize("dtype", DTYPES)
def test_bands_on_two_threads_change_nothing(dtype: str) -> None:
    x = noise(dtype, (1, 83, 67))
    whole = smooth(x, (2.0, 1.0))
    with force_bands(threads=2):
        assert len(bands(1, 83, 100.0)) > 1
        assert_exact(smooth(x, (2.0, 1.0)), whole)


def test_read_only_input() -> None:
    x = noise("float32", (1, 30, 30))
    x.flags.writeable = False
    check(x, (1.0, 1.0))


@pytest.mark.parametrize("sigma", [(0, 1.5), (2, 0), (0, 1, 2), (1, 0, 0)])
def test_a_sigma_of_0_leaves_an_axis_alone_as_in_scipy(sigma: tuple[float, ...]) -> None:
    x = np.random.default_rng(3).normal(0, 100, (5, 30, 40))
    expected = ndimage.gaussian_filter(x, (0,) * (3 - len(sigma)) + sigma)
    for backend in ("cpu", "reference"):
        np.testing.assert_allclose(ctfast.gaussian_filter(x, sigma, backend=backend), expected, atol=1e-11)
    assert ctfast.Step("gaussian_filter", sigma=sigma).to_dict()["sigma"] == [float(s) for s in sigma]


def test_nothing_arbitrary_is_computed_on() -> None:
    """What scratch memory holds beyond a row might be subnormal numbers, with which sums take many times as long."""
    x = noise("float32", (1, 40, 150))
    before = smooth(x, (1.0, 1.0))
    p = plan(40, 150, np.dtype(np.float32), (1.0, 1.0), 4.0, "reflect")
    memory = scratch("gaussian", p.scratch_bytes(40), np.uint8)
    memory.fill(255)  # NaN
    assert_exact(smooth(x, (1.0, 1.0)), before)
    vectors, ring, stride = (int(p.layout[k]) for k in (2, 3, 5))
    rows = memory[: ring * stride].reshape(ring, stride)[:, : vectors * VECTOR_BYTES]
    assert np.isfinite(np.ascontiguousarray(rows).view(np.float32)).all()
