"""Filters of volumes on the CPU against SciPy, and what is the same whether a volume is cut or not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage

import ctfast
from ctfast.errors import ArgumentError, ShapeError
from ctfast.pipeline import parse_step
from ctkernels import reference
from ctkernels.contract import IMAGE_DTYPES, MODES
from ctkernels.cpu._median import volume
from ctkernels.cpu.gaussian_filter import gaussian_filter
from ctkernels.cpu.median_filter import median_filter
from ctkernels.testing import assert_close, assert_exact, force_bands, ordinary_error
from tests.cpu.test_gaussian import noise

SHAPES = [(1, 1, 1, 1), (1, 2, 5, 3), (2, 7, 10, 40), (1, 13, 3, 70)]
SIGMAS = [(1.0, 1.0, 1.0), (2.0, 0.5, 1.3), (0.3, 4.0, 0.05), (9.0, 1.0, 30.0)]
SIZES = [(3, 3, 3), (1, 3, 3), (5, 9, 9)]
"""By a network that shares along three axes, by the images' filter, by histograms."""
NETWORKS = {
    "uint8": [(5, 3, 3), (3, 1, 5)],
    "int16": [(5, 3, 3), (7, 3, 3), (3, 1, 5), (7, 1, 3)],
    "uint16": [],
    "float32": [(7, 3, 3), (7, 1, 3)],
    "float64": [(5, 3, 3), (7, 1, 3)],
}
"""The others, which compile for seconds: of 5 and 7 planes, and of one row, with and without lists along the planes.
Each with keys of several widths; how keys are made and read does not depend on the network."""


def run(filter_: Any, x: Any, mode: str = "reflect", cval: float = 9.0, **params: Any) -> Any:
    out = np.empty_like(x)
    if filter_ is gaussian_filter:
        params["truncate"] = 4.0
    filter_(x, out, mode=mode, cval=cval, **params)
    return out


def exact_gaussian(x: Any, sigma: Any, mode: str, cval: float = 9.0) -> Any:
    return np.stack([ndimage.gaussian_filter(v.astype(np.float64), sigma, mode=mode, cval=cval) for v in x])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
def test_gaussian_equals_scipy(dtype: str, mode: str) -> None:
    for shape in SHAPES:
        x = noise(dtype, shape)
        for sigma in SIGMAS:
            expected = exact_gaussian(x, sigma, mode)
            error = ordinary_error(expected, float(np.abs(x.astype(np.float64)).max()))
            error *= 1e-8 if dtype == "float64" else 1
            assert_close(run(gaussian_filter, x, mode, sigma=sigma), expected, error, f"{dtype} {shape} {mode} {sigma}")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
def test_median_equals_scipy(dtype: str, mode: str) -> None:
    for shape in SHAPES:
        values = noise(dtype, shape)
        for x in (values, np.rint(values % 50).astype(dtype)):  # many distinct values, and few of them, ties included
            for size in SIZES + NETWORKS[dtype]:
                expected = np.stack([ndimage.median_filter(v, size, mode=mode, cval=9) for v in x])
                assert_exact(run(median_filter, x, mode, size=size), expected, f"{dtype} {shape} {mode} {size}")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nan_and_infinity_are_as_in_the_reference(dtype: str) -> None:
    x = noise(dtype, (1, 6, 20, 40))
    x[0, 2, 3, 4], x[0, 2, 3, 5], x[0, 0, 0, 0], x[0, 5, 19, 1] = np.nan, np.nan, np.inf, -np.inf
    x[0, 3:, 10:13, 8:11] = np.nan
    expected = np.empty_like(x)
    for size in SIZES + NETWORKS[dtype]:
        reference.median_filter(x, expected, size=size, mode="mirror", cval=9.0)
        assert_exact(run(median_filter, x, "mirror", size=size), expected, str(size))
    smooth = np.empty(x.shape)
    with np.errstate(invalid="ignore"):
        reference.gaussian_filter(x, smooth, sigma=(1.0, 0.5, 1.0), truncate=4.0, mode="mirror", cval=9.0)
    actual = run(gaussian_filter, x, "mirror", sigma=(1.0, 0.5, 1.0))
    assert_close(actual, smooth, ordinary_error(np.nan_to_num(smooth), 4000.0))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16"])
def test_gaussian_rounds_integers_once_and_saturates(dtype: str) -> None:
    x = noise(dtype, (1, 9, 30, 40))
    assert_exact(
        run(gaussian_filter, x, sigma=(1.0, 1.0, 2.0)),
        np.rint(run(gaussian_filter, x.astype(np.float32), sigma=(1.0, 1.0, 2.0))).astype(dtype),
    )
    assert run(gaussian_filter, x, "constant", 1e9, sigma=(3.0, 3.0, 3.0))[0, 0, 0, 0] == np.iinfo(dtype).max
    full = np.full((1, 40, 20, 30), np.iinfo(dtype).max, dtype)
    assert_exact(run(gaussian_filter, full, sigma=(20.0, 20.0, 20.0)), full)


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_cutting_changes_nothing(dtype: str) -> None:
    """Bands of a plane on two threads, and slabs of planes with as many more as the filter reaches."""
    x = noise(dtype, (1, 12, 50, 67))
    for filter_, params, reach in (
        (gaussian_filter, {"sigma": (0.5, 1.0, 1.0)}, 2),
        (median_filter, {"size": (3, 3, 3)}, 1),
        (median_filter, {"size": (5, 9, 9)}, 2),
    ):
        whole = run(filter_, x, **params)
        with force_bands(threads=2):
            assert_exact(run(filter_, x, **params), whole)
        slab = np.ascontiguousarray(x[:, 4 - reach : 8 + reach])
        assert_exact(run(filter_, slab, **params)[:, reach : 4 + reach], whole[:, 4:8])


def test_three_numbers_mean_three_axes_in_batches_and_places() -> None:
    x = noise("int16", (2, 3, 4, 5, 6))
    got = ctfast.median_filter(x, (3, 3, 3))
    assert_exact(got, np.stack([[ndimage.median_filter(v, 3) for v in series] for series in x]))
    assert_exact(ctfast.median_filter(x[..., np.newaxis], [3, 3, 3]), got[..., np.newaxis])
    assert_exact(ctfast.median_filter(x, (3, 3, 3), backend="reference"), got)
    strided = x[::-1, :, ::-1]
    assert_exact(ctfast.median_filter(strided, (3, 3, 3)), got[::-1, :, ::-1].copy())
    place = x.copy()
    assert ctfast.median_filter(place, (3, 3, 3), out=place) is place
    assert_exact(place, got)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: ctfast.median_filter(x[0], (3, 3, 3)), ShapeError, r"volumes \(\.\.\., D, H, W\).*\(9, 8\)"),
        (lambda x: ctfast.gaussian_filter(x[0], (1, 1, 1)), ShapeError, "two numbers"),
        (lambda x: ctfast.median_filter(x, (3, 0, 3)), ArgumentError, "whole number from 1"),
        (lambda x: ctfast.median_filter(x, (3, 3, 3, 3)), ArgumentError, "planes, rows, columns"),
        (lambda x: ctfast.gaussian_filter(x, (-1, 1, 1)), ArgumentError, "above 0"),
        (lambda x: ctfast.gaussian_filter(x, (float("nan"), 1, 1)), ArgumentError, "above 0"),
        (lambda x: ctfast.median_filter(x, (4099, 1, 1)), ArgumentError, "2,049 pixels.*has 7"),
    ],
)
def test_refused(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call(noise("int16", (7, 9, 8)))


@pytest.mark.parametrize("size", [(5, 5, 5), (7, 7, 7), (9, 7, 11), (21, 13, 17)])
def test_large_windows_on_volumes_of_other_sizes(size: tuple[int, int, int]) -> None:
    x = noise("int16", (1, 11, 12, 41))
    assert_exact(run(median_filter, x, size=size)[0], ndimage.median_filter(x[0], size))
    # NumPy here: SciPy 1.17.1 is wrong where a window reaches four times an axis of 2 or 4 pixels and more.
    x = noise("int16", (1, 2, 3, 4))
    wide = np.pad(x[0], [(side // 2, side // 2) for side in size], mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(wide, size).reshape(*x[0].shape, -1)
    assert_exact(run(median_filter, x, size=size)[0], np.sort(windows, axis=-1)[..., windows.shape[-1] // 2])


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_blocks_of_planes_rows_and_columns_fit_together(monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    """Whole, whose columns have numbers beyond a byte where voxels are sorted, and cut along all axes."""
    x = noise(dtype, (1, 13, 15, 300))
    for mode in ("reflect", "constant"):
        expected = ndimage.median_filter(x[0], (9, 7, 11), mode=mode, cval=3)
        assert_exact(run(median_filter, x, mode, 3, size=(9, 7, 11))[0], expected)
        with monkeypatch.context() as few:
            few.setattr(volume, "MOST_RANKED", 20_000)
            volume._blocks.cache_clear()
            blocks = volume._blocks(x.shape, (9, 7, 11), 1)
            assert all(len({block[axis] for block in blocks}) > 1 for axis in (1, 2, 3))
            assert_exact(run(median_filter, x, mode, 3, size=(9, 7, 11))[0], expected)
        volume._blocks.cache_clear()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_windows_of_many_and_few_distinct_floats(dtype: str) -> None:
    """Voxels by runs of sorted ones beyond 4096 distinct ones, by ranks among these up to there."""
    x = noise(dtype, (1, 11, 40, 41))
    for distinct in (x, np.rint(x) / 4, np.rint(x % 4095) / 4, np.rint(x % 100) / 4):
        expected = ndimage.median_filter(distinct[0], (9, 7, 11), mode="mirror")
        assert_exact(run(median_filter, distinct, "mirror", size=(9, 7, 11))[0], expected)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_networks_on_volumes_of_any_sides(dtype: str) -> None:
    """Sides of 1 to 40 and more than one strip; halves, so that floats have keys of their width."""
    sides = np.random.default_rng(5).integers(1, 41, (12, 3)).tolist()
    for shape in [*sides, (3, 4, 700), (40, 1, 15), (1, 40, 16), (2, 2, 33)]:
        x = noise(dtype, (1, *shape))
        x = x + np.float32(0.5) if dtype == "float32" else x
        for size in [(3, 3, 3), (5, 3, 3), (7, 3, 3), (3, 5, 5)]:
            expected = ndimage.median_filter(x[0], size, mode="constant", cval=9)
            assert_exact(run(median_filter, x, "constant", size=size)[0], expected, f"{shape} {size}")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
def test_any_sides(dtype: str, mode: str) -> None:
    """Sides of 1 to 40, other ones for each type and mode; windows larger than the volume among them."""
    rng = np.random.default_rng([IMAGE_DTYPES.index(dtype), MODES.index(mode)])
    for _ in range(2):
        x = noise(dtype, (1, *rng.integers(1, 41, 3).tolist()))
        for size in [*SIZES, (9, 7, 11)]:
            # SciPy reads beside an axis that a window reaches over four times (reflect; see test_median.check).
            if mode == "reflect" and any(k // 2 >= 4 * n for k, n in zip(size, x.shape[1:], strict=True)):
                continue
            expected = ndimage.median_filter(x[0], size, mode=mode, cval=9)
            assert_exact(run(median_filter, x, mode, size=size)[0], expected, f"{x.shape} {size}")
        sigma = tuple(rng.uniform(0.3, 3.0, 3).tolist())
        smooth = exact_gaussian(x, sigma, mode)
        error = ordinary_error(smooth, float(np.abs(x.astype(np.float64)).max())) * (1e-8 if dtype == "float64" else 1)
        assert_close(run(gaussian_filter, x, mode, sigma=sigma), smooth, error, f"{x.shape} {sigma}")


def test_whole_floats_until_the_last_block_are_no_whole_floats() -> None:
    """Blocks that went as whole numbers go once more; results are those of one kind throughout."""
    x = np.rint(noise("float32", (1, 20, 150, 60)))
    x[0, -1, -1, -1] = 0.5
    assert_exact(run(median_filter, x, size=(3, 3, 3))[0], ndimage.median_filter(x[0], 3))
    with force_bands(threads=2):
        assert_exact(run(median_filter, x, size=(3, 3, 3))[0], ndimage.median_filter(x[0], 3))


def test_a_pipeline_takes_3d_steps_on_the_volume_and_others_slice_by_slice() -> None:
    x = noise("int16", (6, 20, 30))
    pipeline = ctfast.Pipeline(
        [
            ctfast.Step("median_filter", size=(3, 3, 3)),
            ctfast.Step("gaussian_filter", sigma=1.0),
            ctfast.Step("normalize", dtype="uint8"),
            ctfast.Step("summary"),
        ]
    )
    steps = ctfast.normalize(ctfast.gaussian_filter(ctfast.median_filter(x, (3, 3, 3)), 1.0), dtype="uint8")
    result = pipeline.run(x)
    assert_exact(result.image, steps)
    assert result.summary.count.shape == (6,)
    assert ctfast.Pipeline.from_dict(pipeline.to_dict()) == pipeline
    assert parse_step("median_filter size=3,3,3") == pipeline.steps[0]
    with pytest.raises(ShapeError, match="volumes") as refused:
        pipeline.run(x[0])
    assert "in step 1" in refused.value.__notes__[0]
