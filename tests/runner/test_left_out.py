"""Nothing vanishes: every path that a run sees is in its manifest, done, failed or left out with the reason."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctfast import Pipeline
from ctfast.batch import limits
from ctfast.cli import app
from ctfast.errors import UsageError
from ctfast.files import read_image
from ctfast.runner import plan, run
from tests.files.files_build import data_set, dicom, save, slice_hu

Make = Callable[..., Path]


def rows_of(out: Path) -> dict[str, dict[str, Any]]:
    lines = (out / "manifest.jsonl").read_text().splitlines()
    rows = {os.path.basename(row["input"]): row for row in map(json.loads, lines)}
    assert len(rows) == len(lines)
    return rows


def test_every_path_has_a_row(make_folder: Make, tmp_path: Path, pipeline: Pipeline) -> None:
    folder, out = make_folder(2), tmp_path / "out"
    (folder / "notes.txt").write_text("text")
    (folder / "a.gif").write_bytes(b"GIF89a")
    (folder / "gone.dcm").symlink_to(tmp_path / "annex" / "gone.dcm")
    rt = "1.2.840.10008.5.1.4.1.1.481.3"
    ds = data_set(slice_hu(), SOPClassUID=rt, PixelData=None)
    ds.file_meta.MediaStorageSOPClassUID = rt
    save(ds, folder / "rs.dcm")
    for _ in range(2):  # what was left out or failed is asked about anew, and listed once
        report = run(folder, out, pipeline)
        assert (report.ok + report.done_before, report.failed, report.ignored) == (2, 1, 3)
        rows = rows_of(out)
        assert {name: row["status"] for name, row in rows.items()} == {
            "slice_000.tif": "ok",
            "slice_001.tif": "ok",
            "gone.dcm": "failed",
            "notes.txt": "skipped",
            "a.gif": "skipped",
            "rs.dcm": "skipped",
        }
        assert rows["rs.dcm"]["error"] == "DICOM RT structure set"
        assert rows["a.gif"]["error"] == "a GIF image (.gif)"
    assert "gone.dcm" in (out / "failures.csv").read_text()


def test_the_screen_counts_what_is_left_out(make_folder: Make, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    folder = make_folder(1)
    for name in ("a.txt", "b.txt"):
        (folder / name).write_text("text")
    for more in (["--dry-run"], []):
        command = ["run", str(folder), "--out", str(tmp_path / "out"), "--step", "median_filter size=3", *more]
        result = CliRunner().invoke(app, command, env={"COLUMNS": "200"})
        assert result.exit_code == 0
        assert "left out: 2 x no image (.txt)" in result.output


@pytest.mark.parametrize("pool", ["threads", "processes"])
def test_names_that_are_no_text_concern_their_file_alone(
    make_folder: Make, tmp_path: Path, pipeline: Pipeline, pool: str
) -> None:
    folder, out = make_folder(3), tmp_path / "out"
    odd = os.fsdecode(b"gr\xf6\xdfe.tif")
    os.rename(folder / "slice_001.tif", folder / odd)
    (folder / os.fsdecode(b"\xf6.tif")).write_bytes(b"broken")
    report = run(folder, out, pipeline, pool=pool, workers=2)
    assert (report.ok, report.failed) == (3, 1)
    assert (out / odd).exists()
    assert rows_of(out)[odd]["status"] == "ok"
    assert "udcf6" in (out / "failures.csv").read_text(encoding="utf-8")
    assert run(folder, out, pipeline).done_before == 3


def test_idle_workers_take_no_memory_from_a_file(
    make_folder: Make, tmp_path: Path, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "available_bytes", lambda: 8 << 30)
    folder = make_folder(2)
    assert plan(folder, tmp_path / "out", pipeline, workers=64).settings.max_bytes == 1 << 30
    assert plan(folder / "slice_000.tif", tmp_path / "out", pipeline, workers=64).settings.max_bytes == 2 << 30


def test_a_file_beyond_its_share_of_memory_says_what_to_do(
    make_folder: Make, tmp_path: Path, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder(1)
    np.save(folder / "large.npy", np.zeros((64 << 20) // 8 + 1, np.float64).reshape(1, -1))
    monkeypatch.setattr(limits, "available_bytes", lambda: 0)
    report = run(folder, tmp_path / "out", pipeline)
    assert [row["error"].endswith("(fewer --workers leave each file more memory)") for row in report.failures] == [True]


def test_geometry_is_in_the_manifest_and_in_the_outputs(tmp_path: Path, pipeline: Pipeline) -> None:
    (tmp_path / "in").mkdir()
    dicom(
        tmp_path / "in" / "x.dcm",
        slice_hu(),
        PixelSpacing=[0.7, 0.8],
        ImagePositionPatient=[-20, -30, 100],
        ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
        SliceThickness=5,
    )
    run(tmp_path / "in", tmp_path / "out", pipeline)
    row = rows_of(tmp_path / "out")["x.dcm"]
    assert (row["orientation"], row["affine"][2]) == ("LPS", [5, 0, 0, 100])
    written = read_image(tmp_path / "out" / "x.tif").geometry
    assert written is not None
    assert [list(numbers) for numbers in written.affine] == row["affine"]


def test_other_modalities_are_left_out_unless_asked_for(make_folder: Make, tmp_path: Path, pipeline: Pipeline) -> None:
    folder, out = make_folder(1), tmp_path / "out"
    for name in ("CT", "PT", "MR"):
        dicom(folder / f"{name}.dcm", slice_hu(), Modality=name)
    report = run(folder, out, pipeline)
    assert (report.ok, report.failed, report.ignored) == (2, 0, 2)
    row = rows_of(out)["PT.dcm"]
    assert (row["status"], row["error"]) == ("skipped", "modality PT, not CT (--modality PT takes it)")
    assert (run(folder, out, pipeline, modality="CT,PT").ok, rows_of(out)["PT.dcm"]["status"]) == (1, "ok")
    assert run(folder, out, pipeline, modality="any").ok == 1


@pytest.mark.parametrize("pool", ["threads", "processes"])
def test_axes_and_orientation_are_options_of_a_run(tmp_path: Path, pipeline: Pipeline, pool: str) -> None:
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / "x.npy", np.zeros((24, 24, 5), np.int16))
    assert run(tmp_path / "in", tmp_path / "a", pipeline, pool=pool).failed == 1
    run(tmp_path / "in", tmp_path / "b", pipeline, axes="last", pool=pool)
    assert rows_of(tmp_path / "b")["x.npy"]["shape"] == [5, 24, 24]
    with pytest.raises(UsageError, match="axes last there, auto now"):
        run(tmp_path / "in", tmp_path / "b", pipeline)
    with pytest.raises(UsageError, match="display, keep"):
        run(tmp_path / "in", tmp_path / "c", pipeline, orient="LPS")
