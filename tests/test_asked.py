"""Modality and orientation: what is asked for and what is told is the same in run, report, train, evaluate, predict."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctfast import Pipeline, Step, runner
from ctfast.analysis import analyze
from ctfast.errors import UsageError
from ctfast.files.asked import in_plane, mixed_orientation
from ctfast.model.commands.predict import predict_files
from ctfast.model.data.dataset import load_dataset
from ctfast.model.data.preprocessing import Preprocessing
from ctfast.model.data.record import describe
from tests.files.files_build import dicom
from tests.model.serving_build import tiny_run

REASON = "modality PT, not CT (--modality PT takes it)"
PIPELINE = Pipeline([Step("median_filter", size=3)])
SUPINE, PRONE = (1, 0, 0, 0, 1, 0), (-1, 0, 0, 0, -1, 0)


def slice_of(path: Path, seed: int, orientation: tuple[int, ...] = SUPINE, **elements: Any) -> Path:
    pixels = np.random.default_rng(seed).integers(-200, 1000, (32, 32)).astype(np.int16)
    path.parent.mkdir(parents=True, exist_ok=True)
    place = {"ImageOrientationPatient": list(map(float, orientation)), "ImagePositionPatient": [0.0, 0.0, float(seed)]}
    elements = {"PixelSpacing": [1.0, 1.0], "PatientID": f"P{seed}", **place, **elements}
    return dicom(path, pixels, SOPInstanceUID=f"1.2.3.{seed + 1}", **elements)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two slices of each of two classes, one seen from the other side, and a PET slice."""
    for seed, name in enumerate(("a/0.dcm", "a/1.dcm", "b/2.dcm", "b/3.dcm")):
        slice_of(tmp_path / "in" / name, seed, PRONE if seed == 3 else SUPINE)
    slice_of(tmp_path / "in" / "a" / "pet.dcm", 9, Modality="PT", SOPClassUID="1.2.840.10008.5.1.4.1.1.128")
    return tmp_path / "in"


def test_words() -> None:
    assert [in_plane("LPS", ""), in_plane("RAS", "RAS to LPS"), in_plane(None, None)] == ["LP", "LP", ""]
    assert not mixed_orientation(Counter({"LP": 4, "": 3}))
    assert "to L, P in 4; to R, A in 1" in mixed_orientation(Counter({"RA": 1, "LP": 4, "": 3}))


def test_run(study: Path, tmp_path: Path) -> None:
    report = runner.run(study, tmp_path / "out", PIPELINE)
    assert (report.ok, [item.reason for item in report.left_out]) == (4, [REASON])
    assert "to L, P in 3; to R, A in 1" in report.mixed_orientation
    rows = [json.loads(line) for line in (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()]
    assert [row["error"] for row in rows if row["status"] == "skipped"] == [REASON]


def test_report(study: Path) -> None:
    analysis = analyze(study)
    assert [(Path(u.name).name, u.reason) for u in analysis.collection.ignored] == [("pet.dcm", REASON)]
    assert [flag.slices for flag in analysis.flags if flag.rule.key == "orientation"] == [(3,)]
    assert len(analyze(study, modality="CT,PT").records) == 5


def test_train(study: Path) -> None:
    dataset = load_dataset(study, preprocessing=Preprocessing(image_size=(32, 32)))
    assert (len(dataset), dataset.unread) == (4, ())
    assert describe(dataset)["left_out"] == [{"file": "a/pet.dcm", "reason": REASON}]
    assert any("to L, P in 3; to R, A in 1" in warning for warning in dataset.warnings)
    assert len(load_dataset(study, preprocessing=Preprocessing(image_size=(32, 32)), modality="any")) == 5


def test_predict(study: Path, tmp_path: Path) -> None:
    run = tiny_run()
    report = predict_files(run, study, tmp_path / "p.csv")
    assert (report.ok, report.failed, [item.reason for item in report.left_out]) == (4, 0, [REASON])
    assert any("to L, P in 3; to R, A in 1" in note for note in report.notes)
    with (tmp_path / "p.csv").open() as file:
        rows = {Path(row["file"]).name: row for row in csv.DictReader(file)}
    assert (rows["pet.dcm"]["prediction"], rows["pet.dcm"]["error"]) == ("", f"left out: {REASON}")
    again = predict_files(run, study, tmp_path / "p.csv", modality="any")
    assert (again.ok, again.done_before) == (1, 4)


def test_nothing_that_is_asked_for(study: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"modality CT, not MR"):
        analyze(study / "b", modality="MR")
    with pytest.raises(UsageError, match=r"modality CT, not MR"):
        load_dataset(study, preprocessing=Preprocessing(image_size=(32, 32)), modality="MR")
    from typer.testing import CliRunner

    from ctfast.cli import app

    given = ["run", str(study), "--out", str(tmp_path / "o"), "--modality", "MR", "--step", "median_filter size=3"]
    result = CliRunner().invoke(app, given)
    assert isinstance(result.exception, UsageError)
    assert "left out" in result.output
