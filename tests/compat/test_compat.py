"""Drop-ins against their originals: values, dtypes, errors; who served; and putting them in place for a while."""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ctfast.errors import ArgumentError

cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
ndimage = pytest.importorskip("scipy.ndimage", reason="SciPy is not installed")
exposure = pytest.importorskip("skimage.exposure", reason="scikit-image is not installed")
filters = pytest.importorskip("skimage.filters", reason="scikit-image is not installed")

from ctfast import compat  # noqa: E402
from ctfast.compat import cv2 as our_cv2  # noqa: E402
from ctfast.compat import scipy_ndimage as ours  # noqa: E402
from ctfast.compat import skimage as our_skimage  # noqa: E402
from ctkernels.cpu import equalize_adapthist as adapthist  # noqa: E402

HU = np.random.default_rng(2).normal(40, 300, (37, 51)).clip(-1024, 3000)
BYTES = (np.abs(HU) % 200).astype(np.uint8)
MODES = ("reflect", "mirror", "nearest", "wrap", "constant", "grid-wrap", "grid-mirror")


@pytest.fixture(autouse=True)
def fresh_counts() -> None:
    from ctfast.compat import _calls

    _calls._OURS.clear()
    _calls._THEIRS.clear()


def served(name: str) -> tuple[int, int]:
    """Calls that our kernel served, and that the original did."""
    return tuple(compat.calls()[name])  # type: ignore[return-value]


def same(found: Any, expected: Any, close: float = 0.0) -> None:
    """Equal dtype, and values to ``close`` of the largest; integers to ``close`` itself."""
    assert found.dtype == expected.dtype
    largest = 1.0 if expected.dtype.kind in "iub" else max(float(np.abs(expected).max()), 1e-300)
    np.testing.assert_allclose(found.astype(np.float64), expected.astype(np.float64), rtol=0, atol=close * largest)


@pytest.mark.parametrize("dtype", ["int16", "uint8", "uint16", "float32", "float64", "int32", "bool", "int8"])
@pytest.mark.parametrize("mode", MODES)
def test_medians_are_scipy_s(dtype: str, mode: str) -> None:
    x = (HU / 10 if dtype in ("int8", "bool") else np.abs(HU) % 200 if dtype[0] == "u" else HU).astype(dtype)
    for size in (3, (1, 5), (5, 3)):
        same(ours.median_filter(x, size, mode=mode), ndimage.median_filter(x, size, mode=mode))
    same(ours.rank_filter(x, 4, 3, mode=mode), ndimage.rank_filter(x, 4, 3, mode=mode))
    same(ours.percentile_filter(x, 50, 3, mode=mode), ndimage.percentile_filter(x, 50, 3, mode=mode))
    for name in ("median_filter", "rank_filter", "percentile_filter"):
        assert served(f"scipy.ndimage.{name}")[1] == 0


@pytest.mark.parametrize(("dtype", "close"), [("float32", 2e-6), ("float64", 1e-12)])
@pytest.mark.parametrize("mode", MODES)
def test_gaussians_are_scipy_s(dtype: str, close: float, mode: str) -> None:
    x = HU.astype(dtype)
    for options in ({"sigma": 1.5}, {"sigma": (2, 0.7), "cval": 3.0}, {"sigma": 3, "truncate": 2.0}):
        same(ours.gaussian_filter(x, mode=mode, **options), ndimage.gaussian_filter(x, mode=mode, **options), close)
    assert served("scipy.ndimage.gaussian_filter") == (3, 0)


def test_gaussians_of_integers_are_up_to_two_from_scipy_s_which_cuts_twice() -> None:
    for dtype in ("int16", "uint8"):
        x = (HU if dtype == "int16" else BYTES).astype(dtype)
        apart = ours.gaussian_filter(x, 1.0).astype(int) - ndimage.gaussian_filter(x, 1.0)
        assert np.abs(apart).max() <= 2


def test_stacks_outputs_and_lists() -> None:
    stack = np.stack([HU, HU[::-1], -HU]).astype(np.float32)
    same(ours.median_filter(stack, (1, 3, 3)), ndimage.median_filter(stack, (1, 3, 3)))
    same(ours.median_filter(stack, 3, axes=(1, 2)), ndimage.median_filter(stack, 3, axes=(1, 2)))
    same(ours.gaussian_filter(stack, (0, 1, 2)), ndimage.gaussian_filter(stack, (0, 1, 2)), 2e-6)
    out = np.empty_like(stack)
    assert ours.median_filter(stack, (1, 3, 3), output=out) is out
    same(out, ndimage.median_filter(stack, (1, 3, 3)))
    narrow = np.ascontiguousarray(stack[:, :, :3])
    same(ours.median_filter(narrow, (1, 3, 3)), ndimage.median_filter(narrow, (1, 3, 3)))
    whole = np.ones((3, 5), bool)
    same(ours.median_filter(HU, footprint=whole), ndimage.median_filter(HU, footprint=whole))
    same(ours.median_filter(HU.tolist(), 3), ndimage.median_filter(HU.tolist(), 3))
    assert served("scipy.ndimage.median_filter")[1] == 0


def test_volumes_lines_and_axes_in_front() -> None:
    volume = np.random.default_rng(3).normal(0, 90, (5, 12, 3)).astype(np.int16)
    both = np.stack([volume, volume[::-1] + 3])
    for x, options in (
        (volume, {"size": 3}),
        (volume, {"size": (3, 1, 5), "mode": "wrap"}),
        (volume, {"size": 3, "axes": (0,), "mode": "nearest"}),
        (volume, {"size": (5, 3), "axes": (0, -2), "mode": "mirror"}),
        (volume, {"size": 1}),
        (both, {"size": (1, 3, 3, 3), "mode": "constant", "cval": 7}),
        (both, {"size": (3, 1, 1, 1)}),
        (volume[2, :, 1], {"size": 5}),
    ):
        expected = ndimage.median_filter(x, **options)
        same(ours.median_filter(x, **options), expected)
        out = np.asfortranarray(np.empty_like(x))
        assert ours.median_filter(x, output=out, **options) is out
        same(out, expected)
        again = x.copy()
        assert ours.median_filter(again, output=again, **options) is again
        same(again, expected)
    real = volume.astype(np.float64)
    for x, options in (
        (real, {"sigma": 1.0}),
        (real, {"sigma": (0.5, 0, 2), "mode": "wrap"}),
        (real, {"sigma": 2, "axes": (0,), "radius": 3}),
        (real, {"sigma": (1, 2, 0.5), "radius": (2, 3, 1), "mode": ["wrap", "nearest", "mirror"]}),
        (real, {"sigma": 1, "mode": ["reflect"] * 2, "axes": (2, 0)}),
        (real, {"sigma": 0.7, "order": (0,), "mode": ["mirror"], "axes": (-1,)}),
        (real[0, :, 0], {"sigma": 1.5, "truncate": 2.0}),
    ):
        same(ours.gaussian_filter(x, **options), ndimage.gaussian_filter(x, **options), 1e-12)
    for axis in (0, 1, -1):
        same(ours.gaussian_filter1d(real, 1.2, axis), ndimage.gaussian_filter1d(real, 1.2, axis), 1e-12)
    assert all(c.original == 0 for c in compat.calls().values())
    assert ours.median_filter(volume, 3, axes=(0,)).flags.c_contiguous


WINDOWS: dict[str, dict[str, Any]] = {
    "even": {"size": 4},
    "even by odd": {"size": (2, 5), "origin": (0, -2)},
    "origin": {"size": 3, "origin": 1},
    "diagonal": {"footprint": np.eye(5)},
    "ring": {"footprint": [[1, 1, 1], [1, 0, 1], [1, 1, 1]], "origin": (-1, 1)},
    "scattered": {"footprint": np.random.default_rng(4).random((6, 9)) < 0.4},
    "one axis": {"size": 4, "axes": (0,)},
    "one pixel": {"footprint": [[0, 0], [1, 0]]},
}


@pytest.mark.parametrize("options", WINDOWS.values(), ids=WINDOWS)
def test_ranks_of_windows_of_any_shape_are_scipy_s(options: dict[str, Any]) -> None:
    whole = {
        "float32": HU.astype(np.float32),
        "int8": (HU / 10).astype(np.int8),
        "uint16": np.abs(HU).astype(np.uint16),
    }
    for x in whole.values():
        for mode in ("mirror", "constant"):
            same(ours.median_filter(x, mode=mode, **options), ndimage.median_filter(x, mode=mode, **options))
            for share in (0, 20, -10, 100):
                found = ours.percentile_filter(x, share, mode=mode, **options)
                same(found, ndimage.percentile_filter(x, share, mode=mode, **options))
        if options.get("footprint") is None or np.sum(options["footprint"]) > 2:
            for rank in (0, 1, -2):
                same(ours.rank_filter(x, rank, **options), ndimage.rank_filter(x, rank, **options))
    assert all(c.original == 0 for c in compat.calls().values())


def test_ranks_of_volumes_lines_and_axes_that_are_not_the_last() -> None:
    rng = np.random.default_rng(5)
    volume = rng.normal(0, 90, (7, 20, 11)).astype(np.int16)
    ball = ndimage.generate_binary_structure(3, 1)
    for x, options in (
        (volume, {"footprint": ball}),
        (volume, {"footprint": rng.random((2, 3, 4)) < 0.5, "origin": (0, 1, -1), "mode": "wrap"}),
        (volume, {"footprint": np.eye(3), "axes": (0, 2)}),
        (volume, {"size": (2, 2), "axes": (0, 1), "origin": -1}),
        (np.stack([volume, volume[::-1]]), {"footprint": ball[None], "mode": "constant", "cval": 5}),
        (volume[2, :, 1], {"size": 4, "origin": 1}),
    ):
        expected = ndimage.median_filter(x, **options)
        same(ours.median_filter(x, **options), expected)
        again = x.copy()
        assert ours.median_filter(again, output=again, **options) is again
        same(again, expected)
    assert served("scipy.ndimage.median_filter")[1] == 0


@pytest.mark.parametrize(("dtype", "close"), [("float32", 2e-6), ("float64", 1e-12)])
def test_derivatives_of_gaussians_are_scipy_s(dtype: str, close: float) -> None:
    rng = np.random.default_rng(6)
    volume, wide = rng.normal(0, 90, (2, 7, 12, 20)).astype(dtype), rng.normal(500, 90, (9, 1200)).astype(dtype)
    for mode in MODES:
        for options in ({"order": 1}, {"order": (0, 2), "sigma": (1.0, 2.5)}, {"order": (3, 1), "truncate": 2.5}):
            given = {"sigma": 1.5, "cval": 30.0, **options}
            for x in (HU.astype(dtype), wide):
                same(ours.gaussian_filter(x, mode=mode, **given), ndimage.gaussian_filter(x, mode=mode, **given), close)
    for options in (
        {"sigma": 1.2, "order": 1, "mode": ["wrap", "nearest", "mirror", "reflect"]},
        {"sigma": (0, 1, 0, 2), "order": (1, 1, 0, 0)},
        {"sigma": 1, "order": (2, 1), "axes": (-1, 1), "radius": (3, 5)},
        {"sigma": 0.8, "order": 8, "axes": (2,)},
    ):
        same(ours.gaussian_filter(volume, **options), ndimage.gaussian_filter(volume, **options), close)
    for axis in (0, 1, -1):
        same(ours.gaussian_filter1d(volume, 1.5, axis, 1), ndimage.gaussian_filter1d(volume, 1.5, axis, 1), close)
    assert not ours.gaussian_filter(np.full((20, 30), 1000.1, dtype), 1.5, order=1).any()
    out = np.asfortranarray(volume)
    expected = ndimage.gaussian_filter(volume, 1.0, order=1)
    assert ours.gaussian_filter(out, 1.0, order=1, output=out) is out
    same(out, expected, close)
    assert all(c.original == 0 for c in compat.calls().values())


def test_outputs_of_other_types_that_hold_the_same_and_borders_of_integers() -> None:
    x = HU.astype(np.int16)
    for output in (np.int32, np.float32, "float64"):
        same(ours.median_filter(x, 5, output=output), ndimage.median_filter(x, 5, output=output))
        out = np.empty(x.shape, output)
        assert ours.rank_filter(x, 1, 4, output=out) is out
        same(out, ndimage.rank_filter(x, 1, 4, output=output))
    for options in ({}, {"order": 1}, {"order": (0, 2), "mode": ["wrap", "mirror"]}):
        expected = ndimage.gaussian_filter(x, 1.5, output=np.float64, **options)
        same(ours.gaussian_filter(x, 1.5, output=np.float64, **options), expected, 1e-12)
    apart = ours.gaussian_filter(x, 1.0, mode=["reflect", "wrap"]).astype(int)
    assert np.abs(apart - ndimage.gaussian_filter(x, 1.0, mode=["reflect", "wrap"])).max() <= 2
    same(ours.gaussian_filter(HU, (1.0, 2.0), radius=2), ndimage.gaussian_filter(HU, (1.0, 2.0), radius=2), 1e-12)
    assert all(c.original == 0 for c in compat.calls().values())


@pytest.mark.parametrize(
    "call",
    [
        lambda n: n.median_filter(HU, (5, 3), axes=(1, 0)),  # size[0] goes to axis 0
        lambda n: n.median_filter((HU * 1e6).astype(np.int64), 3),
        lambda n: n.median_filter(HU, 3, output=np.float32),
        lambda n: n.gaussian_filter(HU.astype(np.int16), 1.0, order=1),
        lambda n: n.gaussian_filter(HU, 1.0, order=9),
        lambda n: n.gaussian_filter(BYTES, 1.0, output=np.int32),
        lambda n: n.gaussian_filter(HU, 0.0),
        lambda n: n.median_filter(np.zeros((4, 4, 4, 4)), 3),
        lambda n: n.median_filter(HU[0], footprint=[1, 0, 1]),
        lambda n: n.median_filter(HU, (70, 70)),
        lambda n: n.median_filter(HU.astype(np.int8), 3, mode="constant", cval=100.5),
        lambda n: n.gaussian_filter(HU + 1j, 1.0),
        lambda n: n.gaussian_filter(BYTES, 1.0, mode="constant", cval=300),  # which wraps around
        lambda n: n.gaussian_filter(HU.astype(np.int16), 1.0, mode=["wrap", "constant"], cval=1e5),
        lambda n: n.gaussian_filter(HU, np.float32(1.3)),  # whose weights are rounded
        lambda n: n.gaussian_filter1d(HU, np.float16(1.3)),
        lambda n: n.median_filter(np.empty((0, 4)), 3),
    ],
)
def test_what_we_cannot_serve_scipy_does_and_it_is_counted(call: Callable[[Any], Any]) -> None:
    np.testing.assert_array_equal(call(ours), call(ndimage))
    assert [tuple(c) for c in compat.calls().values()] == [(0, 1)]


@pytest.mark.parametrize(
    "call",
    [
        lambda n: n.median_filter(HU),
        lambda n: n.median_filter(HU + 1j, 3),
        lambda n: n.median_filter(HU, (3, 3, 3)),
        lambda n: n.median_filter(HU, 3.0),
        lambda n: n.median_filter(HU, 3, mode=["reflect", "reflect", "reflect"]),
        lambda n: n.median_filter(HU, 3, mode="round"),
        lambda n: n.rank_filter(HU, 9, 3),
        lambda n: n.median_filter(HU, 3, origin=2),
        lambda n: n.percentile_filter(HU, 101, 3),
        lambda n: n.median_filter(HU, footprint=np.zeros((3, 3))),
        lambda n: n.median_filter(HU, footprint=np.ones(3)),
        lambda n: n.median_filter(BYTES, 3, output=np.float16),
        lambda n: n.median_filter(HU > 0, 3, output="bool"),
        lambda n: n.gaussian_filter(HU, (1.0, 2.0, 3.0)),
        lambda n: n.gaussian_filter(HU, 1.0, axes=(0, 0)),
        lambda n: n.gaussian_filter(HU, 1.0, order=(0, 0, 0)),
        lambda n: n.gaussian_filter(HU, 1.0, order=-1),
        lambda n: n.gaussian_filter(HU, 1.0, mode=["reflect"]),
        lambda n: n.gaussian_filter(HU, 1.0, radius=[2]),
    ],
)
def test_errors_are_scipy_s(call: Callable[[Any], Any]) -> None:
    with pytest.raises(Exception) as expected:
        call(ndimage)
    with pytest.raises(type(expected.value), match=re.escape(str(expected.value))):
        call(ours)


EQUALIZED = {
    "int16": HU.astype(np.int16),
    "uint8": BYTES,
    "uint16": (np.abs(HU) * 9).astype(np.uint16),
    "float32": (HU / 4096).astype(np.float32),
    "float64": HU / 4096,
    "rgb": np.stack([BYTES, 255 - BYTES, BYTES // 2], axis=-1),
    "volume": np.random.default_rng(1).random((9, 21, 24)),
    "two values": (HU > 0).astype(np.uint8),
    "constant": np.full((20, 24), 7, np.uint8),
}


@pytest.mark.parametrize("x", EQUALIZED.values(), ids=EQUALIZED)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"kernel_size": 7, "clip_limit": 0.03},
        {"kernel_size": 16, "nbins": 1000},  # weights that float32 holds, bins that a byte does not
        {"nbins": 100, "clip_limit": 0.0},
        {"clip_limit": 0.0001},
    ],
)
def test_equalize_adapthist_is_scikit_image_s_bit_for_bit(x: np.ndarray, options: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        same(our_skimage.equalize_adapthist(x, **options), exposure.equalize_adapthist(x, **options))
    assert served("skimage.exposure.equalize_adapthist") == (1, 0)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32", "float64"])
def test_range_of_equalize_adapthist(dtype: str) -> None:
    """Of sizes around whole vectors; a NaN, or a number out of -1 to 1, is seen wherever it stands."""
    rng = np.random.default_rng(3)
    for size in (1, 5, 63, 64, 65, 1000):
        if dtype[0] != "f":
            ends = np.iinfo(dtype)
            x = rng.integers(ends.min, ends.max, size, dtype=dtype, endpoint=True)
            assert adapthist.extent(x) == (x.min(), x.max())
            continue
        x = rng.uniform(-1, 1, size).astype(dtype)
        assert adapthist.extent(x) == tuple(np.rint(max(end, 0) * x.dtype.type(65535)) for end in (x.min(), x.max()))
        for at in {0, size // 2, size - 1}:
            for odd in (np.nan, 1.5, -np.inf):
                one = x.copy()
                one[at] = odd
                assert adapthist.extent(one) is None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_grays_are_divided_to_the_bit_from_within_their_result(dtype: str) -> None:
    for width in (1, 2, 3, 49, 10_007, 16_001, *np.random.default_rng(4).integers(4, adapthist.GRAYS, 300)):
        low = min(5, adapthist.GRAYS - 1 - int(width))
        expected = np.arange(low, low + width + 1, dtype=np.uint16)
        out = np.empty(expected.size, dtype)
        grays = adapthist.grays_within(out)
        grays[...] = expected
        adapthist.rescaled(grays, low, low + int(width), out)
        assert (out == (expected.astype(dtype) - out.dtype.type(low)) / out.dtype.type(width)).all()


def test_equalize_adapthist_refuses_as_scikit_image_does() -> None:
    for x, options in ((HU, {}), (BYTES, {"kernel_size": (3, 3, 3)})):
        for function in (exposure.equalize_adapthist, our_skimage.equalize_adapthist):
            with pytest.raises(ValueError, match=r"between -1 and 1|kernel_size"):
                function(x, **options)


def test_skimage_ranges_histograms_and_filters() -> None:
    single = HU.astype(np.float32)
    for x in (single, np.abs(single) / 4000):
        for options in (
            {},
            {"in_range": (-100, 200)},
            {"out_range": (0, 255)},
            {"in_range": (0, 1), "out_range": (-3, 9)},
        ):
            same(our_skimage.rescale_intensity(x, **options), exposure.rescale_intensity(x, **options), 2e-6)
    for x in (BYTES, HU.astype(np.int16), single, HU):
        for options in ({}, {"nbins": 40}, {"normalize": True}):
            for found, expected in zip(our_skimage.histogram(x, **options), exposure.histogram(x, **options)):
                same(found, expected)
    a, b = HU.astype(np.int16), (HU[::-1] * 1.5).astype(np.int16)
    unsigned = (HU + 3000).astype(np.uint16)
    for x, y in ((a, b), (BYTES, BYTES[::-1] // 2), (single, single[::-1] * 3), (a, HU), (HU, a), (BYTES, unsigned)):
        same(our_skimage.match_histograms(x, y), exposure.match_histograms(x, y))
        for axis in (0, -1):
            options = {"channel_axis": axis}
            same(our_skimage.match_histograms(x, y, **options), exposure.match_histograms(x, y, **options))
    swapped = a.astype(a.dtype.newbyteorder())
    same(our_skimage.histogram(swapped)[0], exposure.histogram(swapped)[0])
    for x in (BYTES, a, single / 4096, HU / 4096):
        same(our_skimage.median(x), filters.median(x))
        for options in ({}, {"preserve_range": True}, {"sigma": 2.5, "mode": "reflect"}):
            same(our_skimage.gaussian(x, **options), filters.gaussian(x, **options), 2e-6)
    assert all(c.original == 0 for c in compat.calls().values())
    same(our_skimage.match_histograms(swapped, b), exposure.match_histograms(swapped, b))  # which serves it
    for sigma in (-1.0, (1.0, -1.0), np.array([-1.0, 1.0])):
        with pytest.raises(ValueError, match="zero"):
            our_skimage.gaussian(single, sigma)
    assert our_skimage.rescale_intensity(BYTES).dtype == np.uint8
    assert served("skimage.exposure.rescale_intensity") == (8, 1)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64"])
def test_opencv_filters(dtype: str) -> None:
    x = BYTES.astype(dtype)
    colour = np.stack([x, x[::-1], x // 2], axis=-1)
    for image in (x, colour):
        for size in (3, 5, 9) if dtype == "uint8" else (3, 5) if dtype != "float64" else ():
            same(our_cv2.medianBlur(image, size), cv2.medianBlur(image, size))
        close = 1 if dtype[0] in "ui" else 2e-6
        for size, sigma in ((0, 1.5), (5, 1.0), (11, 0)):
            for border in (cv2.BORDER_DEFAULT, cv2.BORDER_REPLICATE, cv2.BORDER_CONSTANT, cv2.BORDER_REFLECT):
                arguments = (image, (size, size), sigma)
                expected = cv2.GaussianBlur(*arguments, borderType=border)
                same(our_cv2.GaussianBlur(*arguments, borderType=border), expected, close)
    assert all(c.original == 0 for c in compat.calls().values())
    same(our_cv2.GaussianBlur(x, (5, 3), 1.0), cv2.GaussianBlur(x, (5, 3), 1.0))
    assert served("cv2.GaussianBlur")[1] == 1


def test_opencv_clahe_histogram_and_normalize() -> None:
    for x in (BYTES, BYTES.astype(np.uint16) * 150):
        mine, theirs = our_cv2.createCLAHE(3.0, (4, 8)), cv2.createCLAHE(3.0, (4, 8))
        same(mine.apply(x), theirs.apply(x))
        mine.setTilesGridSize((2, 3))
        theirs.setTilesGridSize((2, 3))
        same(mine.apply(x), theirs.apply(x))
        for bins, high in ((256, 256), (50, 200), (7, 100)):
            arguments = ([x], [0], None, [bins], [0, high])
            found, expected = our_cv2.calcHist(*arguments), cv2.calcHist(*arguments)
            assert found.shape == expected.shape
            same(found, expected)
    for x in (BYTES, BYTES.astype(np.uint16) * 150, HU.astype(np.float32)):
        expected = cv2.normalize(x, None, 0, 200, cv2.NORM_MINMAX)
        same(our_cv2.normalize(x, None, 0, 200, cv2.NORM_MINMAX), expected, 1 if x.dtype.kind == "u" else 2e-6)
    assert served("cv2.calcHist") == (4, 2)
    same(our_cv2.normalize(HU, None), cv2.normalize(HU, None))
    assert served("cv2.normalize") == (3, 1)


def test_opencv_s_shapes_channels_and_numbers_that_are_none() -> None:
    one = np.ascontiguousarray(BYTES[..., np.newaxis])
    assert our_cv2.normalize(one, None, 0, 200, cv2.NORM_MINMAX).shape == BYTES.shape
    x = HU.astype(np.float32)
    x[3, 4] = np.nan
    found = our_cv2.normalize(x, None, 0, 1, cv2.NORM_MINMAX)
    np.testing.assert_array_equal(found, cv2.normalize(x, None, 0, 1, cv2.NORM_MINMAX))
    with pytest.raises(cv2.error):
        our_cv2.medianBlur(np.dstack([BYTES, BYTES]), 7)
    for limit in (40.0, 1e9):  # beyond an int
        same(our_cv2.createCLAHE(limit, (1, 1)).apply(BYTES), cv2.createCLAHE(limit, (1, 1)).apply(BYTES))
    for whole in (np.uint8, np.uint16):  # OpenCV's weights of these have 8 and 16 bits
        x = np.random.default_rng(0).integers(0, np.iinfo(whole).max, (40, 40), whole, endpoint=True)
        exact = cv2.GaussianBlur(x.astype(np.float64), (31, 31), 5)
        blurred = our_cv2.GaussianBlur(x, (31, 31), 5)
        assert np.abs(blurred - exact).max() < 0.52
        same(blurred, cv2.GaussianBlur(x, (31, 31), 5), 2)


def test_opencv_s_clahe_can_be_copied() -> None:
    assert copy.copy(our_cv2.createCLAHE(3.0)).getClipLimit() == 3.0


def test_opencv_refuses_what_it_refuses() -> None:
    for call in (lambda c: c.medianBlur(HU, 3), lambda c: c.medianBlur(BYTES, 4), lambda c: c.createCLAHE().apply(HU)):
        with pytest.raises(cv2.error):
            call(our_cv2)


def interrupted_work() -> None:
    """Inside a patch of its own, which an error ends."""
    with compat.patched("skimage"):
        assert exposure.equalize_adapthist is our_skimage.equalize_adapthist
        ndimage.median_filter(HU, 4)  # left to the original, which is no longer at its place
        raise ZeroDivisionError


def test_patched_is_reversible() -> None:
    before = ndimage.median_filter, exposure.equalize_adapthist, cv2.medianBlur
    first, second = compat.patched("cv2"), compat.patched("cv2")  # as two threads enter and leave
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert cv2.medianBlur is our_cv2.medianBlur
    second.__exit__(None, None, None)
    assert cv2.medianBlur is before[2]
    with compat.patched("scipy.ndimage", "cv2"):
        assert ndimage.median_filter is ours.median_filter
        assert exposure.equalize_adapthist is before[1]
        with pytest.raises(ZeroDivisionError):
            interrupted_work()
        assert exposure.equalize_adapthist is before[1]
        assert ndimage.median_filter is ours.median_filter
    assert (ndimage.median_filter, exposure.equalize_adapthist, cv2.medianBlur) == before
    for wrong in ((), ("numpy",)):
        with pytest.raises(ArgumentError, match=r"scipy\.ndimage"), compat.patched(*wrong):
            pass


@pytest.mark.parametrize(("given", "wanted"), [("float64", "float32"), ("float32", "float64"), ("int64", "float32")])
def test_ranks_of_lines_into_another_dtype_are_those_of_the_same_row(given: str, wanted: str) -> None:
    """SciPy 1.17.1 gives wrong values for the line; those of a row are right."""
    line = np.random.default_rng(5).normal(0, 300, 40).astype(given)
    expected = ndimage.percentile_filter(line[np.newaxis], 30, (1, 5), output=wanted)[0]
    out = np.full(40, -1, wanted)
    for output in (wanted, out):
        found = ours.percentile_filter(line, 30, 5, output=output)
        assert found.dtype == wanted
        np.testing.assert_array_equal(found, expected)
    assert found is out
    np.testing.assert_array_equal(
        ours.median_filter(line, 5, output=wanted),
        ndimage.median_filter(line[np.newaxis], (1, 5), output=wanted)[0],
    )
    with pytest.raises(RuntimeError, match="shape"):
        ours.rank_filter(line, 1, 3, output=np.zeros(39, wanted))
