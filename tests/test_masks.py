"""``where=``, given mean and deviation, and lines that are not clipped: NumPy on the chosen pixels is the oracle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ctfast
from ctfast.errors import ArgumentError, DTypeError, ShapeError
from ctkernels.contract import IMAGE_DTYPES, OPERATIONS
from ctkernels.testing import assert_exact

RNG = np.random.default_rng(11)
VALUES = RNG.normal(90, 40, (3, 33, 41))
MASK = RNG.random(VALUES.shape) < 0.3
MASK[1] = False
MASKING = [name for name, operation in OPERATIONS.items() if operation.masks]


def image(dtype: str) -> np.ndarray:
    x = np.clip(VALUES, 0, 255).astype(dtype)
    if dtype.startswith("float"):
        x[0, 0], x[0, 1] = np.nan, np.inf
        x[0, 3] = np.rint(x[0, 3])
    return x


def chosen(x: np.ndarray, k: int) -> np.ndarray:
    """The pixels of image ``k`` that count, as float64."""
    pixels = x[k][MASK[k]].astype(np.float64)
    return pixels[np.isfinite(pixels)]


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
def test_statistics_are_numpy_s_of_the_chosen_pixels(dtype: str, backend: str) -> None:
    x = image(dtype)
    found = ctfast.summary(x, where=MASK, percentiles=(1, 50, 90), backend=backend)
    counts = ctfast.histogram(x, 40, value_range=(0, 200), where=MASK, backend=backend)
    assert counts.counts.dtype == np.int64
    for k in (0, 2):
        pixels = chosen(x, k)
        np.testing.assert_allclose(found.mean[k], pixels.mean(), rtol=1e-12)
        np.testing.assert_allclose(found.std[k], pixels.std(), rtol=1e-12)
        assert (found.count[k], found.min[k], found.max[k]) == (pixels.size, pixels.min(), pixels.max())
        np.testing.assert_array_equal(found.percentiles[k], np.percentile(pixels, (1, 50, 90)))
        np.testing.assert_array_equal(counts.counts[k], np.histogram(x[k][MASK[k]], 40, (0, 200))[0])
    assert found.count[1] == 0
    assert np.isnan(found.mean[1])
    assert np.isnan(found.percentiles[1]).all()
    assert not counts.counts[1].any()


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
def test_ranges_are_those_of_the_chosen_pixels_and_all_are_mapped(dtype: str, backend: str) -> None:
    x = image(dtype)
    scores = ctfast.standardize(x, where=MASK, dtype="float64", backend=backend)
    ends = ctfast.normalize(x, where=MASK, backend=backend)
    beyond = ctfast.normalize(x, where=MASK, percentiles=(10, 90), clip=False, out_range=(-1, 3), backend=backend)
    for k in (0, 2):
        pixels, values = chosen(x, k), x[k].astype(np.float64)
        with np.errstate(invalid="ignore"):
            np.testing.assert_allclose(scores[k], (values - pixels.mean()) / pixels.std(), rtol=1e-9, atol=1e-12)
            low, high = pixels.min(), pixels.max()
            np.testing.assert_allclose(ends[k], np.clip((values - low) / (high - low), 0, 1), atol=2e-6)
            low, high = np.percentile(pixels, (10, 90))
            np.testing.assert_allclose(beyond[k], (values - low) / (high - low) * 4 - 1, rtol=2e-6, atol=2e-6)
    for result, low in ((scores, 0), (ends, 0), (beyond, -1)):  # no pixel counts
        assert np.unique(result[1]).tolist() == [low]


def test_a_histogram_finds_the_range_of_the_chosen_pixels() -> None:
    x = image("float64")
    x[0, :3] = 50
    expected = np.histogram(x[MASK], 25)
    found = ctfast.histogram(x, 25, where=MASK)
    np.testing.assert_array_equal(found.counts.sum(axis=0), expected[0])
    np.testing.assert_array_equal(found.edges, expected[1])
    x[~MASK] = np.nan  # which nobody counts
    np.testing.assert_array_equal(ctfast.histogram(x, 25, where=MASK).counts, found.counts)
    nothing = ctfast.histogram(x, 4, where=np.zeros_like(MASK))
    np.testing.assert_array_equal(nothing.edges, np.histogram([], 4)[1])
    assert not nothing.counts.any()


@pytest.mark.parametrize("name", MASKING)
def test_a_mask_of_all_pixels_changes_nothing(name: str) -> None:
    function = getattr(ctfast, name)
    for dtype in ("int16", "float32"):
        x = np.nan_to_num(image(dtype), posinf=7)
        for params in OPERATIONS[name].examples:
            with_mask, without = function(x, **params, where=np.ones(x.shape, bool)), function(x, **params)
            for found, expected in zip(numbers(with_mask), numbers(without)):
                assert_exact(np.asarray(found), np.asarray(expected), f"{name} {dtype} {params}")


def numbers(result: Any) -> list[Any]:
    """The arrays of a result."""
    if isinstance(result, ctfast.Histogram):
        return [result.counts, result.edges]
    return [result.mean, result.percentiles, result.count] if isinstance(result, ctfast.Summary) else [result]


def test_volumes_named_axes_and_masks_that_are_spread() -> None:
    x = np.ascontiguousarray(image("int16"))
    together = ctfast.standardize(x, where=MASK, axes=3, dtype="float64")
    pixels = x[MASK].astype(np.float64)
    np.testing.assert_allclose(together, (x - pixels.mean()) / pixels.std(), rtol=1e-9, atol=1e-12)
    assert ctfast.summary(x, where=MASK, axes=3).count == MASK.sum()
    moved, mask = np.moveaxis(x, 0, -1), np.moveaxis(MASK, 0, -1)  # (H, W, D)
    expected = ctfast.standardize(x, where=MASK)
    np.testing.assert_array_equal(ctfast.standardize(moved, where=mask, axes=(0, 1)), np.moveaxis(expected, 0, -1))
    np.testing.assert_array_equal(
        ctfast.summary(moved, where=mask, axes=(0, 1)).count, ctfast.summary(x, where=MASK).count
    )
    one = MASK[0]  # for all images
    np.testing.assert_array_equal(
        ctfast.normalize(x, where=one), ctfast.normalize(x, where=np.stack([one] * 3).astype(np.uint8))
    )
    channel = ctfast.standardize(x[..., None], where=MASK[..., None])
    np.testing.assert_array_equal(channel[..., 0], expected)
    out = np.empty_like(expected)
    assert ctfast.standardize(x, where=MASK, out=out) is out
    np.testing.assert_array_equal(out, expected)
    real = x.astype(np.float32)
    assert ctfast.standardize(real, where=MASK, out=real) is real
    np.testing.assert_array_equal(real, ctfast.standardize(x.astype(np.float32), where=MASK))
    ctfast.set_num_threads(2)
    large, half = np.tile(x[0], (40, 40)), np.tile(MASK[0], (40, 40))
    found = ctfast.summary(large, where=half)
    assert (found.count, found.mean) == (half.sum(), large[half].mean())


def test_what_was_masked_before_is_not_remembered() -> None:
    x, mask = image("int16")[2], MASK[2].copy()
    first = ctfast.summary(x, where=mask).count
    mask[:] = True
    assert (first, ctfast.summary(x, where=mask).count, ctfast.summary(x).count) == (MASK[2].sum(), x.size, x.size)


def test_containers_keep_what_they_carry() -> None:
    x = image("int16")
    expected = ctfast.standardize(x, where=MASK)
    masked = ctfast.standardize(np.ma.masked_array(x, ~MASK), where=np.ones_like(MASK))
    np.testing.assert_allclose(masked.data[MASK], expected[MASK], rtol=1e-6, atol=1e-6)
    xarray = pytest.importorskip("xarray")
    named = ctfast.standardize(xarray.DataArray(x, dims=("z", "y", "x")), where=xarray.DataArray(MASK))
    assert named.dims == ("z", "y", "x")
    np.testing.assert_array_equal(named, expected)
    sitk = pytest.importorskip("SimpleITK")
    scan, label = sitk.GetImageFromArray(x), sitk.GetImageFromArray(MASK.astype(np.uint8))
    scan.SetSpacing((0.5, 0.5, 3.0))
    done = ctfast.standardize(scan, where=label)
    assert done.GetSpacing() == (0.5, 0.5, 3.0)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(done), expected)


def test_masks_of_xarray_count_by_the_names_of_their_dims() -> None:
    xarray = pytest.importorskip("xarray")
    x = xarray.DataArray(np.random.default_rng(3).normal(size=(6, 6, 6)), dims=tuple("zyx"), coords={"z": range(6)})
    mask = x > 0.3
    for where in (mask.transpose("x", "z", "y"), mask[2].T, mask[:, 0, 0], mask.any("y")):
        # xarray's own arithmetic pairs dims by name
        counted = x.where(where.broadcast_like(x).transpose(*x.dims))
        np.testing.assert_allclose(ctfast.summary(x, where=where).mean, counted.mean(("y", "x")))
        np.testing.assert_allclose(ctfast.summary(x.T, where=where, axes=(1, 0)).mean, counted.mean(("y", "x")))
    with pytest.raises(ArgumentError, match=r"other coordinates along 'z'.*reindex_like"):
        ctfast.summary(x, where=mask[::-1])
    with pytest.raises(ShapeError, match="those of the image"):
        ctfast.summary(x, where=mask.rename(z="time"))
    with pytest.raises(ShapeError, match="out= has dims"):
        ctfast.standardize(x, out=xarray.zeros_like(x.transpose("z", "x", "y"), dtype=np.float32))


def test_masks_of_simpleitk_lie_where_their_image_does() -> None:
    sitk = pytest.importorskip("SimpleITK")
    scan = sitk.GetImageFromArray(image("int16"))
    scan.SetSpacing((0.5, 0.5, 3.0))
    turned = sitk.Flip(scan > 0, (True, False, False))
    with pytest.raises(RuntimeError, match="physical space"):
        sitk.Mask(scan, turned)
    with pytest.raises(ArgumentError, match=r"another origin and direction.*Resample"):
        ctfast.summary(scan, where=turned)
    there = sitk.Resample(turned, scan, sitk.Transform(), sitk.sitkNearestNeighbor)
    np.testing.assert_array_equal(ctfast.summary(scan, where=there).count, (image("int16") > 0).sum((-1, -2)))


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda x: ctfast.standardize(x, where=MASK[:, :5]), ShapeError, "where= has shape"),
        (lambda x: ctfast.normalize(x, where=MASK * 3), DTypeError, "labels == 3"),
        (lambda x: ctfast.normalize(x, where=MASK * 0.5), DTypeError, "boolean"),
        (lambda x: ctfast.summary(x, where="all"), DTypeError, "boolean"),
        (lambda x: ctfast.Step("standardize", where=MASK), ArgumentError, "value_range="),
        (lambda x: ctfast.Step("window", center=1, width=2, where=MASK), ArgumentError, "no parameter"),
        (lambda x: ctfast.standardize(x, std=0), ArgumentError, "above 0"),
        (lambda x: ctfast.standardize(x, mean=np.nan), ArgumentError, "finite"),
        (lambda x: ctfast.normalize(x, clip=1), ArgumentError, "True or False"),
    ],
)
def test_refused_with_the_way_out(call: Callable[[Any], Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call(image("int16"))


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
def test_given_mean_and_deviation(dtype: str, backend: str) -> None:
    x = image(dtype)
    values = x.astype(np.float64)
    with np.errstate(invalid="ignore"):
        for result, close in (("float32", 2e-6), ("float64", 1e-12)):
            options: dict[str, Any] = {"dtype": result, "backend": backend}
            both = ctfast.standardize(x, mean=80.5, std=12, **options)
            np.testing.assert_allclose(both, (values - 80.5) / 12, rtol=close, atol=close)
            one = ctfast.standardize(x[2], mean=80.5, **options)
            np.testing.assert_allclose(one, (values[2] - 80.5) / values[2].std(), rtol=2 * close, atol=close)
            other = ctfast.standardize(x[2], std=12, **options)
            np.testing.assert_allclose(other, (values[2] - values[2].mean()) / 12, rtol=2 * close, atol=close)
    flat = np.full((5, 6), 7, dtype)
    assert (ctfast.standardize(flat, mean=5, std=2, backend=backend) == 1).all()
    assert (ctfast.standardize(flat, mean=5, backend=backend) == 0).all()


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
def test_lines_that_are_not_clipped(dtype: str, backend: str) -> None:
    x = image(dtype)
    values = x.astype(np.float64)
    found = ctfast.normalize(x, in_range=(60, 110), clip=False, backend=backend)
    np.testing.assert_allclose(found, (values - 60) / 50, rtol=2e-6, atol=2e-6)
    whole = ctfast.normalize(x, in_range=(60, 110), out_range=(100, 150), clip=False, dtype="uint8", backend=backend)
    with np.errstate(invalid="ignore"):
        expected = np.where(np.isnan(values), 100, np.clip(np.rint(values + 40), 0, 255))
    assert_exact(whole[1:], expected[1:].astype(np.uint8), dtype)
    if dtype == "float64":  # beyond what float32 holds
        huge = np.array([[0.0, 1e300], [-1e300, 5e299]])
        found = ctfast.normalize(huge, in_range=(0, 1e300), clip=False, backend=backend)
        np.testing.assert_allclose(found, [[0, 1], [-1, 0.5]], rtol=1e-6)


def test_clip_in_a_pipeline_and_in_its_words() -> None:
    step = ctfast.Step("normalize", in_range=(0, 100), clip=False)
    from ctfast.dispatch.steps import parse_step

    assert parse_step("normalize in_range=0,100 clip=false") == step
    assert step.to_dict()["clip"] is False
    x = image("int16")
    np.testing.assert_array_equal(ctfast.Pipeline([step]).run(x).image, ctfast.normalize(x, **step.params))
    fixed = ctfast.Step("standardize", mean=90.0, std=40.0)
    np.testing.assert_array_equal(
        ctfast.Pipeline([ctfast.Step("median_filter", size=3), fixed]).run(x).image,
        ctfast.standardize(ctfast.median_filter(x, 3), mean=90.0, std=40.0),
    )
