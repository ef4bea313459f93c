"""A border for each axis, windows beside their pixel: SciPy is the oracle, where it lacks them on an extended image."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import ctfast
from ctfast.errors import ArgumentError
from ctfast.pipeline import parse_step
from ctkernels.contract import IMAGE_DTYPES, MODES
from ctkernels.testing import assert_exact

ndimage = pytest.importorskip("scipy.ndimage")

RNG = np.random.default_rng(17)
SHAPES = [(1, 1), (1, 9), (5, 2), (7, 11), (33, 41)]
PAD = {"reflect": "symmetric", "mirror": "reflect", "nearest": "edge", "wrap": "wrap", "constant": "constant"}


def image(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    values = RNG.normal(90, 60, shape)
    return np.clip(values, 0, 255).astype(dtype)


def extended(x: np.ndarray, reach: int, modes: tuple[str, ...], cval: float) -> np.ndarray:
    """NumPy's own padding, axis by axis; what is outside along any axis with ``constant`` is ``cval``."""
    for axis, mode in enumerate(modes):
        widths = [(reach, reach) if a == axis else (0, 0) for a in range(x.ndim)]
        x = np.pad(x, widths, PAD[mode], **({"constant_values": cval} if mode == "constant" else {}))
    for axis, mode in enumerate(modes):  # a later axis repeated what an earlier one had put outside, and the reverse
        if mode == "constant":
            moved = np.moveaxis(x, axis, 0)
            moved[:reach], moved[-reach:] = cval, cval
    return x


def middle(x: np.ndarray, reach: int) -> np.ndarray:
    return x[(slice(reach, -reach),) * x.ndim]


@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
@pytest.mark.parametrize("mode", MODES)
def test_origins_of_boxes_and_footprints_are_scipy_s(mode: str, dtype: str) -> None:
    holes = np.array([[1, 0, 1, 1], [0, 1, 1, 0], [1, 1, 0, 1]])
    for shape in SHAPES:
        x = image(shape, dtype)
        more = (((3, 5), (1, -2)), ((17, 19), (8, -9))) if dtype == "int16" else ()
        for size, origin in ((3, (1, -1)), (3, -1), *more):
            found = ctfast.median_filter(x, size, origin=origin, mode=mode, cval=7)
            expected = ndimage.median_filter(x, size, origin=origin, mode=mode, cval=7)
            assert_exact(found, expected, f"{shape} {size} {origin}")
        for origin in ((1, -2), (0, 1), (-1, 0)):
            found = ctfast.median_filter(x, footprint=holes, origin=origin, mode=mode, cval=7)
            expected = ndimage.median_filter(x, footprint=holes, origin=origin, mode=mode, cval=7)
            assert_exact(found, expected, f"{shape} footprint {origin}")


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_medians_with_a_border_for_each_axis(dtype: str) -> None:
    disk = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])
    x = image((7, 11), dtype)
    for modes in product(MODES, MODES):
        wide = extended(x, 4, modes, 7)
        for given in ({"size": 3}, {"footprint": disk}, {"size": (3, 3), "origin": (1, -1)}):
            found = ctfast.median_filter(x, mode=modes, cval=7, **given)
            assert_exact(found, middle(ndimage.median_filter(wide, **given), 4), f"{modes} {given}")


@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
def test_gaussians_with_a_border_for_each_axis_are_scipy_s(dtype: str) -> None:
    for shape, modes in product(SHAPES, product(MODES, MODES)):
        x = image(shape, dtype)
        found = ctfast.gaussian_filter(x, (1.1, 2.3), mode=modes, cval=7)
        expected = ndimage.gaussian_filter(x.astype(np.float64), (1.1, 2.3), mode=modes, cval=7)
        allowed = {"i": 0.501, "u": 0.501, "f": 1e-3 if dtype == "float32" else 1e-10}[x.dtype.kind]
        assert found.dtype == x.dtype
        np.testing.assert_allclose(found, expected, rtol=0, atol=allowed, err_msg=f"{shape} {modes}")


@pytest.mark.parametrize("modes", [("wrap", "constant", "mirror"), ("constant", "nearest", "wrap")])
def test_volumes(modes: tuple[str, ...]) -> None:
    x = image((6, 17, 19), "int16")
    found = ctfast.median_filter(x, (3, 3, 3), mode=modes, cval=7, origin=(-1, 1, 0))
    wide = ndimage.median_filter(extended(x, 5, modes, 7), 3, origin=(-1, 1, 0))
    assert_exact(found, middle(wide, 5), "box")
    floats = x.astype(np.float32)
    smooth = ctfast.gaussian_filter(floats, (1.5, 0.7, 1.0), mode=modes, cval=7)
    np.testing.assert_allclose(
        smooth, ndimage.gaussian_filter(floats, (1.5, 0.7, 1.0), mode=modes, cval=7), rtol=0, atol=1e-3
    )
    moved = np.ascontiguousarray(np.moveaxis(x, 0, -1))
    named = ctfast.median_filter(moved, 3, mode=modes, cval=7, origin=(-1, 1, 0), axes=(2, 0, 1))
    assert_exact(np.moveaxis(named, -1, 0), found, "axes")


def test_in_pipelines_and_chains() -> None:
    x = image((9, 30, 40), "int16")
    steps = [
        ctfast.Step("window", center=40, width=400, dtype="uint8"),
        ctfast.Step("median_filter", size=3, origin=1, mode=("wrap", "nearest")),
        ctfast.Step("gaussian_filter", sigma=1.0, mode=("mirror", "constant"), cval=3),
    ]
    pipeline = ctfast.Pipeline(steps)
    again = ctfast.Pipeline.from_dict(pipeline.to_dict())
    assert again == pipeline
    assert again.hash == pipeline.hash
    made = ctfast.window(x, center=40, width=400, dtype="uint8")
    made = ctfast.median_filter(made, 3, origin=1, mode=("wrap", "nearest"))
    made = ctfast.gaussian_filter(made, 1.0, mode=("mirror", "constant"), cval=3)
    assert_exact(pipeline(x), made, "chain")
    plain = ctfast.Step("median_filter", origin=(0, 0), mode=("wrap", "wrap"))
    assert plain == ctfast.Step("median_filter", mode="wrap")
    assert plain.to_dict() == {"operation": "median_filter", "mode": "wrap"}
    assert parse_step("median_filter origin=1,0 mode=wrap,mirror").params["mode"] == ("wrap", "mirror")


@pytest.mark.parametrize(
    ("name", "params", "match"),
    [
        ("median_filter", {"origin": 2}, "origin=2: whole numbers from -1 to 1 are allowed for 3 pixels"),
        ("median_filter", {"size": 5, "origin": (0, -3)}, "from -2 to 2"),
        ("median_filter", {"origin": (1, 0, 0)}, "or 2 of them, is allowed"),
        ("median_filter", {"origin": 0.5}, "whole number"),
        ("median_filter", {"mode": ("wrap", "edge")}, "mode='edge': one of"),
        ("gaussian_filter", {"mode": ("wrap",) * 3}, "or 2 of them, is allowed"),
        ("gaussian_filter", {"mode": ("wrap",)}, "one for each axis"),
        ("gaussian_filter", {"mode": ("wrap", "mirror"), "axes": (0, 1, 2)}, "one value, or one for each axis"),
    ],
)
def test_refused_with_the_way_out(name: str, params: dict[str, Any], match: str) -> None:
    with pytest.raises(ArgumentError, match=match):
        getattr(ctfast, name)(np.zeros((9, 9, 9), np.int16), **params)


def test_cval_counts_where_any_axis_shows_it() -> None:
    x = np.zeros((9, 9), np.uint8)
    with pytest.raises(ArgumentError, match="cval=300"):
        ctfast.median_filter(x, mode=("wrap", "constant"), cval=300)
    ctfast.median_filter(x, mode=("wrap", "mirror"), cval=300)
