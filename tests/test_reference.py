"""The reference says what operations mean, so it is checked against SciPy, NumPy, OpenCV, scikit-image and pydicom."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import scipy.ndimage as ndi
import scipy.stats
from pydicom.dataset import Dataset
from pydicom.pixels import apply_rescale, apply_windowing
from skimage import exposure

import ctfast
from ctkernels.contract import IMAGE_DTYPES, MODES

SHAPES = [(1, 1), (1, 7), (6, 1), (2, 3), (5, 5), (16, 24), (17, 19), (31, 8)]


@pytest.fixture(autouse=True)
def _on_the_reference() -> Any:
    with ctfast.use_backend("reference"):
        yield


def image(shape: tuple[int, ...], dtype: str, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dtype.startswith("float"):
        return (rng.normal(0, 400, shape)).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
@pytest.mark.parametrize("mode", MODES)
def test_median_is_scipys(shape: tuple[int, int], dtype: str, mode: Any) -> None:
    x = image(shape, dtype)
    for size in ((1, 1), (3, 3), (5, 5), (3, 7), (9, 1)):
        expected = ndi.median_filter(x, size, mode=mode, cval=7)
        np.testing.assert_array_equal(ctfast.median_filter(x, size, mode=mode, cval=7), expected)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mode", MODES)
def test_gaussian_is_scipys(shape: tuple[int, int], mode: Any) -> None:
    x = image(shape, "float64")
    for sigma, truncate in ((0.3, 4.0), (1.0, 4.0), ((2.5, 0.7), 3.0), (6.0, 4.0)):
        expected = ndi.gaussian_filter(x, sigma, truncate=truncate, mode=mode, cval=-50.5)
        got = ctfast.gaussian_filter(x, sigma, truncate=truncate, mode=mode, cval=-50.5)
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16"])
def test_gaussian_of_integers_is_rounded(dtype: str) -> None:
    x = image((20, 30), dtype)
    exact = ndi.gaussian_filter(x.astype(np.float64), 1.3)
    np.testing.assert_array_equal(ctfast.gaussian_filter(x, 1.3), np.rint(exact).astype(dtype))


@pytest.mark.parametrize("shape", [*SHAPES, (64, 64), (61, 80), (80, 61), (7, 200)])
@pytest.mark.parametrize("grid", [(8, 8), (1, 1), (2, 3), (4, 1)])
@pytest.mark.parametrize(("dtype", "nbins"), [("uint8", 256), ("uint16", 65536)])
def test_clahe_is_opencvs(shape: tuple[int, int], grid: tuple[int, int], dtype: str, nbins: int) -> None:
    smooth = ndi.gaussian_filter(image(shape, "float64"), 1.0)
    x = (smooth - smooth.min()) * (nbins - 1) / max(np.ptp(smooth), 1)
    x = np.round(x).astype(dtype)
    for clip_limit in (0.0, 0.5, 2.0, 40.0):
        expected = cv2.createCLAHE(clip_limit, (grid[1], grid[0])).apply(x)
        got = ctfast.clahe(x, clip_limit=clip_limit, tile_grid=grid, nbins=nbins)
        np.testing.assert_array_equal(got, expected)


def test_clahe_of_12_bit_data_and_constants_is_opencvs() -> None:
    x = image((64, 96), "uint16") >> 4
    for y in (x, np.full_like(x, 77), np.zeros_like(x), np.full_like(x, 65535)):
        expected = cv2.createCLAHE(2.0, (8, 8)).apply(y)
        np.testing.assert_array_equal(ctfast.clahe(y, nbins=65536), expected)


def test_clahe_range_moves_with_the_values() -> None:
    x = image((64, 64), "uint8")
    moved = x.astype(np.int16) - 100
    expected = cv2.createCLAHE(2.0, (8, 8)).apply(x).astype(np.int16) - 100
    np.testing.assert_array_equal(ctfast.clahe(moved, value_range=(-100, 155)), expected)


def test_clahe_of_floats_is_near_scikit_image_in_effect() -> None:
    # Other bins and another clipping rule, so only the effect is compared: local contrast rises alike.
    x = np.clip(ndi.gaussian_filter(image((128, 128), "float64"), 3) / 400 + 0.5, 0, 1)
    ours = ctfast.clahe(x, clip_limit=3.0, value_range=(0, 1))
    theirs = exposure.equalize_adapthist(x, kernel_size=16, clip_limit=3 / 256)
    assert 0 <= ours.min() <= ours.max() <= 1
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.95
    assert ours.std() > 1.5 * x.std()


@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
@pytest.mark.parametrize("bins", [1, 2, 10, 256, 4096, 1000])
def test_histogram_is_numpys(dtype: str, bins: int) -> None:
    for x in (image((3, 20, 30), dtype), np.round(image((1, 9, 7), dtype))):
        for value_range in (None, (-100, 155), (0, 255), (0.1, 77.7), (5, 5)):
            counts, edges = ctfast.histogram(x, bins, value_range=value_range)
            for got, plane in zip(counts, x, strict=True):
                whole = value_range or (x.min(), x.max())
                expected, expected_edges = np.histogram(plane, bins, whole)
                np.testing.assert_array_equal(got, expected)
                np.testing.assert_array_equal(edges, expected_edges)
                assert edges.dtype == expected_edges.dtype


@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
def test_summary_is_numpys(dtype: str) -> None:
    x = image((2, 15, 13), dtype)
    levels = (0, 1, 25, 50, 75, 99.5, 100)
    s = ctfast.summary(x, percentiles=levels)
    flat = x.reshape(2, -1).astype(np.float64)
    np.testing.assert_array_equal(s.percentiles, np.percentile(flat, levels, axis=1).T)
    np.testing.assert_allclose(s.mean, flat.mean(1))
    np.testing.assert_allclose(s.std, flat.std(1))
    np.testing.assert_array_equal(s.min, flat.min(1))
    np.testing.assert_array_equal(s.max, flat.max(1))
    np.testing.assert_array_equal(s.median, np.median(flat, 1))
    assert s.count.tolist() == [195, 195]


def voi(center: float, width: float, function: str) -> Dataset:
    dataset = Dataset()
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsStored, dataset.PixelRepresentation = 16, 1
    dataset.WindowCenter, dataset.WindowWidth, dataset.VOILUTFunction = center, width, function.upper()
    return dataset


@pytest.mark.parametrize("function", ["linear", "linear_exact", "sigmoid"])
@pytest.mark.parametrize(("center", "width"), [(40, 400), (-600, 1500), (40.5, 80), (3000, 10), (0, 2)])
def test_window_is_pydicoms(function: Any, center: float, width: float) -> None:
    x = np.arange(-1100, 3100, dtype=np.int16).reshape(60, 70)
    # pydicom maps to the stored range -32768..32767
    with np.errstate(over="ignore"):  # pydicom overflows far below a narrow sigmoid
        expected = (apply_windowing(x, voi(center, width, function)) + 32768) / 65535
    got = ctfast.window(x, center=center, width=width, function=function)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6)


def test_rescale_is_pydicoms() -> None:
    dataset = Dataset()
    dataset.RescaleSlope, dataset.RescaleIntercept = "1.000244", "-1024"
    x = image((20, 20), "uint16") >> 4
    np.testing.assert_allclose(
        ctfast.rescale(x, slope=1.000244, intercept=-1024, dtype="float64"), apply_rescale(x, dataset)
    )


@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
def test_ranges_are_those_of_scikit_image_and_opencv(dtype: str) -> None:
    x = image((40, 30), dtype)
    exact = exposure.rescale_intensity(x.astype(np.float64), "image", (0.0, 1.0))
    np.testing.assert_allclose(ctfast.normalize(x), exact, atol=1e-6)
    np.testing.assert_allclose(
        ctfast.normalize(x), cv2.normalize(x, None, 0, 1, cv2.NORM_MINMAX, cv2.CV_64F), atol=1e-6
    )
    low, high = np.percentile(x, (2, 98))
    clipped = exposure.rescale_intensity(x.astype(np.float64), (low, high), (0.0, 1.0))
    np.testing.assert_allclose(ctfast.normalize(x, percentiles=(2, 98)), clipped, atol=1e-6)


@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
def test_standardize_is_scipys_zscore(dtype: str) -> None:
    x = image((40, 30), dtype)
    expected = scipy.stats.zscore(x.astype(np.float64), axis=None)
    np.testing.assert_allclose(ctfast.standardize(x, dtype="float64"), expected, rtol=1e-12, atol=1e-12)
