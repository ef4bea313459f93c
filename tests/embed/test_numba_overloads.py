"""Operations inside a user's own compiled code: the values of the same calls outside; what can't be is refused."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from numba.core.errors import TypingError

import ctfast
from ctfast.embed import numba_overloads
from ctkernels.contract import OPERATIONS
from ctkernels.cpu import within_jit
from ctkernels.shared.border import border_index
from ctkernels.testing import assert_exact

ndimage = pytest.importorskip("scipy.ndimage")

numba_overloads.register()
HU = np.random.default_rng(8).normal(40, 300, (3, 20, 37)).astype(np.int16)


@pytest.mark.parametrize("mode", within_jit.BORDERS)
def test_borders_are_those_of_the_interpreter(mode: str) -> None:
    for n, reach in ((1, 3), (2, 5), (7, 3), (7, 0)):
        found = within_jit.border_table(n, reach, within_jit.BORDERS[mode])
        np.testing.assert_array_equal(found, border_index(n, reach, reach, mode))


@numba.njit
def rows_only(image: Any) -> Any:
    return ctfast.median_filter(image, (1, 3))


@numba.njit(parallel=True)
def slice_by_slice(volume: Any, center: float) -> Any:
    out = np.empty(volume.shape, np.uint8)
    for z in numba.prange(len(volume)):
        ctfast.window(rows_only(volume[z]), center=center, width=400, out=out[z])
    return out


def test_a_loop_over_a_volume() -> None:
    expected = ctfast.window(ctfast.median_filter(HU, (1, 3)), center=40, width=400, dtype="uint8")
    np.testing.assert_array_equal(slice_by_slice(HU, 40.0), expected)
    assert slice_by_slice.nopython_signatures


@numba.njit
def lines(x: Any, low: float) -> Any:
    return (
        ctfast.rescale(x, slope=2.0, intercept=low),
        ctfast.rescale(x, slope=1.5, dtype="int16"),
        ctfast.window(x, center=40, width=400, function="linear_exact", slope=2.0),
        ctfast.normalize(x, in_range=(low, 400), out_range=(-1, 1), clip=False),
        ctfast.normalize(x, in_range=(low, 400.0), dtype=np.uint8),
    )


def test_lines_have_the_bits_of_the_interpreter_s() -> None:
    expected = (
        ctfast.rescale(HU, slope=2.0, intercept=-300.0),
        ctfast.rescale(HU, slope=1.5, dtype="int16"),
        ctfast.window(HU, center=40, width=400, function="linear_exact", slope=2.0),
        ctfast.normalize(HU, in_range=(-300.0, 400), out_range=(-1, 1), clip=False),
        ctfast.normalize(HU, in_range=(-300.0, 400), dtype="uint8"),
    )
    for found, value in zip(lines(HU, -300.0), expected, strict=True):
        assert found.dtype == value.dtype
        np.testing.assert_array_equal(found, value)


@numba.njit
def floats(x: Any, outside: float) -> Any:
    return ctfast.median_filter(x, (1, 3), mode="constant", cval=outside)


def test_floats_that_are_whole_and_that_are_not() -> None:
    for x in (HU.astype(np.float32), HU * np.float32(0.37)):
        np.testing.assert_array_equal(floats(x, 7.5), ctfast.median_filter(x, (1, 3), mode="constant", cval=7.5))


LEVELS = (np.array([-500.0, 3.5, 40.0, 900.0]), np.array([2, 5, 9, 1]))


@numba.njit
def pixels(x: Any, keep: Any, values: Any, counts: Any) -> Any:
    """Operations whose result is an image, after a look at all of it; with ``whole`` all that there are."""
    return (
        ctfast.window(x, center=40.0, width=400.0, function="sigmoid", dtype="uint8"),
        ctfast.normalize(x),
        ctfast.normalize(x, where=keep, out_range=(-1, 1), clip=False),
        ctfast.normalize(x, percentiles=(5.0, 95.0), axes=3),
        ctfast.standardize(x, value_range=(-300, 400), std=25.0),
        ctfast.standardize(x, where=keep, dtype=np.float64, axes=3),
        ctfast.match_histogram(x, (values, counts)),
        ctfast.label_tissue(x),
        ctfast.clahe(x),
        ctfast.clahe(x, clip_limit=1.5, tile_grid=(3, 2), nbins=1000, value_range=(0, 200)),
        ctfast.gaussian_filter(x, (0, 1.5)),
    )


@numba.njit
def whole(x: Any, keep: Any, values: Any, counts: Any) -> Any:
    """The rest, and what has code of its own for integers; arguments are read in one way for all dtypes."""
    return (
        ctfast.normalize(x, percentiles=(1, 99), value_range=(-200, None), dtype="uint8"),
        ctfast.standardize(x),
        ctfast.match_histogram(x, (values, counts), where=keep, value_range=(None, 300), dtype="int16"),
        ctfast.label_tissue(x, edges=(-100.5, 40)),
        ctfast.clahe(x),
        ctfast.clahe(x, clip_limit=1.5, tile_grid=(3, 2), nbins=1000, value_range=(0, 200)),
        ctfast.gaussian_filter(x, (0, 1.5)),
    )


@numba.njit
def histograms(x: Any, keep: Any) -> Any:
    return (
        ctfast.histogram(x, 37, value_range=(-100.5, 300)),
        ctfast.histogram(x, 64, where=keep),
        ctfast.histogram(x, axes=3),
    )


@numba.njit
def summaries(x: Any, keep: Any) -> Any:
    return ctfast.summary(x), ctfast.summary(x, percentiles=(0.5, 99, 50), where=keep, axes=3)


@numba.njit
def one_of_each(x: Any, keep: Any) -> Any:
    return ctfast.histogram(x, 20), ctfast.summary(x, percentiles=(25.0, 75.0), where=keep)


def images_of(dtype: str) -> np.ndarray:
    if dtype == "fractions":
        return (HU * 0.37).astype(np.float32)
    return (np.abs(HU) % 250 if dtype[0] == "u" else HU).astype(dtype)


ALL = bool(os.environ.get("CTFAST_ALL_DTYPES"))  # compiling all operations takes a core a minute for each
IMAGES = [(pixels, "float32"), (pixels, "fractions"), (whole, "int16")]
if ALL:
    IMAGES = list(itertools.product((pixels, whole), ("uint8", "int16", "float32", "fractions", "float64")))
NUMBERS = ("int16", "fractions", *(("uint8", "float32", "float64") if ALL else ()))
EXACT = {pixels: (1, 2, 7, 8, 9), whole: (0, 3, 4, 5)}
"""Means, levels and sums of Gaussians may differ by their last bit, which may be one in integers."""


def nearly(found: Any, expected: Any) -> None:
    for number, (got, want) in enumerate(zip(found, expected, strict=True)):
        assert got.dtype == want.dtype, number
        largest = float(np.abs(np.nan_to_num(want.astype(float), posinf=0, neginf=0)).max())
        near = 1.0 if want.dtype.kind in "iu" else 2e-6 * max(1.0, largest)
        np.testing.assert_allclose(got.astype(float), want.astype(float), rtol=0, atol=near, err_msg=str(number))


def equal_histograms(found: Any, expected: Any) -> None:
    np.testing.assert_array_equal(found.counts, expected.counts)
    np.testing.assert_array_equal(found.edges, expected.edges)
    assert found.edges.dtype == expected.edges.dtype


def equal_summaries(found: Any, expected: Any) -> None:
    for field in ("count", "min", "max", "percentiles"):
        np.testing.assert_array_equal(getattr(found, field), getattr(expected, field), err_msg=field)
        assert np.shape(getattr(found, field)) == np.shape(getattr(expected, field))
    for field in ("mean", "std"):
        np.testing.assert_allclose(getattr(found, field), getattr(expected, field), rtol=1e-12, err_msg=field)


@pytest.mark.parametrize(("operations", "dtype"), IMAGES, ids=[f"{f.__name__}-{dtype}" for f, dtype in IMAGES])
def test_images_are_those_of_the_interpreter(operations: Any, dtype: str) -> None:
    x = images_of(dtype)
    keep = np.random.default_rng(3).random(x.shape) < 0.6
    found, expected = operations(x, keep, *LEVELS), operations.py_func(x, keep, *LEVELS)
    nearly(found, expected)
    for number in EXACT[operations]:
        np.testing.assert_array_equal(found[number], expected[number], err_msg=str(number))


@pytest.mark.parametrize("dtype", NUMBERS)
def test_statistics_are_those_of_the_interpreter(dtype: str) -> None:
    x = images_of(dtype)
    keep = np.random.default_rng(3).random(x.shape) < 0.6
    for found, expected in zip(histograms(x, keep), histograms.py_func(x, keep), strict=True):
        equal_histograms(found, expected)
    for found, expected in zip(summaries(x, keep), summaries.py_func(x, keep), strict=True):
        equal_summaries(found, expected)


def test_pixels_that_are_no_numbers_and_images_of_one_value() -> None:
    holes = images_of("fractions")
    holes[0, 3, 4:9] = np.nan, np.inf, -np.inf, np.nan, 0
    nothing = np.zeros(holes.shape, bool)
    for x in (holes, np.full_like(holes, np.nan), np.full_like(holes, 40.5)):
        with np.errstate(all="ignore"):
            nearly(pixels(x, nothing, *LEVELS)[:-1], pixels.py_func(x, nothing, *LEVELS)[:-1])
    for x in (holes, np.full_like(holes, np.nan), np.full_like(holes, 40.5), np.full_like(HU, 7)):
        with np.errstate(all="ignore"):
            for found, expected in zip(summaries(x, nothing), summaries.py_func(x, nothing), strict=True):
                equal_summaries(found, expected)
    same = np.full_like(HU, 7)
    nearly(whole(same, nothing, *LEVELS), whole.py_func(same, nothing, *LEVELS))


@pytest.mark.parametrize(("dtype", "shape"), [("uint8", (3, 20, 37)), ("int16", (20, 37)), ("float64", (2, 3, 20, 37))])
def test_one_image_and_four_axes_and_the_other_dtypes(dtype: str, shape: tuple[int, ...]) -> None:
    """Axes and dtypes have no code in common: each pair stands for both."""
    x = np.resize(images_of(dtype), shape)
    keep = np.random.default_rng(3).random(shape) < 0.6
    found, expected = one_of_each(x, keep), one_of_each.py_func(x, keep)
    equal_histograms(found[0], expected[0])
    equal_summaries(found[1], expected[1])


CROSS = numba_overloads.Footprint([[0, 1, 0], [1, 1, 1], [0, 1, 1]])


@numba.njit
def windows(x: Any, outside: float) -> Any:
    """Medians and ranks of windows that are no small odd boxes of images."""
    return (
        ctfast.median_filter(x, footprint=CROSS, mode="mirror"),
        ctfast.rank_filter(x, -2, size=(3, 2), origin=(1, 0), mode=("wrap", "nearest")),
        ctfast.percentile_filter(x, 20, size=(3, 1, 2), mode="constant", cval=outside),
        ctfast.median_filter(x, (1, 3), origin=(0, -1), mode=("wrap", "constant"), cval=outside),
        ctfast.median_filter(x, (3, 3, 3)),
    )


def windows_of_scipy(x: np.ndarray, outside: float) -> tuple[np.ndarray, ...]:
    each = [
        ndimage.median_filter(x, footprint=np.array(CROSS)[None], mode="mirror"),
        np.stack([ndimage.rank_filter(y, -2, size=(3, 2), origin=(1, 0), mode="constant") for y in x]),
        ndimage.percentile_filter(x, 20, size=(3, 1, 2), mode="constant", cval=outside),
        ndimage.median_filter(np.pad(x, 1, constant_values=outside)[1:-1, 1:-1], (1, 1, 3), origin=(0, 0, -1))[
            ..., 1:-1
        ],
        ndimage.median_filter(x, 3),
    ]
    # SciPy's ranks have one border for all axes.
    each[1] = np.stack(
        [
            ndimage.rank_filter(np.pad(y, ((2, 2), (0, 0)), "wrap"), -2, size=(3, 2), origin=(1, 0), mode="nearest")[
                2:-2
            ]
            for y in x
        ]
    )
    return tuple(each)


@pytest.mark.parametrize("dtype", ["int16", *(("float32", "fractions", "uint8", "float64") if ALL else ())])
def test_windows_of_any_shape_are_scipy_s(dtype: str) -> None:
    x = images_of(dtype)
    for found, expected in zip(windows(x, 7.0), windows_of_scipy(x, 7.0), strict=True):
        assert_exact(found, expected, dtype)


def test_large_medians_of_many_values_and_narrow_images() -> None:
    x = np.random.default_rng(2).normal(0, 1e4, (1, 70, 75)).astype(np.float32)
    tall = np.random.default_rng(3).normal(0, 1e4, (1, 65_600, 2)).astype(np.float32)
    for image in (x, np.round(x), x[:, :9, :3], x[..., :40].astype(np.int16), tall):
        assert_exact(
            large(np.ascontiguousarray(image)),
            ndimage.median_filter(image, (1, 17, 17), mode="constant", cval=7.0),
            str(image.shape),
        )


@numba.njit
def large(x: Any) -> Any:
    return ctfast.median_filter(x, 17, mode="constant", cval=7.0)


@numba.njit
def blurs(x: Any, sigma: float) -> Any:
    return (
        ctfast.gaussian_filter(x, sigma, spacing=(2.5, 0.7, 1), mode=("wrap", "mirror", "constant"), cval=-9.5),
        ctfast.gaussian_filter(x, (1.0, sigma), radius=(2, 80), mode=("nearest", "wrap")),
        ctfast.gaussian_filter(x, (sigma, 1.0, 0), order=(1, 2, 0), mode=("constant", "mirror", "wrap"), cval=3.5),
    )


@pytest.mark.parametrize("dtype", ["float32", *(("int16", "float64") if ALL else ())])
def test_blurs_of_volumes_and_far_ones(dtype: str) -> None:
    x = HU.astype(dtype)
    found, plain = blurs(x, 1.5), x.astype(np.float64)
    nearly(found, blurs.py_func(x, 1.5))
    expected = (
        ndimage.gaussian_filter(plain, (0.6, 1.5 / 0.7, 1.5), mode=("wrap", "mirror", "constant"), cval=-9.5),
        ndimage.gaussian_filter(plain, (0, 1.0, 1.5), radius=(0, 2, 80), mode=("nearest", "nearest", "wrap")),
        ndimage.gaussian_filter(plain, (1.5, 1.0, 0), order=(1, 2, 0), mode=("constant", "mirror", "wrap"), cval=3.5),
    )
    for got, want in zip(found, expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=0.51 if dtype == "int16" else 2e-3)


def test_every_public_operation_is_there() -> None:
    for name in OPERATIONS:
        assert any(hasattr(part, name) for part in numba_overloads._PARTS), name


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda x: ctfast.median_filter(x, len(x)), "constant in the code"),
        (lambda x: ctfast.median_filter(x[:, :, ::2], 3), "ascontiguousarray"),
        (lambda x: ctfast.median_filter(x, 3, mode="round"), "mode='round'"),
        (lambda x: ctfast.window(x, center=0, width=9, function="cubic"), "function='cubic'"),
        (lambda x: ctfast.normalize(x, where=x[0] > 0), "where="),
        (lambda x: ctfast.standardize(x, axes=(0, 1)), "axes="),
        (lambda x: ctfast.histogram(x[0], axes=3), "axes=3 of 2"),
        (lambda x: ctfast.match_histogram(x, 3), "values, counts"),
        (lambda x: ctfast.gaussian_filter(x, (1.0, 1.0, 1.0), radius=(1, 1)), "are of 2, 3 axes"),
        (lambda x: ctfast.gaussian_filter(x[0], (1.0, 1.0, 1.0)), "the image of 2"),
        (lambda x: ctfast.rescale(x[0, 0]), "1 axes of int16"),
        (lambda x: ctfast.median_filter(x, origin=2), "origin="),
        (lambda x: ctfast.median_filter(x, mode=("wrap", "mirror", "wrap")), "one for each of 2 axes"),
        (lambda x: ctfast.median_filter(x, (65, 64)), "4,096"),
        (lambda x: ctfast.median_filter(x[0], (3, 3, 3)), "3 axes of an image of 2"),
        (lambda x: ctfast.median_filter(x, (3, 3), footprint=x > 0), "Footprint"),
        (lambda x: ctfast.gaussian_filter(x, mode=("wrap", "round")), "mode='round'"),
        (lambda x: ctfast.gaussian_filter(x, order=9), "whole numbers from 0 to 8"),
    ],
)
def test_what_is_not_compiled_in_says_so(call: Any, match: str) -> None:
    with pytest.raises(TypingError, match=match):
        numba.njit(call)(HU)


def test_numbers_are_checked_where_they_come() -> None:
    for call, words in (
        (lambda x: ctfast.gaussian_filter(x, -1.0), "outside of compiled code|sigma above 0"),
        (lambda x: ctfast.window(x, center=0, width=1), "outside of compiled code"),
        (lambda x: ctfast.rank_filter(x, 9), "rank= of a pixel that the window doesn't have"),
        (lambda x: ctfast.percentile_filter(x, 101), "from -100 to 100"),
    ):
        with pytest.raises(ValueError, match=words):
            numba.njit(call)(HU[0])


SCRIPT = """
import numba, numpy as np, ctfast
from ctfast.embed import numba_overloads
numba_overloads.register()

@numba.njit(cache=True)
def step(x):
    return ctfast.rescale(x, slope=2.0)

step(np.ones((8, 8), np.int16))
print(sum(step.stats.cache_hits.values()), sum(step.stats.cache_misses.values()))
"""


def test_it_is_kept_on_disk(tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text(SCRIPT)
    runs = [
        subprocess.run([sys.executable, tmp_path / "user.py"], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert [run.split() for run in runs] == [["0", "1"], ["1", "0"]]
