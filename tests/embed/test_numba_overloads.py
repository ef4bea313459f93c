"""Operations inside a user's own compiled code: the values of the same calls outside; what can't be is refused."""

from __future__ import annotations

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


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda x: ctfast.median_filter(x, 4), "odd windows"),
        (lambda x: ctfast.median_filter(x, len(x)), "constant in the code"),
        (lambda x: ctfast.median_filter(x[:, :, ::2], 3), "ascontiguousarray"),
        (lambda x: ctfast.median_filter(x, 3, mode="round"), "mode='round'"),
        (lambda x: ctfast.window(x, center=0, width=9, function="sigmoid"), "outside of compiled code"),
        (lambda x: ctfast.normalize(x), "in_range"),
        (lambda x: ctfast.normalize(x, in_range=(0, 1), where=x > 0), "where="),
        (lambda x: ctfast.gaussian_filter(x, (1.0, 1.0, 1.0)), "outside of compiled code"),
        (lambda x: ctfast.rescale(x[0, 0]), "1 axes of int16"),
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
