"""normalize and standardize of the CPU backend against the reference, SciPy and OpenCV."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ctkernels import reference
from ctkernels.contract import IMAGE_DTYPES
from ctkernels.cpu._core import parallel
from ctkernels.cpu.normalize import normalize
from ctkernels.cpu.standardize import standardize
from ctkernels.testing import assert_close, assert_exact, force_bands, ordinary_error

SHAPES = [(1, 1, 1), (1, 1, 2), (3, 3, 5), (1, 33, 67), (5, 16, 16)]
RESULTS = ("float32", "uint8", "uint16")
CHOICES: list[dict[str, Any]] = [
    {},
    {"in_range": (-160.0, 240.0)},
    {"percentiles": (1.0, 99.0)},
    {"percentiles": (0.0, 33.3)},
    {"value_range": (-900.0, 500.0)},
    {"value_range": (-900.5, np.inf)},
    {"value_range": (-np.inf, 17.5)},
    {"value_range": (0.0, 0.0)},
    {"value_range": (1e6, 2e6)},
    {"value_range": (-900.0, 500.0), "percentiles": (5.0, 95.0)},
    {"value_range": (1e6, 2e6), "percentiles": (5.0, 95.0)},
    {"out_range": (-1.0, 1.0)},
    {"out_range": (-10.5, 300.25)},
]


def pixels(dtype: str, shape: tuple[int, ...], seed: int = 0, whole: bool = False) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dtype == "uint8":
        return rng.integers(0, 256, shape).astype(dtype)
    if dtype == "uint16":
        return np.where(rng.random(shape) < 0.1, 65535, rng.integers(0, 4096, shape)).astype(dtype)
    x = np.where(rng.random(shape) < 0.1, -2048, np.rint(rng.normal(0, 600, shape)))
    return x.astype(dtype) if whole or dtype == "int16" else (x + rng.normal(0, 0.3, shape)).astype(dtype)


def check_normalize(x: np.ndarray, dtype: str, **given: Any) -> np.ndarray:
    kwargs = {"in_range": None, "percentiles": None, "value_range": None, "out_range": None, **given}
    out = np.empty(x.shape, dtype)
    normalize(x, out, **kwargs)
    low, high = kwargs["out_range"] = kwargs["out_range"] or reference.default_out_range(out.dtype)
    exact = np.empty(x.shape)
    reference.normalize(x, exact, **kwargs)
    if out.dtype.kind in "iu":
        limits = np.iinfo(out.dtype)
        exact = np.clip(np.where(np.isnan(exact), low, exact), limits.min, limits.max)
    assert_close(out, exact, ordinary_error(exact, max(abs(low), abs(high), high - low)), str((x.dtype, dtype, given)))
    return out


def check_standardize(x: np.ndarray, dtype: str, value_range: tuple[float, float] | None = None) -> np.ndarray:
    out, exact = np.empty(x.shape, dtype), np.empty(x.shape)
    standardize(x, out, value_range=value_range)
    reference.standardize(x, exact, value_range=value_range)
    if dtype == "float64":
        np.testing.assert_allclose(out, exact, rtol=1e-10, atol=1e-12)
    else:
        with np.errstate(over="ignore"):
            exact = exact.astype(np.float32).astype(float)
        assert_close(out, exact, ordinary_error(exact, 1.0), str((x.dtype, value_range)))
    return out


@pytest.fixture
def two_threads():
    with force_bands(threads=2):
        yield


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("result", RESULTS)
@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
def test_normalize_is_the_reference(dtype: str, result: str, whole: bool) -> None:
    for shape in SHAPES:
        for choice in CHOICES:
            check_normalize(pixels(dtype, shape, whole=whole), result, **choice)


@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
def test_minimum_and_maximum_reach_the_ends_exactly(dtype: str) -> None:
    for seed in range(20):
        x = pixels(dtype, (1, 7, 9), seed)
        out = check_normalize(x, "float32")
        assert out.min() == 0.0
        assert out.max() == 1.0
        assert out.ravel()[x.argmax()] == 1.0


@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
def test_images_of_one_value(dtype: str) -> None:
    x = np.full((2, 4, 5), 77, dtype)
    for result in RESULTS:
        assert not check_normalize(x, result).any()
        assert not check_normalize(x, result, percentiles=(2.0, 98.0)).any()
    x[1, 0, 0] = 200
    assert check_normalize(x, "float32", percentiles=(2.0, 50.0))[1, 0, 0] == 1.0
    x[1, 0, 0] = 77
    for result in ("float32", "float64"):
        assert not check_standardize(x, result).any()


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normalize_of_numbers_that_are_not_finite(dtype: str, choice: dict[str, Any]) -> None:
    x = pixels(dtype, (2, 6, 7))
    x[0, 0, :3] = (np.nan, np.inf, -np.inf)
    x[1] = np.nan
    x[1, 0, 0] = np.inf
    for result in RESULTS:
        check_normalize(x, result, **choice)
    x[...] = np.nan
    assert np.isnan(check_normalize(x, "float32", **choice)).all()


@pytest.mark.parametrize(
    "values",
    [
        (-3.4e38, 3.4e38, 0.0), (-3.0e38, 3.2e38, 1.0), (0.0, 1e-44, 1e-45), (1e30, 1e31, 0.0), (1.0, 1.0000001, 1.0),
        (-0.0, 0.0, 0.0),
    ],
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_float_ranges(dtype: str, values: tuple[float, ...]) -> None:
    x = np.array([*values, *values], dtype).reshape(1, 2, 3)
    for result in RESULTS:
        check_normalize(x, result)
        check_normalize(x, result, percentiles=(10.0, 90.0))
    check_standardize(x, "float32")


@pytest.mark.parametrize("values", [(-1e303, 1e303, 5.0), (-1.7e308, 1.7e308, 0.0), (0.0, 1e-310, 5e-324)])
def test_extreme_float64_ranges(values: tuple[float, ...]) -> None:
    x = np.array([*values, *values], np.float64).reshape(1, 2, 3)
    for result in RESULTS:
        check_normalize(x, result)
        check_normalize(x, result, percentiles=(10.0, 90.0))
    if values[1] > 1:
        out = check_standardize(x, "float32")
        assert np.abs(out).max() < 2


@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
def test_normalize_in_bands_gives_the_same_bits(dtype: str, two_threads: None) -> None:
    for shape in ((1, 203, 31), (7, 20, 21)):
        for choice in CHOICES[:6]:
            x = pixels(dtype, shape)
            kwargs = {"in_range": None, "percentiles": None, "value_range": None, "out_range": None, **choice}
            outs = np.empty((2, *shape), np.float32)
            for threads, out in zip((1, 2), outs):
                parallel.set_num_threads(threads)
                normalize(x, out, **kwargs)
            assert_exact(outs[1], outs[0])


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("result", ["float32", "float64"])
@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
def test_standardize_is_the_reference(dtype: str, result: str, whole: bool) -> None:
    for shape in SHAPES:
        for choice in CHOICES:
            check_standardize(pixels(dtype, shape, whole=whole), result, choice.get("value_range"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_standardize_of_numbers_that_are_not_finite(dtype: str) -> None:
    x = pixels(dtype, (3, 6, 7))
    x[0, 0, :3] = (np.nan, np.inf, -np.inf)
    x[1] = np.nan
    x[2] = 5.0
    x[2, 0, :2] = (np.inf, np.nan)
    for result in ("float32", "float64"):
        out = check_standardize(x, result)
        assert np.isnan(out[0, 0, 0])
        assert out[0, 0, 1:3].tolist() == [np.inf, -np.inf]


def test_standardize_is_scipys() -> None:
    stats = pytest.importorskip("scipy.stats")
    for dtype in IMAGE_DTYPES:
        x = pixels(dtype, (1, 50, 41))
        expected = stats.zscore(x.astype(float), axis=None)
        np.testing.assert_allclose(check_standardize(x, "float64"), expected, rtol=1e-9, atol=1e-12)


def test_a_large_offset_keeps_the_deviation_exact() -> None:
    rng = np.random.default_rng(3)
    x = (1e9 + rng.normal(0, 1, (1, 64, 100))).astype(np.float64)
    mean = math.fsum(x.ravel().tolist()) / x.size
    sd = math.sqrt(math.fsum(((x - mean) ** 2).ravel().tolist()) / x.size)
    for result in ("float32", "float64"):
        out = np.empty(x.shape, result)
        standardize(x, out, value_range=None)
        np.testing.assert_allclose(out, (x - mean) / sd, atol=1e-6)


@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
def test_standardize_does_not_depend_on_threads(dtype: str, two_threads: None) -> None:
    for shape in ((1, 1031, 801), (7, 20, 21), (2, 301, 31)):
        x = pixels(dtype, shape)
        outs = np.empty((2, *shape), np.float64)
        for threads, out in zip((1, 2), outs):
            parallel.set_num_threads(threads)
            standardize(x, out, value_range=(-1500.0, 1e9))
        assert_exact(outs[1], outs[0])


def test_normalize_is_opencvs() -> None:
    cv2 = pytest.importorskip("cv2")
    x = pixels("int16", (1, 64, 65))
    expected = cv2.normalize(x[0], None, 0, 1, cv2.NORM_MINMAX, cv2.CV_32F)
    np.testing.assert_allclose(check_normalize(x, "float32")[0], expected, atol=3e-7)


FLOATS = st.floats(-1e9, 1e9, allow_subnormal=False) | st.sampled_from([np.nan, np.inf, -np.inf])


@settings(deadline=None, max_examples=60)
@given(
    arrays(np.float64, (1, 3, 4), elements=FLOATS), st.sampled_from(RESULTS),
    st.sampled_from([None, (0.0, 50.0), (12.5, 87.5)]), st.sampled_from([None, (-100.0, 1e5)]),
)  # fmt: skip
def test_any_floats(x: np.ndarray, result: str, percentiles: Any, value_range: Any) -> None:
    check_normalize(x, result, percentiles=percentiles, value_range=value_range)
