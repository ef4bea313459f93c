"""Every rule: an input that meets it, and one that does not."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ctfast.analysis import RULES, Analysis, analyze
from ctfast.analysis.flags.outliers import modified_z
from ctfast.analysis.flags.rules import find_flags
from ctfast.analysis.scan.records import Collection, SliceRecord
from ctfast.files import write_image
from tests.analysis.analysis_build import body
from tests.files.files_build import dicom

Make = Callable[..., Analysis]


def keys(analysis: Analysis) -> list[str]:
    return sorted({f.rule.key for f in analysis.flags})


def changed(size: int = 96, **pixels: tuple[slice, int]) -> np.ndarray:
    hu = body(size)
    for part, value in pixels.values():
        hu[part] = value
    return hu


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (body(), []),
        (changed(a=(slice(0, 5), -2048)), ["padding"]),
        (changed(a=(slice(0, 1), 3071)), ["metal", "saturation"]),
        (changed(a=(slice(0, 1), 2600)), ["metal"]),
        (changed(a=(slice(0, 1), 5000)), ["hu_range", "metal", "saturation"]),
        (np.full((64, 64), -1000, np.int16), ["near_constant"]),
        (np.maximum(body(), 0), ["no_air"]),
        (body() + np.int16(1024), ["not_hu"]),
        (np.where(body() == 40, np.nan, body().astype(np.float32)), ["non_finite"]),
    ],
    ids=["plain", "padding", "saturated", "metal", "range", "constant", "no air", "no intercept", "nan"],
)
def test_rules_of_one_slice(image: np.ndarray, expected: list[str], slices: Make) -> None:
    assert keys(slices(image)) == expected


def test_scattered_padding_is_out_of_range(slices: Make) -> None:
    hu = body()
    hu[0, :50] = np.arange(-1500, -1450)
    assert "hu_range" in keys(slices(hu))


def test_a_cluster_says_when_the_spacing_was_assumed(slices: Make) -> None:
    """One slice in full, and resized to half and twice as many columns, has one cluster of one size."""
    for columns, mm in ((256, "1.4"), (512, "0.7"), (1024, "0.35")):
        hu = body(columns)
        y, x = np.mgrid[:columns, :columns] * (360 / columns)  # mm
        hu[(y - 180) ** 2 + (x - 115.2) ** 2 <= 8**2] = 30
        (flag,) = slices(hu, spacing=None).flags
        assert flag.rule.key == "lung_cluster"
        assert f"spacing unknown, {mm} mm a pixel assumed" in flag.value
        (diameter,) = [float(word) for word in flag.value.split() if word.replace(".", "").isdigit()][:1]
        assert abs(diameter - 16) < 1, flag.value


def test_a_larger_dense_region_is_pointed_at(slices: Make) -> None:
    hu = body(256)
    y, x = np.mgrid[:256, :256]
    hu[(y - 128) ** 2 + (x - 57) ** 2 <= 15**2] = 40
    (flag,) = slices(hu, spacing=(1.0, 1.0)).flags
    assert flag.rule.key == "dense_region"
    assert flag.value.startswith("1, largest 2")


def test_values_that_are_no_hu_are_flagged_and_not_judged(tmp_path: Path) -> None:
    write_image(tmp_path / "a.tif", np.full((9, 9), 4000, np.uint16) + np.arange(9, dtype=np.uint16), units="unknown")
    found = analyze(tmp_path)
    assert keys(found) == ["not_hu"]
    assert "tissue" in found.flags[0].rule.explanation
    assert keys(analyze(tmp_path, units="hu")) != ["not_hu"]


def noisy(count: int, sd: Callable[[int], float]) -> list[np.ndarray]:
    rng = np.random.default_rng(4)
    base = body(200)
    return [np.rint(base + rng.normal(0, sd(i), base.shape)).astype(np.int16) for i in range(count)]


def test_noise_and_tissue_far_from_the_group(slices: Make) -> None:
    images = noisy(10, lambda i: 60.0 if i == 3 else 10.0 + 0.3 * i)
    images[7][60:140, 80:120] = 900
    flags = {f.rule.key: f for f in slices(*images).flags if f.rule.key in ("noise", "tissue")}
    assert flags["noise"].slices == (3,)
    assert flags["tissue"].slices == (7,)
    assert "compact bone" in flags["tissue"].value


def test_small_groups_have_no_outliers(slices: Make) -> None:
    found = slices(*noisy(7, lambda i: 60.0 if i == 3 else 10.0))
    assert "noise" not in keys(found)


def test_odd_shape_and_dtype(slices: Make) -> None:
    images = [body() + np.int16(i) for i in range(9)]
    found = slices(*images, body(80))
    (flag,) = [f for f in found.flags if f.rule.key == "odd_form"]
    assert flag.slices == (9,)
    assert flag.value == "80 x 80, int16; the set has 96 x 96, int16"


def test_duplicates_and_both_formats(tmp_path: Path) -> None:
    name = "ID_0001_AGE_0060_CONTRAST_1_CT"
    (tmp_path / "x").mkdir()
    write_image(tmp_path / "x" / f"{name}.tif", body(), units="hu")
    shutil.copy(tmp_path / "x" / f"{name}.tif", tmp_path / "x" / "ID_0002_AGE_0060_CONTRAST_0_CT.tif")
    (flag,) = [f for f in analyze(tmp_path).flags if f.rule.key == "duplicate"]
    assert flag.value == "ID_0001 = ID_0002; labels contrast and no contrast"


def record(index: int, **facts: object) -> SliceRecord:
    stats = {"sd": 100.0, "mode_share": 0.1, "mode": 0, "non_finite": 0}
    known = {k: v for k, v in facts.items() if k not in ("hash", "format")}
    return SliceRecord(Path(f"{index}"), f"{index}", None, str(facts.get("format", "dicom")), "stored", "int16", (9, 9),  # type: ignore[arg-type]
                       None, known, stats, str(facts.get("hash", index)))  # type: ignore[arg-type]  # fmt: skip


def found_in(*records: SliceRecord) -> dict[str, list[str]]:
    flags: dict[str, list[str]] = {}
    for flag in find_flags(Collection(("x",), list(records))):
        flags.setdefault(flag.rule.key, []).append(flag.value)
    flags.pop("not_hu", None)
    return flags


def test_one_slice_in_two_formats_is_no_duplicate() -> None:
    pair = (record(0, id=5, hash="same", format="tiff"), record(1, id=5, hash="same"))
    assert list(found_in(*pair)) == ["two_formats"]
    assert list(found_in(*pair, record(2, id=6, hash="same"))) == ["duplicate"]


def test_label_and_split_leaks() -> None:
    flags = found_in(
        record(0, patient="A", label="x", split="train"),
        record(1, patient="A", label="y", split="test"),
        record(2, patient="B", label="x", split="train"),
        record(3, patient="B", label="x", split="train"),
        record(4, label="x", hash="same", split="train"),
        record(5, label="x", hash="same", split="validation"),
    )
    assert flags["label_leak"] == ["patient A: 1 x, 1 y"]
    assert flags["split_leak"] == ["patient A in test and train", "identical pixels in train and validation"]


def test_odd_rescale() -> None:
    usual = [record(i, rescale_slope=1.0 + 0.0002 * (i % 2), rescale_intercept=-1024.0) for i in range(9)]
    flags = found_in(*usual, record(9, rescale_slope=1.0, rescale_intercept=0.0))
    assert flags["rescale"] == ["slope 1, intercept 0; the set has 1, -1024"]
    half = [record(i, rescale_slope=1.0, rescale_intercept=-1024.0 * (i % 2)) for i in range(10)]
    assert "rescale" not in found_in(*half)


def test_window_that_does_not_fit() -> None:
    hu = record(0, window_center=40.0, window_width=400.0)
    hu.units = "hu"
    hu.stats |= {"min": -1000.0, "max": 1000.0, "p1": -1000.0, "p99": 800.0, "padding_values": 0, "metal_pixels": 0,
                 "saturated_pixels": 0, "declared_padding_pixels": None, "lung_clusters": 0}  # fmt: skip
    assert found_in(hu) == {}
    for center, width in ((40.0, 0.0), (3000.0, 400.0), (-3000.0, 100.0)):
        hu.facts |= {"window_center": center, "window_width": width}
        assert list(found_in(hu)) == ["window"]


def test_modified_z_score() -> None:
    values = [1.0, 2.0, 2.0, 3.0, 3.0, 3.0, 4.0, 4.0, 50.0]
    expected = 0.6745 * (np.array(values) - 3) / 1.0
    np.testing.assert_allclose(modified_z(values), expected)
    with_gap = modified_z([*values, None])
    assert np.isnan(with_gap[-1])
    np.testing.assert_allclose(with_gap[:-1], expected)
    assert np.isnan(modified_z(values[:7])).all()
    np.testing.assert_array_equal(modified_z([5.0] * 9), np.zeros(9))
    assert modified_z([5.0] * 9 + [6.0])[-1] > 3.5


def test_flags_can_be_pickled(slices: Make) -> None:
    found = slices(changed(a=(slice(0, 1), 3071)))
    assert pickle.loads(pickle.dumps(found)).flags == found.flags != ()


def test_every_rule_says_all_it_must() -> None:
    for rule in RULES.values():
        assert rule.title
        assert rule.threshold
        assert rule.explanation
        assert rule.source
        words = f"{rule.title} {rule.explanation}".lower()
        assert not any(word in words for word in ("diagnos", "cancer", "tumour", "disease", "patholog"))


def test_units_of_other_rescale_types_are_named(slices: Make) -> None:
    analysis = slices(body(), units="Z_EFF")
    assert [f.value for f in analysis.flags if f.rule.key == "not_hu"] == ["the file names Z_EFF as its unit"]


def test_a_slice_compressed_with_loss_is_flagged(tmp_path: Path) -> None:
    for k, loss in enumerate(["00", "01"]):
        dicom(tmp_path / f"{k}.dcm", body(), LossyImageCompression=loss)
    analysis = analyze(tmp_path)
    (flag,) = [flag for flag in analysis.flags if flag.rule.key == "loss"]
    assert [analysis.records[k].name for k in flag.slices] == ["1.dcm"]


def test_a_slice_of_another_orientation_is_flagged(tmp_path: Path) -> None:
    usual = {"PixelSpacing": [1, 1], "ImagePositionPatient": [0, 0, 0], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}
    for k in range(5):
        turned = {"ImageOrientationPatient": [1, 0, 0, 0, -1, 0]} if k == 3 else {}
        dicom(tmp_path / f"{k}.dcm", body() + np.int16(k), RescaleIntercept="0", **{**usual, **turned})
    [flag] = [f for f in analyze(tmp_path).flags if f.rule.key == "orientation"]
    assert (flag.slices, flag.value) == ((3,), "columns and rows run to L, A; most of the set to L, P")
