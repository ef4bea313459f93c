"""A run that was moved goes on where it lies now: nothing is done again, and nothing is lost."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctfast import Pipeline
from ctfast.batch.places import found, noted
from ctfast.errors import UsageError
from ctfast.runner import Report, merge, read_rows, run

Make = Callable[..., Path]
INPUT_OF = {f"slice_{i:03d}.tif": f"../in/slice_{i:03d}.tif" for i in range(4)}


def lines_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]


def nothing_done(report: Report) -> None:
    assert (report.ok, report.failed, report.done_before, list(report.gone)) == (0, 0, 4, [])


@pytest.fixture
def project(make_folder: Make, tmp_path: Path, pipeline: Pipeline) -> Path:
    """Inputs and outputs of a run beside each other."""
    folder = tmp_path / "project"
    folder.mkdir()
    make_folder(4).rename(folder / "in")
    run(folder / "in", folder / "out", pipeline)
    return folder


def test_records_name_files_as_seen_from_their_folder(project: Path) -> None:
    out = project / "out"
    assert {line["output"]: line["input"] for line in lines_of(out)} == INPUT_OF
    with np.load(out / "statistics.npz") as archive, (out / "summary.csv").open(newline="") as table:
        assert archive["output"].tolist() == [row["output"] for row in csv.DictReader(table)] == list(INPUT_OF)
    rows = read_rows(out)
    assert all(Path(row["output"]).is_absolute() and Path(row["output"]).exists() for row in rows)
    assert [row["input"] for row in rows] == [str(project / "in" / name) for name in INPUT_OF]


@pytest.mark.parametrize("times", ["kept", "new"])
def test_inputs_and_outputs_moved_together(project: Path, tmp_path: Path, pipeline: Pipeline, times: str) -> None:
    now = tmp_path / "elsewhere" / "deeper"
    shutil.copytree(project, now, copy_function=shutil.copy2 if times == "kept" else shutil.copy)
    shutil.rmtree(project)
    if times == "new":
        for path in (now / "in").iterdir():
            os.utime(path, (1e9, 1e9))
    for verify in (False, False, True):
        nothing_done(run(now / "in", now / "out", pipeline, verify=verify))
    assert {line["output"]: line["input"] for line in lines_of(now / "out")} == INPUT_OF
    with np.load(now / "out" / "statistics.npz") as archive:
        assert len(archive["counts"]) == 4


def test_outputs_and_inputs_moved_to_different_places(project: Path, tmp_path: Path, pipeline: Pipeline) -> None:
    (tmp_path / "far" / "away").mkdir(parents=True)
    images, out = tmp_path / "images", tmp_path / "far" / "away" / "out"
    shutil.move(project / "in", images)
    shutil.move(project / "out", out)
    nothing_done(run(images, out, pipeline))
    assert [line["input"] for line in lines_of(out)] == [f"../../../images/{name}" for name in INPUT_OF]
    (images / "slice_001.tif").write_bytes((images / "slice_002.tif").read_bytes())
    assert run(images, out, pipeline).ok == 1, "the name and size alone do not tell"


def test_another_file_of_that_name_and_time_is_done(project: Path, tmp_path: Path, pipeline: Pipeline) -> None:
    shutil.copytree(project / "in", tmp_path / "other")
    names = sorted(INPUT_OF)
    for name, content in zip(names, [*names[1:], names[0]]):
        path, status = tmp_path / "other" / name, (project / "in" / name).stat()
        path.write_bytes((project / "in" / content).read_bytes())
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    shutil.rmtree(project / "in")
    assert run(tmp_path / "other", project / "out", pipeline).ok == 4


def test_manifests_of_earlier_versions_name_files_in_full(project: Path, pipeline: Pipeline) -> None:
    out = project / "out"
    for name in ("manifest.jsonl", "statistics.jsonl"):
        lines = [json.loads(line) for line in (out / name).read_text().splitlines()]
        for line in lines:
            line.update({key: found(line[key], str(out)) for key in ("input", "output") if key in line})
        (out / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert lines_of(out)[0]["output"] == str(out / "slice_000.tif")
    (out / "statistics.npz").unlink()
    nothing_done(run(project / "in", out, pipeline))
    assert {line["output"]: line["input"] for line in lines_of(out)} == INPUT_OF
    with np.load(out / "statistics.npz") as archive:
        assert archive["output"].tolist() == list(INPUT_OF)


def test_moved_shards_are_merged(make_folder: Make, tmp_path: Path, pipeline: Pipeline) -> None:
    folder = make_folder(4)
    run(folder, tmp_path / "out", pipeline, shard=(1, 2))
    shutil.move(tmp_path / "out", tmp_path / "now")
    run(folder, tmp_path / "now", pipeline, shard=(2, 2))
    assert merge(tmp_path / "now").files == {"ok": 4}
    assert sorted(line["output"] for line in lines_of(tmp_path / "now")) == list(INPUT_OF)
    nothing_done(run(folder, tmp_path / "now", pipeline))


def test_outputs_that_were_lost_on_the_way_are_made_again(project: Path, tmp_path: Path, pipeline: Pipeline) -> None:
    shutil.move(project, tmp_path / "now")
    (tmp_path / "now" / "out" / "slice_002.tif").unlink()
    report = run(tmp_path / "now" / "in", tmp_path / "now" / "out", pipeline)
    assert (report.ok, report.done_before) == (1, 3)


@pytest.mark.parametrize(
    ("path", "folder", "name"),
    [
        ("/a/out/s/x.tif", "/a/out", "s/x.tif"),
        ("/a/in/x.dcm", "/a/out", "../in/x.dcm"),
        ("/a/in/x.h5::/y/z", "/a/b/out", "../../in/x.h5::/y/z"),
        ("/b/in/x.dcm", "/a/out", "/b/in/x.dcm"),
        ("/x.dcm", "/a", "/x.dcm"),
        ("/a/outside/x", "/a/out", "../outside/x"),
        ("s3://a/in/x.dcm", "s3://a/out", "../in/x.dcm"),
        ("s3://b/in/x.dcm", "s3://a/out", "s3://b/in/x.dcm"),
        ("/a/in/x.dcm", "s3://a/out", "/a/in/x.dcm"),
        ("s3://a/in/x.dcm", "/a/out", "s3://a/in/x.dcm"),
        ("", "/a/out", ""),
    ],
)
def test_names(path: str, folder: str, name: str) -> None:
    assert noted(path, folder) == name
    assert found(name, folder) == path


@pytest.mark.parametrize("changes", [{}, {"verify": True}, {"resume": False}], ids=str)
def test_outputs_of_other_inputs_are_not_replaced(
    project: Path, make_folder: Make, pipeline: Pipeline, changes: dict[str, Any]
) -> None:
    """Folders of two patients may hold the same names."""
    out, before = project / "out", (project / "out" / "slice_000.tif").read_bytes()
    other = make_folder(4).rename(project / "other")
    for path in other.iterdir():
        path.write_bytes((project / "in" / "slice_003.tif").read_bytes())
    with pytest.raises(UsageError, match=r"slice_00\d.tif was made of .*in/slice_00\d.tif, which is still there"):
        run(other, out, pipeline, **changes)
    assert (out / "slice_000.tif").read_bytes() == before
    assert run(other, out, pipeline, overwrite=True).ok == 4
    assert (out / "slice_000.tif").read_bytes() != before
    shutil.rmtree(other)
    assert run(project / "in", out, pipeline).ok + 1 == 4, "of what is gone nothing is held"
