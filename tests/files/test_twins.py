"""A slice that lies there as TIFF and as DICOM under one name of the Kaggle set is one slice."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctfast import Pipeline, Step
from ctfast.analysis import analyze
from ctfast.files import find_images
from ctfast.files.twins import without_twins
from ctfast.runner import run
from ctfast.tools.synth import write_set


@pytest.fixture(scope="module")
def kaggle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("twins") / "set"
    write_set(folder, count=3, size=64)
    return folder


@pytest.mark.parametrize(("keep_dicom", "kept", "left"), [(True, ".dcm", "DICOM"), (False, ".tif", "TIFF")])
def test_one_file_a_slice(kaggle: Path, keep_dicom: bool, kept: str, left: str) -> None:
    found = without_twins(find_images([kaggle]), keep_dicom=keep_dicom)
    assert [item.path.suffix for item in found.items] == [kept] * 3
    assert sum(f"of a slice whose {left}{' file' * keep_dicom} was taken" in i.reason for i in found.ignored) == 3


def test_folders_that_are_named_both_stay(kaggle: Path) -> None:
    both = find_images([kaggle / "tiff_images", kaggle / "dicom_dir"])
    assert without_twins(both, keep_dicom=True) == both


def test_files_side_by_side_are_twins_and_other_names_are_not(kaggle: Path, tmp_path: Path) -> None:
    tiff, dicom = (sorted((kaggle / name).iterdir())[0] for name in ("tiff_images", "dicom_dir"))
    for path, names in ((tiff, (tiff.name, "other.tif")), (dicom, (dicom.name, "other.dcm"))):
        for name in names:
            (tmp_path / name).write_bytes(path.read_bytes())
    found = without_twins(find_images([tmp_path]), keep_dicom=False)
    assert sorted(item.path.name for item in found.items) == sorted([tiff.name, "other.tif", "other.dcm"])


def test_run_and_report_count_slices(kaggle: Path, tmp_path: Path) -> None:
    report = run(kaggle, tmp_path / "out", Pipeline([Step("median_filter", size=3)]))
    assert (report.ok, report.failed) == (3, 0)
    assert sorted(p.stem for p in (tmp_path / "out").rglob("*.tif")) == sorted(
        p.stem for p in (kaggle / "tiff_images").iterdir()
    )
    found = analyze(kaggle)
    assert [r.format for r in found.records] == ["dicom"] * 3
    assert len({r.facts["patient"] for r in found.records}) > 1
