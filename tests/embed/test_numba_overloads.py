"""Operations inside a user's own compiled code: the values of the same calls outside; what can't be is refused."""

from __future__ import annotations

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
    return ctfast.median_filter(x, (1, 3), mode="constant", cval=outside), ctfast.gaussian_filter(x, (1.0, 2.0))


def test_floats_that_are_whole_and_that_are_not() -> None:
    for x in (HU.astype(np.float32), HU * np.float32(0.37)):
        median, smooth = floats(x, 7.5)
        np.testing.assert_array_equal(median, ctfast.median_filter(x, (1, 3), mode="constant", cval=7.5))
        expected = ctfast.gaussian_filter(x, (1.0, 2.0))
        np.testing.assert_allclose(smooth, expected, rtol=0, atol=2e-6 * np.abs(expected).max())


LEVELS = (np.array([-500.0, 3.5, 40.0, 900.0]), np.array([2, 5, 9, 1]))


@numba.njit
def pixels(x: Any, keep: Any, values: Any, counts: Any) -> Any:
    """Operations whose result is an image, after a look at all of it."""
    return (
        ctfast.window(x, center=40.0, width=400.0, function="sigmoid", dtype="uint8"),
        ctfast.normalize(x),
        ctfast.normalize(x, percentiles=(1, 99), value_range=(-200, None), dtype="uint8"),
        ctfast.normalize(x, where=keep, out_range=(-1, 1), clip=False),
        ctfast.normalize(x, percentiles=(5.0, 95.0), axes=3),
        ctfast.standardize(x),
        ctfast.standardize(x, value_range=(-300, 400), std=25.0),
        ctfast.standardize(x, where=keep, dtype=np.float64, axes=3),
        ctfast.match_histogram(x, (values, counts)),
        ctfast.match_histogram(x, (values, counts), where=keep, value_range=(None, 300), dtype="int16"),
        ctfast.label_tissue(x),
        ctfast.label_tissue(x, edges=(-100.5, 40)),
        ctfast.clahe(x),
        ctfast.clahe(x, clip_limit=1.5, tile_grid=(3, 2), nbins=1000, value_range=(0, 200)),
        ctfast.gaussian_filter(x, (0, 1.5)),
    )


@numba.njit
def numbers(x: Any, keep: Any) -> Any:
    """Statistics."""
    return (
        ctfast.histogram(x, 37, value_range=(-100.5, 300)),
        ctfast.histogram(x, 64, where=keep),
        ctfast.histogram(x, axes=3),
        ctfast.summary(x),
        ctfast.summary(x, percentiles=(0.5, 99, 50), where=keep, axes=3),
    )


@numba.njit
def one_summary(x: Any) -> Any:
    return ctfast.summary(x, percentiles=(25.0, 75.0))


def images_of(dtype: str) -> np.ndarray:
    if dtype == "fractions":
        return (HU * 0.37).astype(np.float32)
    return (np.abs(HU) % 250 if dtype[0] == "u" else HU).astype(dtype)


ALL = bool(os.environ.get("CTFAST_ALL_DTYPES"))  # compiling all operations takes a core a minute for each
IMAGES = ("int16", "float32", "fractions", *(("uint8", "float64") if ALL else ()))
NUMBERS = ("uint8", "int16", "float64", "fractions", *(("float32",) if ALL else ()))
EXACT = (1, 2, 3, 10, 11, 12, 13)
"""Of ``pixels``: means, levels and sums of Gaussians may differ by their last bit, which may be one in integers."""


def nearly(found: Any, expected: Any) -> None:
    for number, (got, want) in enumerate(zip(found, expected, strict=True)):
        assert got.dtype == want.dtype, number
        largest = float(np.abs(np.nan_to_num(want.astype(float), posinf=0, neginf=0)).max())
        near = 1.0 if want.dtype.kind in "iu" else 2e-6 * max(1.0, largest)
        np.testing.assert_allclose(got.astype(float), want.astype(float), rtol=0, atol=near, err_msg=str(number))


@pytest.mark.parametrize("dtype", IMAGES)
def test_images_are_those_of_the_interpreter(dtype: str) -> None:
    x = images_of(dtype)
    keep = np.random.default_rng(3).random(x.shape) < 0.6
    found, expected = pixels(x, keep, *LEVELS), pixels.py_func(x, keep, *LEVELS)
    nearly(found, expected)
    for number in EXACT:
        np.testing.assert_array_equal(found[number], expected[number], err_msg=str(number))


@pytest.mark.parametrize("dtype", NUMBERS)
def test_statistics_are_those_of_the_interpreter(dtype: str) -> None:
    x = images_of(dtype)
    keep = np.random.default_rng(3).random(x.shape) < 0.6
    found, expected = numbers(x, keep), numbers.py_func(x, keep)
    for got, want in zip(found[:3], expected[:3], strict=True):
        np.testing.assert_array_equal(got.counts, want.counts)
        np.testing.assert_array_equal(got.edges, want.edges)
        assert got.edges.dtype == want.edges.dtype
    for got, want in zip(found[3:], expected[3:], strict=True):
        for field in ("count", "min", "max", "percentiles"):
            np.testing.assert_array_equal(getattr(got, field), getattr(want, field), err_msg=field)
        for field in ("mean", "std"):
            np.testing.assert_allclose(getattr(got, field), getattr(want, field), rtol=1e-12, err_msg=field)


def test_pixels_that_are_no_numbers_and_images_of_one_value() -> None:
    holes = images_of("fractions")
    holes[0, 3, 4:9] = np.nan, np.inf, -np.inf, np.nan, 0
    for x in (holes, np.full_like(holes, np.nan), np.full_like(holes, 40.5), np.full_like(HU, 7)):
        keep = np.zeros(x.shape, bool)
        with np.errstate(all="ignore"):
            found, expected = pixels(x, keep, *LEVELS), pixels.py_func(x, keep, *LEVELS)
        nearly(found[:-1], expected[:-1])
        summary, wanted = one_summary(x), one_summary.py_func(x)
        np.testing.assert_array_equal(summary.count, wanted.count)
        np.testing.assert_allclose(summary.mean, wanted.mean, rtol=1e-12)
        np.testing.assert_array_equal(summary.percentiles, wanted.percentiles)


def test_one_image_and_four_axes() -> None:
    for x in (HU[0], np.stack([HU, HU + 1])):
        found, expected = one_summary(x), one_summary.py_func(x)
        for field in ("count", "min", "max", "percentiles"):
            np.testing.assert_array_equal(getattr(found, field), getattr(expected, field))
            assert np.shape(getattr(found, field)) == np.shape(getattr(expected, field))
        counts, edges = one_histogram(x)
        np.testing.assert_array_equal(counts, one_histogram.py_func(x).counts)
        np.testing.assert_array_equal(edges, one_histogram.py_func(x).edges)


@numba.njit
def one_histogram(x: Any) -> Any:
    return ctfast.histogram(x, 20)


def test_every_public_operation_is_there() -> None:
    for name in OPERATIONS:
        assert any(hasattr(part, name) for part in numba_overloads._PARTS), name


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda x: ctfast.median_filter(x, 4), "odd windows"),
        (lambda x: ctfast.median_filter(x, len(x)), "constant in the code"),
        (lambda x: ctfast.median_filter(x[:, :, ::2], 3), "ascontiguousarray"),
        (lambda x: ctfast.median_filter(x, 3, mode="round"), "mode='round'"),
        (lambda x: ctfast.window(x, center=0, width=9, function="cubic"), "function='cubic'"),
        (lambda x: ctfast.normalize(x, where=x[0] > 0), "where="),
        (lambda x: ctfast.standardize(x, axes=(0, 1)), "axes="),
        (lambda x: ctfast.histogram(x[0], axes=3), "axes=3 of 2"),
        (lambda x: ctfast.match_histogram(x, 3), "values, counts"),
        (lambda x: ctfast.clahe(x, tile_grid=(2, 2, 2)), "outside of compiled code"),
        (lambda x: ctfast.gaussian_filter(x, (1.0, 1.0, 1.0)), "outside of compiled code"),
        (lambda x: ctfast.rescale(x[0, 0]), "1 axes of int16"),
        (lambda x: ctfast.median_filter(x, origin=1), "median_filter with origin=: call ctfast outside"),
        (lambda x: ctfast.median_filter(x, mode=("wrap", "mirror")), "median_filter with a mode for each axis: call"),
        (lambda x: ctfast.gaussian_filter(x, mode=("wrap", "mirror")), "gaussian_filter with a mode for each axis"),
        (lambda x: ctfast.gaussian_filter(x, order=1), "gaussian_filter with order= or radius=: call ctfast outside"),
        (lambda x: ctfast.gaussian_filter(x, radius=2), "gaussian_filter with order= or radius="),
        (lambda x: ctfast.rank_filter(x, 1), "ctfast.rank_filter: call ctfast outside"),
        (lambda x: ctfast.percentile_filter(x, 10), "ctfast.percentile_filter: call ctfast outside"),
    ],
)
def test_what_is_not_compiled_in_says_so(call: Any, match: str) -> None:
    with pytest.raises(TypingError, match=match):
        numba.njit(call)(HU)


def test_numbers_are_checked_where_they_come() -> None:
    for call in (
        lambda x: ctfast.gaussian_filter(x, 1.0, truncate=60.0),
        lambda x: ctfast.window(x, center=0, width=1),
    ):
        with pytest.raises(ValueError, match=r"outside of compiled code"):
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
