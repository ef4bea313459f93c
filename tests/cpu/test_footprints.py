"""Medians over windows of any shape: SciPy is the oracle, and the reference for NaN."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ctfast
from ctfast.errors import ArgumentError, ShapeError
from ctkernels import reference
from ctkernels.contract import IMAGE_DTYPES, MODES
from ctkernels.cpu._median.footprint_layout import window_of
from ctkernels.cpu._median.footprints import rank_filter
from ctkernels.cpu._median.programs import HIGHER, LOWER, program
from ctkernels.testing import assert_exact, force_bands

ndimage = pytest.importorskip("scipy.ndimage")

RNG = np.random.default_rng(6)


def ball(radius: int, axes: int) -> np.ndarray:
    """A disk or ball."""
    place = np.indices((2 * radius + 1,) * axes) - radius
    return (place**2).sum(axis=0) <= radius**2


FOOTPRINTS = {
    "cross": ball(1, 2),
    "disk": ball(3, 2),
    "even": np.ones((2, 4)),
    "holes": RNG.random((7, 5)) < 0.5,
    "far": np.array([[1] + [0] * 30 + [1, 1]]),
    "pixel": np.ones((1, 1)),
}


@pytest.mark.parametrize("dtype", IMAGE_DTYPES)
@pytest.mark.parametrize("footprint", FOOTPRINTS.values(), ids=FOOTPRINTS)
def test_medians_are_scipy_s(footprint: np.ndarray, dtype: str) -> None:
    values = RNG.normal(90, 60, (2, 23, 37))
    for whole in (True, False):
        x = np.clip(np.rint(values) if whole else values, 0, 255).astype(dtype)
        for mode in MODES:
            found = ctfast.median_filter(x, footprint=footprint, mode=mode, cval=7)
            for image, result in zip(x, found, strict=True):
                expected = ndimage.median_filter(image, footprint=footprint, mode=mode, cval=7)
                assert_exact(result, expected, f"{mode} {whole}")


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (3, 2), (300, 5), (5, 300)])
def test_images_smaller_than_windows_and_bands(shape: tuple[int, int]) -> None:
    for dtype in ("int16", "float64"):
        x = RNG.normal(0, 400, shape).astype(dtype)
        for footprint in (ball(4, 2), FOOTPRINTS["far"]):
            expected = ndimage.median_filter(x, footprint=footprint, mode="mirror")
            assert_exact(ctfast.median_filter(x, footprint=footprint, mode="mirror"), expected, dtype)
            bands = [(0, a, min(a + 7, shape[0])) for a in range(0, shape[0], 7)]
            with force_bands(bands=bands):
                assert_exact(ctfast.median_filter(x, footprint=footprint, mode="mirror"), expected, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(70, 90), (18, 3000), (5, 24, 30)], ids=str)
def test_ranks_stand_for_floats_in_large_windows(shape: tuple[int, ...], dtype: str) -> None:
    footprint = ball(9, 2) if len(shape) == 2 else ball(4, 3)
    x = RNG.normal(0, 1, shape).astype(dtype)
    x.flat[::17], x.flat[::23] = x.flat[5], np.inf
    for mode in MODES:
        expected = ndimage.median_filter(x, footprint=footprint, mode=mode, cval=0.25)
        assert_exact(ctfast.median_filter(x, footprint=footprint, mode=mode, cval=0.25), expected, mode)
    x.flat[::5] = np.nan
    found, expected = ctfast.median_filter(x, footprint=footprint, mode="nearest"), np.empty_like(x)
    window = footprint.astype(int).tolist()
    reference.median_filter(
        x[np.newaxis], expected[np.newaxis], size=(3,) * x.ndim, footprint=window, mode="nearest", cval=0.0
    )
    np.testing.assert_array_equal(found, expected)
    with force_bands(bands=[(0, a, min(a + 9, shape[-2])) for a in range(0, shape[-2], 9)] if x.ndim == 2 else None):
        assert_exact(ctfast.median_filter(x, footprint=footprint, mode="nearest"), found, "bands")


def test_nan_counts_as_the_largest_and_infinities_are_numbers() -> None:
    for dtype in ("float32", "float64"):
        x = RNG.normal(0, 1, (1, 20, 30)).astype(dtype)
        x.flat[::7], x.flat[::11], x.flat[5::13] = np.nan, np.inf, -np.inf
        x[0, 3, :5] = -0.0
        out, expected = np.empty_like(x), np.empty_like(x)
        params: dict[str, Any] = {"size": (3, 3), "mode": "reflect", "cval": 0.0}
        footprint = tuple(map(tuple, ball(2, 2).astype(int).tolist()))
        out = ctfast.median_filter(x, footprint=footprint)
        reference.median_filter(x, expected, footprint=footprint, **params)
        np.testing.assert_array_equal(out, expected)


def test_volumes() -> None:
    x = RNG.normal(0, 90, (2, 6, 17, 19)).astype(np.int16)
    for footprint in (ball(2, 3), RNG.random((2, 3, 5)) < 0.4):
        for mode in ("nearest", "constant"):
            found = ctfast.median_filter(x, footprint=footprint, mode=mode, cval=-4)
            plain = ctfast.median_filter(x, footprint=footprint, mode=mode, cval=-4, backend="reference")
            assert_exact(found, plain, mode)
            for volume, result in zip(x, found, strict=True):
                assert_exact(result, ndimage.median_filter(volume, footprint=footprint, mode=mode, cval=-4), mode)
    moved = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    named = ctfast.median_filter(moved, footprint=ball(1, 3), axes=(3, 1, 2))
    assert_exact(np.moveaxis(named, -1, 1), ctfast.median_filter(x, footprint=ball(1, 3)), "axes")


def test_boxes_are_the_same_as_sizes_and_ranks_rise() -> None:
    x = RNG.normal(0, 300, (1, 40, 50)).astype(np.float32)
    assert_exact(ctfast.median_filter(x, footprint=np.ones((5, 3))), ctfast.median_filter(x, (5, 3)), "box")
    window, before = window_of(ball(2, 2)), np.full_like(x, -np.inf)
    for rank in range(len(window)):
        out = np.empty_like(x)
        rank_filter(x, out, window, rank, "reflect", 0.0)
        assert_exact(out[0], ndimage.rank_filter(x[0], rank, footprint=ball(2, 2)), str(rank))
        assert (out >= before).all()
        before = out


def test_programs_are_right_for_every_order_of_zeros_and_ones() -> None:
    """The zero-one principle: what picks the rank of all sequences of two values picks it of all."""
    for pixels in (window_of(ball(1, 2)), [(0, 0, k) for k in range(8)], [(0, k, 2 * k % 5) for k in range(9)]):
        moved = tuple((z, y + 1, x + 1) for z, y, x in pixels)
        for rank in range(len(moved)):
            made = program(moved, rank)
            number = len(made.pixels)
            values = (np.arange(1 << number)[np.newaxis] >> np.arange(number)[:, np.newaxis] & 1).astype(bool)
            kept: list[Any] = [None] * made.temporaries

            def of(k: int, kept: list[Any] = kept, values: np.ndarray = values) -> np.ndarray:
                return values[k // 2] if k % 2 else kept[k // 2]  # type: ignore[no-any-return]

            for kind, a, b, low, high in made.code.tolist():
                both = of(a) & of(b), of(a) | of(b)
                if kind != HIGHER:
                    kept[low] = both[0]
                if kind != LOWER:
                    kept[high] = both[1]
            for row, output in enumerate(made.outputs):
                window = [made.pixels.index((z, y + row, x)) for z, y, x in moved]
                expected = np.sort(values[window], axis=0)[rank]
                np.testing.assert_array_equal(of(output), expected)


def test_footprints_in_pipelines() -> None:
    x = RNG.normal(40, 90, (9, 30, 40)).astype(np.int16)
    step = ctfast.Step("median_filter", footprint=ball(1, 2))
    again = ctfast.Pipeline.from_dict(ctfast.Pipeline([step]).to_dict())
    assert again.steps[0] == step
    chain = ctfast.Pipeline([ctfast.Step("window", center=40, width=400, dtype="uint8"), step])
    seen = ctfast.window(x, center=40, width=400, dtype="uint8")
    assert_exact(chain.run(x).image, ctfast.median_filter(seen, footprint=ball(1, 2)), "chain")


@pytest.mark.parametrize(
    ("footprint", "match"),
    [
        (np.zeros((3, 3)), "0 ones"),
        (np.ones((70, 70)), "4,096"),
        (np.ones(3), "planes, rows, columns"),
        ([[1, 2]], "of 0 and 1"),
        ([[1, 2], [1]], "of 0 and 1"),
        ("disk", "of 0 and 1"),
    ],
)
def test_refused_with_the_way_out(footprint: Any, match: str) -> None:
    with pytest.raises(ArgumentError, match=match):
        ctfast.median_filter(np.zeros((9, 9), np.int16), footprint=footprint)


def test_sizes_and_axes_that_do_not_fit() -> None:
    x = np.zeros((9, 9), np.int16)
    with pytest.raises(ArgumentError, match="give one of them"):
        ctfast.median_filter(x, 5, footprint=ball(1, 2))
    with pytest.raises(ShapeError, match="volumes"):
        ctfast.median_filter(x, footprint=ball(1, 3))
    with pytest.raises(ArgumentError, match="as many are needed"):
        ctfast.median_filter(np.zeros((4, 9, 9), np.int16), footprint=ball(1, 2), axes=(0, 1, 2))
