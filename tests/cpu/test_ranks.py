"""Ranks, percentiles and medians of windows, even ones among them: SciPy is the oracle, and the reference for NaN."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ctfast
from ctfast.errors import ArgumentError, ShapeError
from ctkernels.contract import IMAGE_DTYPES, MODES
from ctkernels.testing import assert_exact

ndimage = pytest.importorskip("scipy.ndimage")

RNG = np.random.default_rng(31)
SHAPES = [(1, 9), (5, 2), (33, 41)]
HOLES = np.array([[1, 0, 1, 1], [0, 1, 1, 0], [1, 1, 0, 1]])
WINDOWS: list[dict[str, Any]] = [
    {"size": 3},
    {"size": (4, 2)},
    {"size": (2, 5), "origin": (0, -2)},
    {"footprint": HOLES},
    {"footprint": HOLES, "origin": (-1, 1)},
]


def image(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return np.clip(RNG.normal(90, 60, shape), 0, 255).astype(dtype)


@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
@pytest.mark.parametrize("mode", MODES)
def test_ranks_and_percentiles_are_scipy_s(mode: str, dtype: str) -> None:
    for shape in SHAPES:
        x = image(shape, dtype)
        for window in WINDOWS:
            given = {"mode": mode, "cval": 7, **window}
            assert_exact(ctfast.median_filter(x, **given), ndimage.median_filter(x, **given), f"{shape} {window}")
            for rank in (0, 2, 4, -2, -1):
                found = ctfast.rank_filter(x, rank, **given)
                assert_exact(found, ndimage.rank_filter(x, rank, **given), f"{shape} {rank} {window}")
            for percentile in (0, 10, 50.0, 99.9, 100, -30):
                found = ctfast.percentile_filter(x, percentile, **given)
                expected = ndimage.percentile_filter(x, percentile, **given)
                assert_exact(found, expected, f"{shape} {percentile} {window}")


def test_volumes_batches_and_axes() -> None:
    x = image((2, 6, 17, 19), "int16")
    for given in ({"size": (2, 3, 4)}, {"footprint": RNG.random((3, 2, 5)) < 0.5, "origin": (1, 0, -1)}):
        found = ctfast.rank_filter(x, 3, mode="mirror", **given)
        middle = ctfast.median_filter(x, mode="mirror", **given)
        for volume, result, median in zip(x, found, middle, strict=True):
            assert_exact(result, ndimage.rank_filter(volume, 3, mode="mirror", **given), str(given))
            assert_exact(median, ndimage.median_filter(volume, mode="mirror", **given), str(given))
    slices = ctfast.percentile_filter(x, 80, size=3)
    assert_exact(slices[1, 2], ndimage.percentile_filter(x[1, 2], 80, 3), "slices")
    named = ctfast.rank_filter(x, -1, size=3, axes=(1, 2, 3))
    assert_exact(named[0], ndimage.rank_filter(x[0], -1, 3), "axes")


def test_erosion_and_dilation() -> None:
    x = image((20, 30), "uint8")
    assert_exact(ctfast.rank_filter(x, 0, size=(3, 5)), ndimage.minimum_filter(x, (3, 5)), "erosion")
    assert_exact(ctfast.rank_filter(x, -1, size=(3, 5)), ndimage.maximum_filter(x, (3, 5)), "dilation")
    assert_exact(ctfast.rank_filter(x, 12, size=5), ctfast.median_filter(x, 5), "median")


def test_nan_counts_as_the_largest() -> None:
    x = image((9, 14), "float32")
    x.flat[::7], x.flat[3::11], x.flat[5::13] = np.nan, np.inf, -np.inf
    for rank in range(-4, 4):
        found = ctfast.rank_filter(x, rank, footprint=HOLES)
        np.testing.assert_array_equal(found, ctfast.rank_filter(x, rank, footprint=HOLES, backend="reference"))


def test_in_pipelines_and_chains() -> None:
    x = image((9, 30, 40), "int16")
    step = ctfast.Step("rank_filter", rank=-1, size=(2, 3))
    assert step.params["rank"] == 5
    assert step == ctfast.Step("rank_filter", rank=5, size=(2, 3))
    steps = [ctfast.Step("window", center=40, width=400, dtype="uint8"), step]
    steps.append(ctfast.Step("percentile_filter", percentile=-80, footprint=HOLES))
    pipeline = ctfast.Pipeline(steps)
    assert ctfast.Pipeline.from_dict(pipeline.to_dict()) == pipeline
    assert pipeline.keeps_units is False
    made = ctfast.rank_filter(ctfast.window(x, center=40, width=400, dtype="uint8"), -1, size=(2, 3))
    assert_exact(pipeline(x), ctfast.percentile_filter(made, 20, footprint=HOLES), "chain")


@pytest.mark.parametrize(
    ("name", "value", "params", "match"),
    [
        ("rank_filter", 9, {}, "rank=9: whole numbers from -9 to 8 are allowed for a window of 9 pixels"),
        ("rank_filter", -6, {"footprint": np.eye(5)}, "from -5 to 4"),
        ("rank_filter", 1.5, {}, "rank=1.5: a whole number"),
        ("rank_filter", 1, {"size": 65}, "up to 4,096 are allowed; median_filter"),
        ("rank_filter", 1, {"size": 5, "footprint": np.eye(5)}, "give one of them"),
        ("percentile_filter", 101, {}, "from 0 to 100"),
        ("percentile_filter", np.nan, {}, "from 0 to 100"),
        ("percentile_filter", 5, {"size": 0}, "a whole number from 1"),
    ],
)
def test_refused_with_the_way_out(name: str, value: Any, params: dict[str, Any], match: str) -> None:
    with pytest.raises(ArgumentError, match=match):
        getattr(ctfast, name)(np.zeros((9, 9), np.int16), value, **params)


def test_volumes_are_asked_for() -> None:
    with pytest.raises(ShapeError, match="volumes"):
        ctfast.rank_filter(np.zeros((9, 9), np.int16), 0, size=(3, 3, 3))
