"""From files to records: facts, classes, unreadable files, comparisons, the table."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from ctfast.analysis import Analysis, analyze
from ctfast.analysis.scan.compare import auc
from ctfast.analysis.scan.pseudonyms import pseudonym
from ctfast.errors import UsageError
from ctfast.files import write_image
from ctfast.tools.synth import write_set
from tests.analysis.analysis_build import EVIL, body


def test_every_slice_is_there_and_every_bad_file_is_listed(analysis: Analysis) -> None:
    names = {r.name for r in analysis.records}
    assert len(analysis.records) == 10 + 1 + 1 + 1 + 1 + 2
    assert f"{EVIL}.tif" in names
    assert [u.name for u in analysis.collection.unread] == ["broken.tif"]
    assert analysis.collection.unread[0].reason
    assert [Path(i.name).name for i in analysis.collection.ignored] == ["notes.txt"]
    stack = [r for r in analysis.records if r.name == "stack.tif"]
    assert [r.id for r in stack] == ["stack.tif [0]", "stack.tif [1]"]
    assert {r.units for r in analysis.records} == {"hu", "stored", "unknown"}


def test_facts_come_from_the_table(analysis: Analysis) -> None:
    known = [r for r in analysis.records if "id" in r.facts]
    assert len(known) == 10
    assert all(r.facts["contrast_tag"] == "NONE" for r in known)
    assert {r.label for r in known} == {"contrast", "no contrast"}
    assert sorted(analysis.collection.labels) == ["contrast", "no contrast"]


def test_facts_come_from_the_header(tmp_path: Path) -> None:
    write_set(tmp_path / "set", count=4, seed=1, size=64)
    found = analyze(tmp_path / "set" / "dicom_dir")
    first = found.records[0]
    assert first.facts["patient"] == pseudonym("P", "PHANTOM-0000")
    assert first.facts["rescale_intercept"] == -1024
    assert first.facts["contrast_tag"] == "NONE"
    assert first.spacing == (0.7, 0.7)
    both = analyze([tmp_path / "set" / "dicom_dir", tmp_path / "set" / "tiff_images"])
    assert {f.rule.key for f in both.flags} >= {"two_formats"}


def test_folders_are_classes_where_there_is_no_label(tmp_path: Path) -> None:
    for folder in ("train/sick", "train/well", "test/sick"):
        (tmp_path / folder).mkdir(parents=True)
        write_image(tmp_path / folder / "a.tif", body() + np.int16(len(folder)), units="hu")
    write_image(tmp_path / "test" / "sick" / "b.tif", body() + np.int16(len("train/sick")), units="hu")
    found = analyze(tmp_path)
    assert [r.label for r in found.records] == ["sick", "sick", "sick", "well"]
    assert [r.facts["split"] for r in found.records] == ["test", "test", "train", "train"]
    assert set(found.pixels) == {"sick", "well"}
    assert "split_leak" in {f.rule.key for f in found.flags}


def test_slices_of_one_name_are_told_apart(tmp_path: Path) -> None:
    """As patients' folders hold them, below one input or two."""
    for number, folder in enumerate(("a/s", "a/t", "b/s", "c/a/s")):
        (tmp_path / folder).mkdir(parents=True)
        write_image(tmp_path / folder / "1.tif", body() + np.int16(number), units="hu")
    one = analyze(tmp_path)
    assert [r.name for r in one.records] == ["a/s/1.tif", "a/t/1.tif", "b/s/1.tif", "c/a/s/1.tif"]
    assert [r.id for r in one.records] == ["a/s/1.tif", "t/1.tif", "b/s/1.tif", "c/a/s/1.tif"]
    two = analyze([tmp_path / "a", tmp_path / "b"])
    assert [r.name for r in two.records] == ["a/s/1.tif", "a/t/1.tif", "b/s/1.tif"]
    assert [r.id for r in two.records] == ["a/s/1.tif", "t/1.tif", "b/s/1.tif"]
    named = analyze([tmp_path / "a/s/1.tif", tmp_path / "b/s/1.tif", tmp_path / "a/t"])
    assert [r.name for r in named.records] == ["s (1)/1.tif", "s (2)/1.tif", "t/1.tif"]
    alone = analyze([tmp_path / "a" / "s", tmp_path / "c"])
    assert [(r.name, r.id) for r in alone.records] == [("1.tif", "1.tif"), ("a/s/1.tif", "s/1.tif")]
    assert [flag.slices for flag in two.flags if flag.rule.key == "duplicate"] == []


def test_a_broken_overview_is_noted(tmp_path: Path) -> None:
    write_image(tmp_path / "a.tif", body(), units="hu")
    (tmp_path / "overview.csv").write_text("a,b\n1,2\n")
    assert "overview.csv was not used" in analyze(tmp_path).collection.notes[0]


def test_empty_folder_and_missing_input(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no images found"):
        analyze(tmp_path)
    with pytest.raises(UsageError, match="does not exist"):
        analyze(tmp_path / "nothing")


def test_group_counts_are_all_pixels_of_the_class(analysis: Analysis) -> None:
    total = sum(d.total for d in analysis.pixels.values())
    assert total == sum(int(r.stats["pixels"] or 0) for r in analysis.collection.hu)
    assert list(analysis.pixels) == ["contrast", "no contrast", "no class"]


@pytest.mark.parametrize("ties", [False, True])
def test_auc_is_that_of_mann_whitney(ties: bool, rng: np.random.Generator) -> None:
    first, second = rng.normal(0.5, 1, 30), rng.normal(0, 1, 20)
    if ties:
        first, second = np.round(first), np.round(second)
    expected = stats.mannwhitneyu(first, second).statistic / (30 * 20)
    assert auc(first, second) == pytest.approx(expected)


def test_what_separates_phantoms_with_and_without_contrast(tmp_path: Path) -> None:
    write_set(tmp_path / "set", count=24, seed=3, size=96, dicom=False)
    separated = analyze(tmp_path / "set").separations
    assert separated is not None
    assert separated[0] == ("contrast", "no contrast")
    band = next(s for s in separated[1] if s.key == "contrast_band_share")
    assert band.auc > 0.9
    assert not band.confound


def test_csv_and_json_hold_everything(analysis: Analysis, tmp_path: Path) -> None:
    text = analysis.table.to_csv(tmp_path / "a.csv")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert (tmp_path / "a.csv").read_text() == text
    assert [r["file"] for r in rows] == [r.name for r in analysis.records]
    assert float(rows[0]["mean"]) == analysis.records[0].stats["mean"]
    data = json.loads(analysis.to_json(tmp_path / "a.json"))
    assert len(data["slices"]) == len(rows)
    assert data["unread"][0]["name"] == "broken.tif"
    assert {"key", "threshold", "source", "value", "slices"} <= set(data["flags"][0])
    assert "not a medical device" in data["notice"]


def test_csv_cells_are_no_formulas(tmp_path: Path) -> None:
    write_image(tmp_path / "=cmd|' !A1.tif", body(), units="hu")
    assert "'=cmd|" in analyze(tmp_path).table.to_csv()


def test_notebook_view_is_escaped(analysis: Analysis) -> None:
    view = analysis._repr_html_()
    assert "<table>" in view
    assert "<img" not in view
    assert "&lt;img src=x" in view
    assert len(analysis.table) == len(list(analysis.table)) == len(analysis.table.column("mean"))
