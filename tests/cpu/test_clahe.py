"""CLAHE on the CPU: bit for bit OpenCV's and the reference's."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctkernels import reference
from ctkernels.cpu.clahe import clahe
from ctkernels.testing import assert_exact, force_bands

SHAPES = [(1, 1), (1, 9), (9, 1), (5, 3), (8, 8), (61, 67), (64, 61), (7, 100), (64, 96), (33, 200)]
GRIDS = [(8, 8), (2, 3), (1, 1)]
DTYPES = ["uint8", "int16", "uint16", "float32", "float64"]


def noise(dtype: str, shape: tuple[int, ...], seed: int = 0) -> Any:
    r = np.random.default_rng(seed)
    t = np.dtype(dtype)
    if t.kind == "f":
        return r.normal(0, 300, shape).astype(t)
    middle, spread = (100, 60) if dtype == "uint8" else (900, 400)
    limits = np.iinfo(t)
    return r.normal(middle, spread, shape).clip(limits.min, limits.max).astype(t)


def both(x: Any, clip_limit: float = 2.0, tile_grid: Any = (8, 8), nbins: int = 256, value_range: Any = None) -> Any:
    options: dict[str, Any] = {
        "clip_limit": clip_limit, "tile_grid": tile_grid, "nbins": nbins, "value_range": value_range,
    }  # fmt: skip
    actual, expected = np.empty_like(x), np.empty_like(x)
    clahe(x, actual, **options)
    reference.clahe(x, expected, **options)
    assert_exact(actual, expected, f"{x.dtype} {x.shape} {options}")
    return actual


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("dtype", "nbins"), [("uint8", 256), ("uint16", 65536)])
def test_equals_opencv(dtype: str, nbins: int, shape: tuple[int, int]) -> None:
    x = noise(dtype, shape)
    for grid in GRIDS:
        for clip_limit in (2.0, 0.0, 40.0) if nbins == 256 else (2.0,):
            out = np.empty_like(x)
            clahe(x[None], out[None], clip_limit=clip_limit, tile_grid=grid, nbins=nbins, value_range=None)
            expected = cv2.createCLAHE(clip_limit, grid[::-1]).apply(x)
            assert_exact(out, expected, f"{shape} {grid} {clip_limit}")


@pytest.mark.parametrize(("high", "wide"), [(64, 64), (128, 128), (16, 8), (2, 128), (128, 9), (256, 32), (33, 64)])
def test_tiles_whose_weights_are_whole_numbers(high: int, wide: int) -> None:
    """Sides of powers of two up to 128 are blended in integers, all others in floats: OpenCV's bits either way."""
    x = np.random.default_rng(high).integers(0, 256, (2 * high, 3 * wide)).astype(np.uint8)
    out = both(x[None], tile_grid=(2, 3))
    assert_exact(out[0], cv2.createCLAHE(2.0, (3, 2)).apply(x), f"{high} x {wide}")
    both(x[None], tile_grid=(2, 3), value_range=(20.0, 200.0))
    both(x[None], tile_grid=(2, 3), nbins=100)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_the_reference(dtype: str, shape: tuple[int, int]) -> None:
    x = noise(dtype, (2, *shape))
    inside = (20.0, 200.0) if dtype == "uint8" else (-300.0, 1000.0) if dtype != "uint16" else (0.0, 4095.0)
    for grid in GRIDS:
        both(x, tile_grid=grid)
        both(x, tile_grid=grid, nbins=100, value_range=inside, clip_limit=3.3)
    both(x, nbins=5000, tile_grid=(3, 2), clip_limit=0.0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_constant_and_extreme_images(dtype: str) -> None:
    t = np.dtype(dtype)
    limits = np.iinfo(t) if t.kind != "f" else np.finfo(t)
    for value in (limits.min, 0, limits.max):
        both(np.full((1, 20, 30), value, t), tile_grid=(3, 3))
    x = np.array([limits.min, limits.max], t)[np.random.default_rng(1).integers(0, 2, (1, 40, 50))]
    for nbins in (2, 256, 65536):
        assert np.isfinite(both(x, nbins=nbins, tile_grid=(3, 4))).all()


def test_all_values_of_sixteen_bits() -> None:
    x = np.random.default_rng(0).permutation(65536).astype(np.uint16).reshape(1, 256, 256)
    expected = cv2.createCLAHE(2.0, (8, 8)).apply(x[0])
    assert_exact(both(x, nbins=65536)[0], expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_not_finite_pixels(dtype: str) -> None:
    x = noise(dtype, (1, 40, 50))
    x[0, 3, :3] = (np.nan, np.inf, -np.inf)
    out = both(x, tile_grid=(3, 3))
    assert np.isfinite(out).all()
    finite = x[np.isfinite(x)]
    assert out.min() >= finite.min()
    assert out.max() <= finite.max()
    both(np.full((1, 5, 5), np.nan, dtype))
    both(np.full((1, 5, 5), np.inf, dtype), value_range=(0.0, 1.0))


@pytest.mark.parametrize("scale", [3e38, 1e-44, 1e-38])
def test_ranges_at_the_limits_of_float32(scale: float) -> None:
    x = (np.random.default_rng(0).uniform(-1, 1, (1, 30, 40)) * scale).astype(np.float32)
    assert np.isfinite(both(x, tile_grid=(3, 3))).all()
    both(x, tile_grid=(3, 3), value_range=(-1e300, 1e300))


def test_clip_limit_beyond_any_count() -> None:
    both(noise("uint8", (1, 64, 64)), clip_limit=1e300)
    both(noise("uint8", (1, 64, 64)), clip_limit=1e-300)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(DTYPES), st.integers(1, 70), st.integers(1, 70), st.integers(1, 9), st.integers(1, 9),
    st.floats(0, 60), st.integers(2, 2000), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_any_geometry(
    dtype: str, height: int, width: int, rows: int, columns: int, clip_limit: float, nbins: int, seed: int
) -> None:
    both(noise(dtype, (1, height, width), seed), clip_limit, (rows, columns), nbins)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_bands_on_two_threads(dtype: str) -> None:
    with force_bands(threads=2):
        for images in (1, 2, 5):
            both(noise(dtype, (images, 61, 67)), nbins=256 if dtype != "uint16" else 65536)


def test_read_only_input() -> None:
    x = noise("uint16", (1, 30, 30))
    x.flags.writeable = False
    both(x)
