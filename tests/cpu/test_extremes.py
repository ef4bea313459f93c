"""The smallest and the largest pixel of windows: the same bits as SciPy's and as lists of minima and maxima give."""

from __future__ import annotations

import numpy as np
import pytest

import ctfast
from ctkernels.cpu._median import extremes
from ctkernels.cpu._median.footprint_layout import window_of
from ctkernels.testing import assert_exact, force_bands

ndimage = pytest.importorskip("scipy.ndimage")

RNG = np.random.default_rng(23)
MODES = ("reflect", "mirror", "nearest", "wrap", "constant")


def images(char: str, shape: tuple[int, ...]) -> np.ndarray:
    if char in "fd":
        return RNG.normal(0, 300, shape).astype(char)
    return RNG.integers(np.iinfo(char).min, np.iinfo(char).max, shape, dtype=char, endpoint=True)


def windows() -> dict[str, np.ndarray]:
    y, x = np.mgrid[-7:8, -7:8]
    cross = np.zeros((11, 9), bool)
    cross[5] = cross[:, 4] = True
    return {
        "one": np.array([[0, 0, 1]], bool),
        "row": np.ones((1, 15), bool),
        "column": np.ones((15, 1), bool),
        "box": np.ones((15, 15), bool),
        "high": np.ones((31, 2), bool),
        "wide": np.ones((2, 70), bool),
        "disk": y**2 + x**2 <= 50,
        "cross": cross,
        "diagonal": np.eye(9, dtype=bool),
        "third": RNG.random((12, 13)) < 0.3,
        "most": RNG.random((13, 12)) < 0.8,
    }


WINDOWS = windows()


@pytest.mark.parametrize("char", "BHhfd")
@pytest.mark.parametrize("name", WINDOWS)
def test_windows(name: str, char: str) -> None:
    mask = WINDOWS[name]
    for number, (height, width) in enumerate(((40, 70), (9, 131), (1, 260), (33, 5))):
        x, mode = images(char, (1, height, width)), MODES[(number + len(name)) % 5]
        for rank in (0, -1):
            found = ctfast.rank_filter(x, rank, footprint=mask, mode=mode, cval=3.0)
            assert_exact(
                found[0], ndimage.rank_filter(x[0], rank, footprint=mask, mode=mode, cval=3.0), f"{mode} {rank}"
            )


def test_volumes_and_origins() -> None:
    x = images("h", (5, 21, 66))
    for shape, origin in (((3, 3, 3), 0), ((4, 2, 6), (1, 0, -2)), ((2, 9, 8), (0, -4, 3))):
        mask = RNG.random(shape) < 0.7
        for rank in (0, -1):
            found = ctfast.rank_filter(x, rank, footprint=mask, origin=origin, mode="mirror")
            assert_exact(found, ndimage.rank_filter(x, rank, footprint=mask, origin=origin, mode="mirror"), str(shape))


def test_bands() -> None:
    x, mask = images("f", (2, 37, 80)), WINDOWS["disk"]
    whole = ctfast.rank_filter(x, 0, footprint=mask)
    with force_bands(bands=[(0, 0, 5), (0, 5, 37), (1, 0, 36), (1, 36, 37)]):
        assert_exact(ctfast.rank_filter(x, 0, footprint=mask), whole)


@pytest.mark.parametrize("char", "fd")
def test_nan_and_negative_zero(char: str) -> None:
    mask = WINDOWS["cross"]
    plain = RNG.normal(0, 1, (1, 30, 70)).astype(char)
    x = np.where(RNG.random(plain.shape) < 0.02, np.nan, plain).astype(char)
    largest = ctfast.rank_filter(x, -1, footprint=mask)
    seen = ndimage.maximum_filter(np.isnan(x[0]).astype(np.uint8), footprint=mask).astype(bool)
    assert_exact(np.isnan(largest[0]), seen)
    assert not np.isnan(ctfast.rank_filter(x, 0, footprint=mask)).any()
    zeros = RNG.choice(np.array([-0.0, 0.0, 0.5, -0.5], char), plain.shape, p=[0.2, 0.7, 0.05, 0.05])
    for rank, whole in ((0, ndimage.maximum_filter), (-1, ndimage.minimum_filter)):
        found = ctfast.rank_filter(zeros, rank, footprint=mask)
        assert_exact(np.signbit(found[0]), whole(np.signbit(zeros[0]).astype(np.uint8), footprint=mask).astype(bool))


def test_runs_and_piles_are_shared() -> None:
    read = {name: len(extremes.plan(tuple(sorted(window_of(mask)))).sources) for name, mask in WINDOWS.items()}
    assert (read["row"], read["column"], read["box"]) == (8, 8, 16)
    assert read["disk"] < WINDOWS["disk"].sum() / 3
