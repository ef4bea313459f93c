"""The real slices: what is known about them must be found, and the numbers must be those of the raw files."""

from __future__ import annotations

import csv
import time
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from ctfast.analysis import Analysis, analyze, report
from tests.analysis.analysis_build import page_data

pytestmark = pytest.mark.real_data
pydicom = pytest.importorskip("pydicom", reason="pydicom is not installed")
tifffile = pytest.importorskip("tifffile")


@pytest.fixture(scope="module")
def dicoms(siim: Path) -> Analysis:
    return analyze(siim / "dicom_dir")


@pytest.fixture(scope="module")
def tiffs(siim: Path) -> Analysis:
    return analyze(siim / "tiff_images")


def flagged(found: Analysis, rule: str) -> list[set[int]]:
    return [{int(found.records[p].facts["id"] or 0) for p in f.slices} for f in found.flags if f.rule.key == rule]


def raw_dicom(siim: Path) -> dict[int, tuple[np.ndarray, pydicom.Dataset]]:
    """Every DICOM as pydicom alone gives it, in float64 HU, by id."""
    read = {}
    for path in sorted((siim / "dicom_dir").iterdir()):
        ds = pydicom.dcmread(path)
        hu = ds.pixel_array.astype(np.float64) * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
        read[int(path.name.split("_")[1])] = (hu, ds)
    return read


def test_the_six_known_facts(siim: Path, dicoms: Analysis, tiffs: Analysis) -> None:
    raw = raw_dicom(siim)
    labels = {int(p.name.split("_")[1]): p.name.split("_")[5] for p in (siim / "dicom_dir").iterdir()}
    # 1. padding
    padded = {i for i, (hu, _) in raw.items() if hu.min() < -1024}
    assert {p for found in flagged(dicoms, "padding") for p in found} == padded
    values = {f.value.split(" HU")[0] for f in dicoms.flags if f.rule.key == "padding"}
    assert values == {"-2048", "-3024"}
    assert {p for found in flagged(tiffs, "padding") for p in found} == padded
    # 2. saturation
    saturated = {i for i, (hu, _) in raw.items() if round(hu.max()) >= 3071}
    assert len(saturated) == 15
    for found in (dicoms, tiffs):
        assert {p for one in flagged(found, "saturation") for p in one} == saturated
    # 3. the file with intercept 0
    odd = [{i} for i, (_, ds) in raw.items() if float(ds.RescaleIntercept) == 0]
    assert flagged(dicoms, "rescale") == odd == [{52}]
    # 4. identical pairs
    same = defaultdict(set)
    for i, (hu, _) in raw.items():
        same[hu.tobytes()].add(i)
    pairs = sorted(map(sorted, (s for s in same.values() if len(s) > 1)))
    for found in (dicoms, tiffs):
        assert sorted(map(sorted, flagged(found, "duplicate"))) == pairs == [[32, 34], [84, 85]]
    # 5. contrast is visible in the share of 130 to 400 HU
    share = {i: ((hu >= 130) & (hu <= 400)).mean() for i, (hu, _) in raw.items()}
    groups = [[s for i, s in share.items() if labels[i] == label] for label in "10"]
    expected = stats.mannwhitneyu(*groups).statistic / (len(groups[0]) * len(groups[1]))
    separated = dicoms.separations
    assert separated is not None
    assert separated[1][0].key == "contrast_band_share"
    assert separated[1][0].auc == pytest.approx(expected, abs=1e-12)
    assert separated[1][0].auc > 0.88
    # 6. patients in both classes
    patients = defaultdict(set)
    for i, (_, ds) in raw.items():
        patients[ds.PatientID].add((i, labels[i]))
    both = [{i for i, _ in slices} for slices in patients.values() if len({label for _, label in slices}) > 1]
    assert sorted(map(sorted, flagged(dicoms, "label_leak"))) == sorted(map(sorted, both))
    assert len(both) == 5


def test_figures_are_those_of_the_raw_tiffs(siim: Path, tiffs: Analysis) -> None:
    for record in tiffs.records:
        hu = tifffile.imread(record.path)
        held = hu[hu >= -1024]
        expected = [hu.min(), hu.max(), held.mean(), held.std(), *np.percentile(held, (1, 25, 50, 75, 99))]
        got = [record.stats[k] for k in ("min", "max", "mean", "sd", "p1", "q1", "median", "q3", "p99")]
        np.testing.assert_allclose(np.array(got, float), expected, rtol=1e-10)
        assert record.stats["contrast_band_share"] == ((hu >= 130) & (hu <= 400)).mean()
        assert record.stats["saturated_pixels"] == (hu >= 3071).sum()


def test_figures_are_those_of_the_raw_dicoms(siim: Path, dicoms: Analysis) -> None:
    raw = raw_dicom(siim)
    for record in dicoms.records:
        hu = raw[int(record.facts["id"] or 0)][0]
        held = hu[hu >= -1024]
        expected = [held.mean(), held.std(), *np.percentile(held, (1, 25, 50, 75, 99))]
        got = [record.stats[k] for k in ("mean", "sd", "p1", "q1", "median", "q3", "p99")]
        # fractional HU (slope 1.000244) are float32 in memory
        np.testing.assert_allclose(np.array(got, float), expected, rtol=1e-6, atol=1e-4)
        assert record.stats["share_fat"] == pytest.approx(((hu >= -190) & (hu < -30)).mean(), abs=1e-4)


def test_facts_are_those_of_the_table(siim: Path, tiffs: Analysis) -> None:
    with (siim / "overview.csv").open(newline="") as file:
        table = {row["tiff_name"]: row for row in csv.DictReader(file)}
    for record in tiffs.records:
        row = table[record.name]
        assert record.facts["age"] == int(row["Age"])
        assert record.label == ("contrast" if row["Contrast"] == "True" else "no contrast")
    assert Counter(r.label for r in tiffs.records) == Counter({"contrast": 30, "no contrast": 30})


def test_the_page_is_small_and_soon_there(siim: Path, tmp_path: Path) -> None:
    start = time.perf_counter()
    written = report(siim / "dicom_dir", tmp_path / "report.html", csv=tmp_path / "a.csv")
    assert time.perf_counter() - start < 60  # some 4 s where nothing else runs
    page = written.files[0]
    assert page.stat().st_size * 100 / 60 < 15e6
    text = page.read_text()
    for fact in ("-2048 HU in 13 slices, -3024 HU in 6 slices", "ID_0032 = ID_0034", "intercept 0; the set has 1, -102",
                 "Saturated at the top of the scale: 15 slices", "Patient with several labels: 5 patients",
                 "share of pixels in 130 to 400 HU alone separates"):  # fmt: skip
        assert fact in text, fact
    assert len(page_data(page)["rows"]) == 60


@pytest.mark.parametrize("name", ["awkward", "bad"])
def test_unusual_files_are_reported_or_listed(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    folder = request.getfixturevalue(name)
    written = report(folder, tmp_path / "report.html")
    found = written.analysis
    files = {r.path for r in found.records}
    listed = len(found.collection.unread) + len(found.collection.ignored)
    assert len(files) + listed == sum(p.is_file() for p in folder.rglob("*"))
    for record in found.records:
        assert (record.units == "hu") == ("share_fat" in record.stats)
