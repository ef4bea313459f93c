"""histogram and summary of the CPU backend against NumPy and the reference."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ctkernels import reference
from ctkernels.contract import IMAGE_DTYPES
from ctkernels.cpu._core import parallel
from ctkernels.cpu._core.moments import image_moments
from ctkernels.cpu.histogram import histogram
from ctkernels.cpu.summary import summary
from ctkernels.testing import assert_exact, force_bands, pairs_from

SHAPES = [(1, 1, 1), (1, 1, 3), (3, 3, 5), (1, 33, 67), (5, 16, 16)]
RANGES = [
    (-1024.0, 3071.0),
    (-1024.0, 3072.0),
    (0.0, 255.0),
    (0.0, 4095.0),
    (-0.5, 0.5),
    (-32768.0, 65535.0),
    (1e5, 2e5),
]
BINS = (1, 2, 7, 256, 1000, 4096, 65536)
PERCENTILES = (0.0, 1.0, 25.0, 33.3, 50.0, 75.0, 99.0, 100.0)


def pixels(dtype: str, shape: tuple[int, ...], seed: int = 0, whole: bool = False) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dtype == "uint8":
        return rng.integers(0, 256, shape).astype(dtype)
    if dtype == "uint16":
        return np.where(rng.random(shape) < 0.1, 65535, rng.integers(0, 4096, shape)).astype(dtype)
    x = np.where(rng.random(shape) < 0.1, -2048, np.rint(rng.normal(0, 600, shape)))
    return x.astype(dtype) if whole or dtype == "int16" else (x + rng.normal(0, 0.3, shape)).astype(dtype)


def check_histogram(x: np.ndarray, bins: int, value_range: tuple[float, float]) -> np.ndarray:
    edges = np.histogram_bin_edges(x, bins, value_range)
    counts = np.full((x.shape[0], bins), -7, np.int64)
    expected = np.array([np.histogram(image, bins, value_range)[0] for image in x])
    histogram(x, counts, edges=edges)
    assert_exact(counts, expected, f"{x.dtype} {bins} {value_range}")
    with pairs_from(0):
        counts[...] = -7
        histogram(x, counts, edges=edges)
        assert_exact(counts, expected, f"in pairs {x.dtype} {bins} {value_range}")
    return counts


def check_summary(x: np.ndarray, percentiles: tuple[float, ...] = PERCENTILES) -> np.ndarray:
    out = np.full((x.shape[0], 5 + len(percentiles)), -7.0)
    expected = out.copy()
    summary(x, out, percentiles=percentiles)
    reference.summary(x, expected, percentiles=percentiles)
    exact = [0, 3, 4, *range(5, out.shape[1])]
    assert_exact(out[:, exact], expected[:, exact], str(x.dtype))
    size = np.nanmax(np.abs(expected[:, 3:5]), initial=1)
    np.testing.assert_allclose(out[:, 1:3], expected[:, 1:3], rtol=1e-11, atol=1e-13 * size)
    return out


@pytest.fixture
def two_threads():
    with force_bands(threads=2):
        yield


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
def test_histogram_is_numpys(dtype: str, whole: bool) -> None:
    for value_range in RANGES:
        for bins in BINS:
            for shape in SHAPES if bins < 500 else SHAPES[2:4]:
                x = pixels(dtype, shape, whole=whole)
                try:
                    np.histogram_bin_edges(x, bins, value_range)
                except ValueError:  # more bins than float32 numbers in the range
                    continue
                check_histogram(x, bins, value_range)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bins", [1, 3, 10, 255, 256, 819, 4095, 4096, 65535])
def test_pixels_exactly_on_the_edges_and_beside_them(dtype: str, bins: int) -> None:
    for value_range in ((-1024.0, 3071.0), (-1.0, 1.0), (0.1, 0.7), (1e4, 1.1e4), (-1e-3, 1e6)):
        try:
            edges = np.histogram_bin_edges(np.zeros(1, dtype), bins, value_range)
        except ValueError:
            continue
        beside = [edges, np.nextafter(edges, edges.dtype.type(-np.inf)), np.nextafter(edges, edges.dtype.type(np.inf))]
        check_histogram(np.concatenate(beside).astype(dtype).reshape(1, 3, -1), bins, value_range)
        check_histogram(np.rint(np.concatenate(beside)).astype(dtype).reshape(1, 3, -1), bins, value_range)


@pytest.mark.parametrize("dtype", ["int16", "uint16", "uint8", "float32", "float64"])
def test_every_whole_number(dtype: str) -> None:
    limits = np.iinfo(dtype if dtype[0] in "iu" else "int16")
    x = np.arange(limits.min, limits.max + 1).astype(dtype).reshape(1, 16, -1)
    for bins in BINS:
        check_histogram(x, bins, (float(limits.min), float(limits.max)))
        check_histogram(x, bins, (-1000.5, 3071.25))
    check_summary(x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_histogram_of_numbers_that_are_not_finite(dtype: str) -> None:
    x = pixels(dtype, (2, 9, 11))
    x[0, 0, :5] = (np.nan, np.inf, -np.inf, 3e38, -3e38)
    x[1] = np.nan
    for whole in (np.rint, np.asarray):
        counts = np.empty((2, 256), np.int64)
        edges = np.linspace(-1024, 3071, 257, dtype=dtype)
        inside = np.where(np.isfinite(x), whole(x), 1e9)
        for least in (0, 1000):
            with pairs_from(least):
                histogram(whole(x), counts, edges=edges)
            assert_exact(counts, np.array([np.histogram(i.astype(dtype), edges)[0] for i in inside]))


@pytest.mark.parametrize(
    ("value_range", "bins"),
    [((-3e38, 3e38), 100), ((0.0, 1e-40), 10), ((1e30, 2e30), 100), ((1e6, 1e6 + 10), 100), ((-1e37, 1e38), 65536)],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_ranges_that_defeat_the_estimate(dtype: str, value_range: tuple[float, float], bins: int) -> None:
    x = np.random.default_rng(0).uniform(*(v / 2 for v in value_range), (1, 30, 31)) * 2
    edges = np.linspace(*value_range, bins + 1, dtype=dtype)
    counts = np.empty((1, bins), np.int64)
    expected = counts.copy()
    x = x.astype(dtype)
    histogram(x, counts, edges=edges)
    reference.histogram(x, expected, edges=edges)
    assert_exact(counts, expected)
    assert counts.sum() > 900


def test_float32_edges_between_ends_that_float32_rounds() -> None:
    rng = np.random.default_rng(0)
    for low, high, bins in ((-9880.625363, -9070.360062, 65536), (0.0019815393, 0.00207834732, 5000), (0.1, 0.7, 256)):
        # The second range has the same ends in float32, but other edges between them.
        for first in (low, float(np.float32(low))):
            edges = np.histogram_bin_edges(np.zeros(1, np.float32), bins, (first, high))
            beside = [np.nextafter(edges, np.float32(-np.inf)), np.nextafter(edges, np.float32(np.inf))]
            x = np.concatenate([edges, *beside, rng.uniform(low, high, 5000)]).astype(np.float32)
            check_histogram(x.reshape(1, 1, -1), bins, (first, high))


def test_float64_images_use_float64_edges() -> None:
    x = np.nextafter(np.linspace(0, 1, 1001), 0).reshape(1, 7, 143)
    check_histogram(x, 1000, (0.0, 1.0))


@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
def test_constant_images(dtype: str) -> None:
    x = np.full((2, 37, 41), 7, dtype)
    assert check_histogram(x, 256, (0.0, 256.0))[0, 7] == 37 * 41
    assert check_summary(x)[0].tolist() == [37 * 41, 7, 0, 7, 7] + [7.0] * len(PERCENTILES)


@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
@pytest.mark.parametrize("whole", [True, False])
def test_statistics_do_not_depend_on_threads(dtype: str, whole: bool, two_threads: None) -> None:
    for shape in ((1, 211, 33), (7, 20, 21), (2, 301, 31)):
        x = pixels(dtype, shape, whole=whole)
        check_histogram(x, 256, (-1024.0, 3071.0))
        out = np.empty((2, shape[0], 8))
        for threads in (1, 2):
            parallel.set_num_threads(threads)
            summary(x, out[threads - 1], percentiles=(25.0, 50.0, 75.0))
        assert_exact(out[1], out[0])


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
def test_summary_is_numpys(dtype: str, whole: bool) -> None:
    for shape in SHAPES:
        for seed in range(5):
            check_summary(pixels(dtype, shape, seed, whole))
    check_summary(pixels(dtype, (1, 5, 6)), ())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_summary_of_numbers_that_are_not_finite(dtype: str) -> None:
    x = pixels(dtype, (3, 9, 11))
    x[0, 0, :3] = (np.nan, np.inf, -np.inf)
    x[1] = np.nan
    x[2] = np.inf
    x[2, 0, 0] = -0.0
    out = check_summary(x)
    assert out[:, 0].tolist() == [96, 0, 1]
    assert np.isnan(out[1, 1:]).all()


@pytest.mark.parametrize("values", [(-3e38, 3.3e38, 1.0, -2e38), (1e-40, 0.0, -0.0, -1e-42), (1e20, 1e-20, -1e20, 5.0)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_summary_of_extreme_values(dtype: str, values: tuple[float, ...]) -> None:
    check_summary(np.array(values, dtype).reshape(1, 2, 2))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("place", [0, 1, 4096])
@pytest.mark.parametrize("value", [1e30, -1e4, 200.0])
def test_deviation_where_a_block_begins_with_a_pixel_far_from_all_others(dtype: str, value: float, place: int) -> None:
    x = np.random.default_rng(0).normal(40, 20, (1, 100, 100)).astype(dtype)
    x.reshape(-1)[place] = value
    found = image_moments(x, None)
    exact = [Fraction(float(v)) for v in x.reshape(-1)]
    mean = sum(exact) / len(exact)
    variance = sum((v - mean) ** 2 for v in exact) / len(exact)
    assert found.mean == pytest.approx(float(mean), rel=2e-14)
    assert found.sd == pytest.approx(math.sqrt(float(variance)), rel=2e-14)


def test_summary_of_huge_float64_values() -> None:
    for values in ((-1e303, 1e303, 5.0, 2e300), (-1.7e308, 1.7e308, 0.0, 1.0)):
        out = check_summary(np.array(values).reshape(1, 2, 2))
        assert np.isfinite(out).all()


FLOATS = (
    st.floats(-1e6, 1e6, width=32) | st.integers(-40000, 70000).map(float) | st.sampled_from([np.nan, np.inf, -0.0])
)


@settings(deadline=None, max_examples=80)
@given(arrays(np.float32, (1, 3, 5), elements=FLOATS), st.lists(st.floats(0, 100), max_size=4))
def test_any_summary(x: np.ndarray, percentiles: list[float]) -> None:
    check_summary(x, tuple(percentiles))


@settings(deadline=None, max_examples=80)
@given(
    arrays(np.float32, (1, 3, 5), elements=st.floats(-5000, 5000, width=32) | st.integers(-2000, 2000).map(float)),
    st.integers(1, 5000), st.floats(-3000, 0, width=32), st.floats(1, 3000, width=32),
)  # fmt: skip
def test_any_histogram(x: np.ndarray, bins: int, low: float, high: float) -> None:
    for dtype in ("float32", "float64", "int16"):
        check_histogram(x.astype(dtype), bins, (low, high))


@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
@pytest.mark.parametrize("bins", [1, 100, 200, 255, 256])
def test_slices_counted_in_pairs(dtype: str, bins: int) -> None:
    rng = np.random.default_rng(bins)
    x = np.clip(np.rint(rng.normal(0, 700, (2, 173, 301))), -1024, 3071)
    x[:, :40] = -1024
    x = np.clip(x, 0, 255) if dtype == "uint8" else x
    x = (x + 1024 if dtype == "uint16" else x).astype(dtype)
    for value_range in ((-1024.0, 3071.0), (-1024.0, 3072.0), (0.0, 1000.0), (-0.3, 0.7), (-200.0, 1e6)):
        check_histogram(x, bins, value_range)
        if dtype[0] == "f":
            check_histogram(x + rng.normal(0, 0.3, x.shape).astype(dtype), bins, value_range)
            check_histogram(x / 2, bins, value_range)
