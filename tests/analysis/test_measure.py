"""The figures of a slice against plain NumPy and SciPy on its pixels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

import ctfast
from ctfast.analysis import TISSUES, measure
from ctfast.analysis.scan.regions import find_regions, noise_sd
from ctfast.errors import ShapeError
from ctfast.tools.synth import phantom
from tests.analysis.analysis_build import body


@pytest.mark.parametrize("number", range(4))
def test_figures_of_a_phantom(number: int) -> None:
    hu = phantom(number, seed=11, size=256).hu
    stats = measure(hu, spacing=(0.7, 0.6)).stats
    held = hu[hu >= -1024].astype(np.float64)
    assert (stats["min"], stats["max"]) == (hu.min(), hu.max())
    assert stats["mean"] == pytest.approx(held.mean())
    assert stats["sd"] == pytest.approx(held.std())
    quartiles = [stats["q1"], stats["median"], stats["q3"]]
    np.testing.assert_allclose(quartiles, np.percentile(held, (25, 50, 75)))
    assert stats["padding_share"] == (hu < -1024).mean()
    assert stats["contrast_band_share"] == ((hu >= 130) & (hu <= 400)).mean()
    for tissue in TISSUES:
        inside = (hu >= tissue.low) & (hu < tissue.high)
        assert stats[f"share_{tissue.key}"] == inside.mean()
        assert stats[f"cm2_{tissue.key}"] == pytest.approx(inside.sum() * 0.42 / 100)
    labels = ctfast.label_tissue(hu)
    np.testing.assert_allclose(
        [stats[f"share_{t.key}"] for t in TISSUES], np.bincount(labels.ravel(), minlength=11) / hu.size
    )


@pytest.mark.parametrize("dtype", ["int16", "float32"])
@pytest.mark.parametrize("value", [-1024, -1000, 0, 300, 3071])
def test_declared_padding_is_no_tissue_whatever_its_value(value: int, dtype: str) -> None:
    """Right values are those of the same slice with padding below the scale."""
    hu = phantom(0, seed=11, size=256).hu
    hu = np.where(hu < -1024, -2000, np.where(hu == value, value + 1, hu)).astype(dtype)
    usual, other = hu.copy(), np.where(hu == -2000, value, hu).astype(dtype)
    expected, found = (measure(x, spacing=(0.7, 0.6), padding=p) for x, p in ((usual, -2000.0), (other, float(value))))
    assert found.stats["declared_padding_pixels"] == (hu == -2000).sum() > 1000
    assert (found.stats["padding_value"], found.stats["padding_values"]) == (value, 0)
    assert (found.stats["min"], found.stats["max"]) == (other.min(), other.max())
    own = ("declared_padding", "padding_value", "padding_values", "min", "max")
    differ = {k for k in expected.stats if k not in own and found.stats[k] != pytest.approx(expected.stats[k])}
    assert not differ
    for tissue in TISSUES:
        counts = [d.pixels.count(tissue.low, tissue.high) for d in (expected, found)]
        assert counts[0] == counts[1], "what the plots of a set are made of"


def test_padding_is_left_out_of_the_figures() -> None:
    hu = np.full((40, 40), 50, np.int16)
    hu[:10] = -2000
    hu[10:20, :20] = -1024
    stats = measure(hu, padding=-2000.0).stats
    assert (stats["padding_value"], stats["padding_share"], stats["declared_padding_pixels"]) == (-2000, 0.25, 400)
    assert stats["mean"] == pytest.approx(hu[10:].mean())
    inside = measure(hu, padding=-1024.0).stats
    assert inside["mean"] == 50
    assert inside["declared_padding_pixels"] == 200
    only = measure(np.full((9, 9), -2000, np.int16)).stats
    assert only["mean"] == -2000


def test_fractional_hu_are_exact_too(rng: np.random.Generator) -> None:
    hu = rng.normal(0, 200, (50, 50)).astype(np.float32)
    hu[:5] = -2000.5
    stats = measure(hu, padding=-2000.5).stats
    held = hu[5:].astype(np.float64)
    assert stats["mean"] == pytest.approx(held.mean(), rel=1e-12)
    assert stats["sd"] == pytest.approx(held.std(), rel=1e-12)
    assert stats["q3"] == pytest.approx(np.percentile(held, 75), rel=1e-12)
    assert stats["contrast_band_share"] == ((hu >= 130) & (hu <= 400)).mean()
    labels = np.bincount(ctfast.label_tissue(hu).ravel(), minlength=len(TISSUES)) / hu.size
    assert [stats[f"share_{t.key}"] for t in TISSUES] == labels.tolist()


def test_values_that_are_no_hu_get_no_tissues(rng: np.random.Generator) -> None:
    pixels = rng.random((30, 30)).astype(np.float32)
    stats = measure(pixels, units="unknown").stats
    assert not [key for key in stats if "share_" in key or key in ("noise_sd", "metal_pixels", "lung_clusters")]
    assert stats["min"] == pixels.min()
    assert stats["mean"] == pytest.approx(pixels.astype(np.float64).mean())


def test_hash_is_of_the_values_not_of_the_dtype() -> None:
    hu = phantom(0, seed=2, size=64).hu
    same = measure(hu).hash
    assert measure(hu.astype(np.float64)).hash == same
    assert measure(np.ascontiguousarray(hu[::-1])[::-1]).hash == same
    changed = hu.copy()
    changed[3, 3] += 1
    assert measure(changed).hash != same
    assert measure(hu.reshape(32, 128)).hash != same


def test_odd_images() -> None:
    assert measure(np.full((1, 1), 7, np.int16)).stats["median"] == 7
    empty = measure(np.full((4, 4), np.nan)).stats
    assert empty["non_finite"] == 16
    assert empty["mean"] is None
    partly = np.full((4, 4), 40.0)
    partly[0, 0] = np.inf
    assert measure(partly).stats["mean"] == 40
    with pytest.raises(ShapeError, match="one image"):
        measure(np.zeros((2, 3, 4), np.int16))


@pytest.mark.parametrize("size", [200, 400])
def test_body_and_lungs(size: int) -> None:
    hu = body(size)
    regions = find_regions(hu, (1.0, 1.0))
    solid = ndimage.binary_fill_holes(hu > -500)
    assert abs(regions.body.mean() - solid.mean()) < 0.01
    assert abs(regions.lung.mean() - (hu == -850).mean()) < 0.01
    assert regions.clusters_mm == ()


@pytest.mark.parametrize(("radius", "found"), [(2, False), (6, True), (25, False)])
def test_clusters_by_size(radius: int, found: bool) -> None:
    hu = body(240)
    y, x = np.mgrid[:240, :240]
    hu[(y - 120) ** 2 + (x - 76.8) ** 2 <= radius**2] = 30
    clusters = find_regions(hu, (1.0, 1.0)).clusters_mm
    assert bool(clusters) is found
    if found:
        assert clusters[0] == pytest.approx(2 * radius, abs=0.7)


def test_a_vessel_that_reaches_the_lung_wall_or_is_drawn_out_is_no_cluster() -> None:
    wall, long = body(240), body(240)
    wall[115:125, 40:90] = 30
    long[118:122, 62:92] = 30
    assert find_regions(wall, (1.0, 1.0)).clusters_mm == ()
    assert find_regions(long, (1.0, 1.0)).clusters_mm == ()


@pytest.mark.parametrize("sd", [5.0, 12.0, 40.0])
def test_noise(sd: float, rng: np.random.Generator) -> None:
    hu = np.rint(body(256) + rng.normal(0, sd, (256, 256))).astype(np.int16)
    assert noise_sd(hu) == pytest.approx(sd, rel=0.12)
    assert noise_sd(np.full((64, 64), -1000, np.int16)) is None
    assert noise_sd(np.zeros((5, 5), np.int16)) is None


def _disc(hu: np.ndarray, row: int, column: int, radius: int, value: int = 40) -> np.ndarray:
    y, x = np.mgrid[: hu.shape[0], : hu.shape[1]]
    made = hu.copy()
    made[(y - row) ** 2 + (x - column) ** 2 <= radius**2] = value
    return made


def test_a_dense_region_at_the_wall_of_a_lung_is_found() -> None:
    plain = body(256)  # 1 mm a pixel; the left lung is a disc of 36 mm about (128, 82)
    assert find_regions(plain, (1.0, 1.0)).dense_mm == ()
    (found,) = find_regions(_disc(plain, 128, 57, 15), (1.0, 1.0)).dense_mm
    assert 20 <= found <= 31, "the part of 30 mm that lies within the outline"
    inside = find_regions(_disc(plain, 128, 82, 16), (1.0, 1.0))
    assert inside.dense_mm == pytest.approx((32,), abs=2), "also one that lung surrounds, too large for a cluster"
    assert inside.clusters_mm == ()


@pytest.mark.parametrize(
    "hu",
    [
        _disc(body(256), 128, 50, 6),  # 12 mm across
        _disc(body(256), 128, 20, 40),  # a wide, shallow hollow, as the heart makes
        _disc(body(256), 128, 57, 15, value=-300),  # not dense
    ],
    ids=["small", "wide", "thin"],
)
def test_other_hollows_of_a_lung_are_left_alone(hu: np.ndarray) -> None:
    assert find_regions(hu, (1.0, 1.0)).dense_mm == ()
