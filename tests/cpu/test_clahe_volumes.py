"""CLAHE of volumes on the CPU: against a trilinear one written from its definition, the reference, and OpenCV."""

from __future__ import annotations

from itertools import product
from typing import Any

import cv2
import numpy as np
import pytest

import ctfast
from ctfast.errors import ArgumentError, ShapeError
from ctkernels import reference
from ctkernels.contract import IMAGE_DTYPES
from ctkernels.cpu.clahe import clahe
from ctkernels.testing import assert_exact, force_bands
from tests.cpu.test_clahe import noise

GRIDS = [(1, 1, 1), (2, 3, 4), (4, 8, 8)]


def run(x: Any, function: Any = clahe, **options: Any) -> Any:
    out = np.empty_like(x)
    function(x, out, **{"clip_limit": 2.0, "tile_grid": (2, 3, 4), "nbins": 256, "value_range": None, **options})
    return out


def by_definition(x: Any, grid: tuple[int, ...], clip_limit: float) -> Any:
    """Zuiderveld's method for uint8, voxel by voxel in float64: tables of boxes, blended from eight centres."""
    tile = [n // tiles for n, tiles in zip(x.shape, grid, strict=True)]
    tables = np.empty((*grid, 256))
    for box in np.ndindex(*grid):
        inside = x[tuple(slice(k * t, (k + 1) * t) for k, t in zip(box, tile, strict=True))]
        counts = np.histogram(inside, 256, (0, 256))[0]
        limit = int(clip_limit * inside.size / 256)
        over = int(np.maximum(counts - limit, 0).sum())
        counts = np.minimum(counts, limit) + over // 256
        rest = over % 256
        counts[: rest * (256 // max(rest, 1)) : 256 // max(rest, 1)] += 1
        tables[box] = np.rint(np.cumsum(counts) * (255 / inside.size))
    result = np.empty(x.shape)
    for voxel in np.ndindex(*x.shape):
        at = [(i + 0.0) / t - 0.5 for i, t in zip(voxel, tile, strict=True)]
        value = 0.0
        for corner in product((0, 1), repeat=3):
            share = np.prod([abs(1 - c - (p - np.floor(p))) for c, p in zip(corner, at, strict=True)])
            box = tuple(int(np.clip(np.floor(p) + c, 0, g - 1)) for c, p, g in zip(corner, at, grid, strict=True))
            value += share * tables[(*box, x[voxel])]
        result[voxel] = value
    return result


@pytest.mark.parametrize("shape", [(4, 24, 24), (8, 18, 16)])
def test_equals_the_definition(shape: tuple[int, ...]) -> None:
    x = noise("uint8", shape)
    exact = by_definition(x, (2, 3, 4), 3.0)
    assert np.abs(run(x[None], clip_limit=3.0)[0] - exact).max() <= 0.5 + 1e-3  # whole levels, float32


@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
def test_equals_the_reference(dtype: str) -> None:
    inside = (20.0, 200.0)
    for shape in ((1, 1, 1, 1), (2, 5, 9, 13), (1, 7, 33, 40)):
        x = noise(dtype, shape)
        for grid in GRIDS:
            for options in ({}, {"nbins": 100, "value_range": inside, "clip_limit": 3.3}, {"nbins": 3000}):
                context = f"{dtype} {shape} {grid} {options}"
                expected = run(x, reference.clahe, tile_grid=grid, **options)
                assert_exact(run(x, tile_grid=grid, **options), expected, context)
    x = noise(dtype, (1, 9, 40, 30))
    whole = run(x, tile_grid=(3, 4, 4))
    with force_bands(threads=2):
        assert_exact(run(x, tile_grid=(3, 4, 4)), whole)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_one_plane_is_an_image(dtype: str) -> None:
    """A grid of one layer on one plane changes no bit of the images' results, uneven grids included."""
    for shape, grid in (((61, 67), (8, 8)), ((64, 96), (4, 3)), ((3, 5), (2, 2))):
        x = noise(dtype, shape)
        flat = run(x[None], tile_grid=grid)
        assert_exact(run(x[None, None], tile_grid=(1, *grid))[:, 0], flat)
        if dtype == "uint8":
            assert_exact(flat[0], cv2.createCLAHE(2.0, grid[::-1]).apply(x))


def test_uint16_with_all_its_bins() -> None:
    x = noise("uint16", (1, 6, 20, 24))
    x[0, 0, 0, :2] = (0, 65535)
    expected = run(x, reference.clahe, nbins=65536)
    assert_exact(run(x, nbins=65536), expected)


def test_equal_planes_stay_equal_and_each_volume_is_its_own() -> None:
    x = np.repeat(noise("int16", (2, 1, 30, 40)), 9, axis=1)
    out = run(x, tile_grid=(3, 2, 2))
    # One plane's bins thrice in each box: the same tables, so that only the blend along the planes may round.
    assert np.abs(out.astype(int) - out[:, :1]).max() <= 1
    assert_exact(run(x[1:], tile_grid=(3, 2, 2)), out[1:])


def test_not_finite_and_constant_volumes() -> None:
    x = noise("float32", (1, 5, 12, 15))
    x[0, 1, 2, :3] = (np.nan, np.inf, -np.inf)
    out = run(x)
    assert np.isfinite(out).all()
    assert_exact(out, run(x, reference.clahe))
    for value in (np.nan, np.inf, 7.0):
        same = np.full((1, 4, 5, 6), value, np.float32)
        assert_exact(run(same), run(same, reference.clahe))


def test_batches_places_and_pipelines() -> None:
    x = noise("int16", (2, 3, 4, 30, 40))
    got = ctfast.clahe(x, tile_grid=(2, 4, 4))
    assert_exact(got[1, 2], ctfast.clahe(x[1, 2], tile_grid=(2, 4, 4), backend="reference"))
    place = x.copy()
    assert ctfast.clahe(place, tile_grid=(2, 4, 4), out=place) is place
    assert_exact(place, got)
    pipeline = ctfast.Pipeline([ctfast.Step("clahe", tile_grid=(2, 4, 4)), ctfast.Step("summary")])
    assert ctfast.Pipeline.from_dict(pipeline.to_dict()) == pipeline
    result = pipeline.run(x)
    assert_exact(result.image, got)
    assert result.summary.count.shape == (2, 3, 4)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: ctfast.clahe(x[0], tile_grid=(2, 2, 2)), ShapeError, r"volumes \(\.\.\., D, H, W\)"),
        (lambda x: ctfast.clahe(x, tile_grid=(2, 2, 2, 2)), ArgumentError, "planes, rows, columns"),
        (lambda x: ctfast.clahe(x, tile_grid=(0, 2, 2)), ArgumentError, "from 1 to 1,024"),
        (lambda x: ctfast.clahe(x, tile_grid=(512, 512, 512)), ArgumentError, "fewer tiles, or fewer bins"),
    ],
)
def test_refused(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call(noise("int16", (7, 9, 8)))
