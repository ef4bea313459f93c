"""CLAHE of volumes, and ranks that are known only when the code runs, inside a user's own compiled code."""

from __future__ import annotations

import os
from typing import Any

import numba
import numpy as np
import pytest
from numba.core.errors import TypingError

import ctfast
from ctfast.embed import numba_overloads
from ctkernels.testing import assert_exact

ndimage = pytest.importorskip("scipy.ndimage")

numba_overloads.register()
HU = np.random.default_rng(8).normal(40, 300, (2, 13, 23, 37))


def volume_of(dtype: str) -> np.ndarray:
    return (np.abs(HU) % 256 if dtype[0] == "u" else HU).astype(dtype)


@numba.njit
def equalized(x: Any, limit: float, tiles: Any, bins: int) -> Any:
    return ctfast.clahe(x, clip_limit=limit, tile_grid=tiles, nbins=bins)


@numba.njit
def narrow(x: Any) -> Any:
    return ctfast.clahe(x, tile_grid=(2, 3, 2), nbins=1000, value_range=(-100, 200))


SETTINGS = (
    (2.0, (4, 8, 8), 256),
    (1.5, (2, 3, 5), 1000),  # more bins than tables hold: those that occur are looked for
    (0.0, (1, 1, 1), 64),
    (3.0, (13, 2, 7), 700),
)


ALL = bool(os.environ.get("CTFAST_ALL_DTYPES"))  # compiling takes a core half a minute for each


@pytest.mark.parametrize("dtype", ["int16", "float32", *(("uint8", "uint16", "float64") if ALL else ())])
def test_clahe_of_volumes_has_the_bits_of_the_interpreter_s(dtype: str) -> None:
    x = volume_of(dtype)
    for limit, tiles, bins in SETTINGS:
        for volumes in (x, np.full_like(x, 7)):
            found = equalized(volumes, limit, tiles, bins)
            expected = ctfast.clahe(volumes, clip_limit=limit, tile_grid=tiles, nbins=bins)
            assert_exact(found, expected, f"{dtype} {tiles} {bins}")
    if ALL and dtype == "int16":
        assert_exact(narrow(x[0]), ctfast.clahe(x[0], tile_grid=(2, 3, 2), nbins=1000, value_range=(-100, 200)))


def test_clahe_of_volumes_refuses_tiles_that_the_volume_does_not_hold() -> None:
    x = volume_of("int16")
    with pytest.raises(ValueError, match="tiles that the image holds"):
        equalized(x, 2.0, (14, 2, 2), 256)
    with pytest.raises(TypingError, match="tile_grid of 3 axes"):
        numba.njit(lambda x: ctfast.clahe(x, tile_grid=(2, 2, 2)))(x[0, 0])


DISK = numba_overloads.Footprint([[0, 1, 1, 0], [1, 1, 1, 1], [0, 1, 1, 0]])


@numba.njit
def shares(x: Any, share: float, rank: int) -> Any:
    return (
        ctfast.percentile_filter(x, share, footprint=DISK, mode="constant", cval=11.0),
        ctfast.rank_filter(x, rank, size=(2, 3, 1)),
    )


@pytest.mark.parametrize("dtype", ["float32", *(("int16", "uint8", "uint16", "float64") if ALL else ())])
def test_ranks_of_the_moment_are_scipy_s(dtype: str) -> None:
    x = volume_of(dtype)[0]
    disk = np.array(DISK, bool)[np.newaxis]
    for share, rank in ((37.5, 4), (12.5, -6), (-0.5, 3), (100.0, 5), (0.0, 0)):
        expected = (
            ndimage.percentile_filter(x, share, footprint=disk, mode="constant", cval=11.0),
            ndimage.rank_filter(x, rank, size=(2, 3, 1)),
        )
        for found, wanted in zip(shares(x, share, rank), expected, strict=True):
            assert_exact(found, wanted, f"{dtype} {share}")


def test_ranks_beyond_the_window_are_refused() -> None:
    x = volume_of("float32")[0]
    with pytest.raises(ValueError, match="from -100 to 100"):
        shares(x, 100.5, 0)
    with pytest.raises(ValueError, match="rank= of a pixel"):
        shares(x, 50.0, 6)


HOLES = numba_overloads.Footprint(np.random.default_rng(3).random((9, 8)) < 0.8)


@numba.njit
def doubles(x: Any) -> Any:
    """Few pixels, which stay in registers, and more, which go by halves."""
    return ctfast.rank_filter(x, 2, footprint=DISK), ctfast.median_filter(
        x, footprint=HOLES, mode="constant", cval=-0.5
    )


def test_doubles_are_those_outside() -> None:
    x = HU[0, :3].copy()
    equal = 1 + np.random.default_rng(4).integers(0, 2**31, x.shape) * 2.0**-52  # upper halves alone say nothing
    for image in (x, np.where(x < -200, np.nan, x), np.where(x < 0, -0.0, np.trunc(x)), equal, x[..., :5].copy()):
        for found, wanted in zip(doubles(image), doubles.py_func(image), strict=True):
            assert_exact(found.view(np.int64), wanted.view(np.int64), "bits")
