"""``axes=``: images whose rows and columns (and planes) are anywhere, and ``spacing=``, which makes pixels of mm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage

import ctfast
from ctfast.dispatch.arrays import known_axes
from ctfast.errors import ArgumentError, ShapeError
from ctkernels.contract import OPERATIONS
from ctkernels.testing import assert_exact
from tests.test_axes import _parts

X = np.random.default_rng(3).integers(-900, 1500, (2, 9, 12, 7)).astype(np.int16)
"""``(C, H, W, D)``."""
PARAMS: dict[str, dict[str, Any]] = {
    "rescale": {"intercept": -5.0},
    "window": {"center": 40, "width": 400},
    "median_filter": {"size": 3},
    "rank_filter": {"rank": 2, "size": 3},
    "percentile_filter": {"percentile": 20, "size": 3},
    "gaussian_filter": {"sigma": 1.0},
    "clahe": {"tile_grid": 2},
    "match_histogram": {"reference": ((-900, 0, 60, 1500), (3, 1, 4, 1))},
    "histogram": {"bins": 10, "value_range": (-900, 1500)},
}


@pytest.mark.parametrize("axes", [(1, 2, 3), (3, 1, 2), (-1, 0, 1), (1, 2), (3, 0)])
@pytest.mark.parametrize("name", OPERATIONS)
def test_the_same_as_moving_axes_and_back(name: str, axes: tuple[int, ...]) -> None:
    function, params = getattr(ctfast, name), PARAMS.get(name, {})
    together = len(axes)
    last = tuple(range(-together, 0))
    moved = np.ascontiguousarray(np.moveaxis(X, axes, last))
    plain = {k: (v,) * 3 if k in ("size", "sigma", "tile_grid") and together == 3 else v for k, v in params.items()}
    if OPERATIONS[name].kind in ("range", "statistic"):
        plain["axes"] = together
    with known_axes():
        expected = _parts(function(moved, **plain))
    got = _parts(function(X, **params, axes=axes))
    if OPERATIONS[name].kind != "statistic":
        expected = [np.moveaxis(expected[0], last, axes)]
        assert got[0].shape == X.shape
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_each_number_is_of_its_axis_and_axes_by_their_number() -> None:
    got = ctfast.median_filter(X, (5, 3, 1), axes=(3, 1, 2))
    # By one number for every axis: SciPy's rank filters sort axes= and leave size= as it is (scipy/scipy#22576).
    assert_exact(got, ndimage.median_filter(X, (1, 3, 1, 5)))
    assert_exact(ctfast.median_filter(X[0], 3, axes=3), ndimage.median_filter(X[0], 3))
    assert_exact(ctfast.median_filter(X, 3, axes=2), ctfast.median_filter(X, 3))


def test_out_and_colour_and_narrow_images() -> None:
    out = np.empty_like(X)
    assert ctfast.median_filter(X, 3, axes=(1, 2, 3), out=out) is out
    assert_exact(out, ctfast.median_filter(X, (3, 3, 3)))
    place = X.copy()
    ctfast.median_filter(place, 3, axes=(1, 2), out=place)
    assert_exact(place[0, :, :, 4], ctfast.median_filter(X[0, :, :, 4], 3))
    colour = X[0, :, :, :3]  # three channels in the last axis, which the last axes may not be without axes=
    assert_exact(ctfast.median_filter(colour, 3, axes=(0, 1))[:, :, 1], ctfast.median_filter(colour[:, :, 1], 3))
    assert ctfast.median_filter(X[0, :, :, :1], 3, axes=(0, 1, 2)).shape == (9, 12, 1)
    assert_exact(
        ctfast.median_filter((X[0] + 0.5).tolist(), 3, axes=(0, 1)), ctfast.median_filter(X[0] + 0.5, 3, axes=(0, 1))
    )


def test_nothing_is_copied_where_the_layout_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def kernel(backend: str, name: str) -> Any:
        return lambda x, out, **params: seen.append((x.__array_interface__["data"][0], x.shape, out))

    monkeypatch.setattr("ctfast.backend.kernel", kernel)
    from ctfast.dispatch.prepared import prepared

    prepared.cache_clear()
    x = np.asfortranarray(X[0])  # (X, Y, Z) as nibabel has them
    result = ctfast.median_filter(x, 3, axes=(2, 1, 0))
    prepared.cache_clear()
    (address, shape, out) = seen[0]
    assert (address, shape) == (x.ctypes.data, (1, *x.shape[::-1]))
    assert np.shares_memory(result, out)


def test_pipelines_and_tensors() -> None:
    pipeline = ctfast.Pipeline([ctfast.Step("median_filter", size=(3, 3, 3)), ctfast.Step("summary", axes=3)])
    result = pipeline.run(X, axes=(3, 1, 2))
    assert_exact(result.image, ctfast.median_filter(X, 3, axes=(3, 1, 2)))
    assert result.summary.count.shape == (2,)
    with pytest.raises(ArgumentError, match="takes 3 axes together"):
        pipeline(X, axes=(1, 2))
    torch = pytest.importorskip("torch", reason="torch is not installed")
    assert_exact(
        ctfast.median_filter(torch.from_numpy(X), 3, axes=(1, 2, 3)).numpy(), ctfast.median_filter(X, 3, axes=3)
    )


def test_traced_arrays() -> None:
    jax = pytest.importorskip("jax", reason="jax is not installed")
    x = X[0].astype(np.float32)
    got = jax.jit(lambda a: ctfast.median_filter(a, 3, axes=(2, 0)))(x)
    assert_exact(np.asarray(got), ctfast.median_filter(x, 3, axes=(2, 0)))


def test_containers_that_keep_their_order() -> None:
    xarray = pytest.importorskip("xarray", reason="xarray is not installed")
    x = xarray.DataArray(X, dims=("c", "y", "x", "z"))
    got = ctfast.median_filter(x, 3, axes=(1, 2, 3))
    assert got.dims == x.dims
    assert_exact(got.data, ctfast.median_filter(X, 3, axes=(1, 2, 3)))
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")
    with pytest.raises(ArgumentError, match="leave axes= away"):
        ctfast.median_filter(sitk.GetImageFromArray(X[0]), 3, axes=(0, 1, 2))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: ctfast.median_filter(X, 3, axes=(1, 4)), ShapeError, "from -4 to 3"),
        (lambda: ctfast.median_filter(X, 3, axes=(1, -3)), ShapeError, "same axis"),
        (lambda: ctfast.median_filter(X, 3, axes=(1, 1)), ArgumentError, "different axis numbers"),
        (lambda: ctfast.median_filter(X, (3, 3), axes=(1, 2, 3)), ArgumentError, "one number, or one for each axis"),
        (lambda: ctfast.clahe(X, axes=1), ArgumentError, "2 .each image by itself. or 3"),
        (lambda: ctfast.summary(X, axes="yx"), ArgumentError, "axes='yx'"),
        (lambda: ctfast.median_filter(X, 3, axes=(1, 2), out=np.empty((3, 3), "i2")), ShapeError, "is needed"),
        (lambda: ctfast.gaussian_filter(X, 1.0, spacing=0), ArgumentError, "above 0"),
        (lambda: ctfast.gaussian_filter(X, 1.0, spacing=(1.0, 0.0, 1.0)), ArgumentError, "above 0"),
        (lambda: ctfast.gaussian_filter(X, 1.0, spacing=(1.0, float("nan"))), ArgumentError, "above 0"),
        (lambda: ctfast.gaussian_filter(X, 1.0, spacing=[(1, 1), (2, 2)]), ArgumentError, "same for all images"),
        (lambda: ctfast.gaussian_filter(X, (1.0, 1.0), spacing=(1, 1, 1)), ArgumentError, "3 axes have a spacing"),
        (lambda: ctfast.gaussian_filter(X, 1.0, spacing=(1, 1, 1, 1)), ArgumentError, "planes, rows, columns"),
    ],
)
def test_refused(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


def test_spacing_makes_pixels_of_mm() -> None:
    x = X[0].astype(np.float32)
    assert_exact(ctfast.gaussian_filter(x, 1.5, spacing=(3.0, 0.5, 0.75)), ctfast.gaussian_filter(x, (0.5, 3.0, 2.0)))
    assert_exact(ctfast.gaussian_filter(x, 1.5, spacing=np.array([0.5, 0.75])), ctfast.gaussian_filter(x, (3.0, 2.0)))
    assert_exact(ctfast.gaussian_filter(x, (1.5, 1), spacing=0.5), ctfast.gaussian_filter(x, (3.0, 2.0)))
    moved = ctfast.gaussian_filter(x, 1.5, spacing=(3.0, 0.5, 0.75), axes=(2, 0, 1))
    assert_exact(moved, ctfast.gaussian_filter(x, (0.5, 3.0, 2.0), axes=(2, 0, 1)))
