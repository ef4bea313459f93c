"""One line an input, whatever killed processes, other containers and earlier versions left in the folder."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctfast import Pipeline
from ctfast.errors import UsageError
from ctfast.files import write_image
from ctfast.runner import plan, run
from ctfast.runner.manifest import read_rows
from ctfast.runner.planning import write_run_file

Make = Callable[..., Path]


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def rewritten(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(change(line)) + "\n" for line in lines_of(path)))


def test_what_a_killed_process_left_is_never_taken_in(make_folder: Make, tmp_path: Path, pipeline: Pipeline) -> None:
    """Containers often give every run the same process id, so names that hold it come back."""
    folder, out = make_folder(4), tmp_path / "out"
    out.mkdir()
    stale = json.dumps({"output": str(out / "slice_000.tif"), "input": "x", "status": "failed", "error": "killed"})
    left = [
        out / f".{name}.{os.getpid()}{end}"
        for name in ("manifest.jsonl", "failures.csv", "run.json", "statistics.npz", "summary.csv")
        for end in ("", ".tmp")
    ]
    for path in [*left, out / f".ctfast-{'0' * 16}.tmp"]:
        path.write_text(stale + "\n")
    assert run(folder, out, pipeline).ok == 4
    assert [line["status"] for line in lines_of(out / "manifest.jsonl")] == ["ok"] * 4
    assert (out / "failures.csv").read_text().split() == ["input,error"]
    assert len(np.load(out / "statistics.npz")["frame"]) == 4
    assert len((out / "summary.csv").read_text().splitlines()) == 5


def test_two_writers_with_one_process_id(make_folder: Make, tmp_path: Path, pipeline: Pipeline) -> None:
    """Two threads stand for two containers with one folder."""
    the_plan = plan(make_folder(1), tmp_path / "out", pipeline)
    errors: list[BaseException] = []

    def write() -> None:
        try:
            for _ in range(300):
                write_run_file(the_plan)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert os.listdir(tmp_path / "out") == ["run.json"]


def test_a_half_line_is_cut_off_before_new_ones(make_folder: Make, tmp_path: Path, pipeline: Pipeline) -> None:
    folder, out = make_folder(3), tmp_path / "out"
    run(folder, out, pipeline, workers=1)  # so that both files end with the same slice
    for name in ("manifest.jsonl", "statistics.jsonl"):
        with (out / name).open("r+b") as file:
            file.truncate(file.seek(0, os.SEEK_END) - 7)
    report = run(folder, out, pipeline)
    assert (report.ok, report.done_before) == (1, 2)
    assert len(lines_of(out / "manifest.jsonl")) == len(lines_of(out / "statistics.jsonl")) == 3
    assert np.load(out / "statistics.npz")["counts"].shape == (3, 256)


def test_folders_of_earlier_versions_are_resumed(make_folder: Make, tmp_path: Path, pipeline: Pipeline) -> None:
    """They called the units ``values`` and did not note when a file was done."""
    folder, out = make_folder(3), tmp_path / "out"
    run(folder, out, pipeline)

    def older(line: dict[str, Any]) -> dict[str, Any]:
        return {"values" if k == "units" else k: v for k, v in line.items() if k != "started"}

    for name in ("manifest.jsonl", "statistics.jsonl"):
        rewritten(out / name, older)
    (out / "run.json").write_text(json.dumps(older(json.loads((out / "run.json").read_text()))))
    assert "values" in (out / "run.json").read_text()
    (out / "slice_001.tif").unlink()
    report = run(folder, out, pipeline)
    assert (report.ok, report.done_before) == (1, 2)
    assert {line["units"] for line in lines_of(out / "manifest.jsonl")} == {"hu"}
    assert all(line["values"] == line["units"] for line in lines_of(out / "manifest.jsonl"))
    assert len(np.load(out / "statistics.npz")["frame"]) == 3


def test_another_run_of_an_earlier_version_is_still_refused(
    make_folder: Make, tmp_path: Path, pipeline: Pipeline
) -> None:
    folder, out = make_folder(1), tmp_path / "out"
    run(folder, out, pipeline)
    data = json.loads((out / "run.json").read_text())
    (out / "run.json").write_text(json.dumps({**{k: v for k, v in data.items() if k != "units"}, "values": "stored"}))
    with pytest.raises(UsageError, match="units stored there, auto now"):
        run(folder, out, pipeline)


def test_the_latest_of_several_manifests_counts(make_folder: Make, tmp_path: Path, pipeline: Pipeline) -> None:
    """A file that changed after its shard was done is done again once, not in every run."""
    folder, out = make_folder(4), tmp_path / "out"
    for shard in ((1, 2), (2, 2)):
        run(folder, out, pipeline, shard=shard)
    write_image(folder / "slice_000.tif", np.zeros((7, 7), np.int16), units="hu")
    assert run(folder, out, pipeline).ok == 1
    again = run(folder, out, pipeline)
    assert (again.ok, again.done_before) == (0, 4)
    row = next(row for row in read_rows(out) if row["output"].endswith("slice_000.tif"))
    assert row["shape"] == [7, 7]
    [counts] = np.load(out / "statistics.npz")["counts"][:1]
    assert counts.sum() == 49
    write_image(folder / "slice_000.tif", np.zeros((5, 5), np.int16), units="hu")
    assert run(folder, out, pipeline, shard=(1, 2)).ok == 1
    assert run(folder, out, pipeline).ok == 0
    assert np.load(out / "statistics.npz")["counts"][0].sum() == 25


PLAIN = {**dict.fromkeys(("input", "error", "pipeline", "input_hash"), ""), "input_mtime": 0.0, "input_bytes": 0}
"""What the first versions wrote beside output and status."""


def test_between_lines_without_a_time_a_finished_file_counts(tmp_path: Path) -> None:
    for name, status in (("manifest.1-of-2.jsonl", "ok"), ("manifest.jsonl", "failed")):
        (tmp_path / name).write_text(json.dumps({**PLAIN, "output": "a", "status": status}) + "\n")
    assert [row["status"] for row in read_rows(tmp_path)] == ["ok"]


def test_read_rows_survives_half_lines(tmp_path: Path) -> None:
    line = json.dumps({**PLAIN, "output": "a", "status": "ok"})
    (tmp_path / "manifest.jsonl").write_text(f'{line}\n{{"output": "b", "sta')
    assert [row["output"] for row in read_rows(tmp_path)] == [str(tmp_path / "a")]


def test_names_that_are_no_text(make_folder: Make, tmp_path: Path, pipeline: Pipeline) -> None:
    """Linux allows any bytes in a file's name."""
    folder, out = make_folder(1), tmp_path / "out"
    odd = folder / os.fsdecode(b"od\xff.tif")
    odd.write_bytes((folder / "slice_000.tif").read_bytes())
    broken = folder / os.fsdecode(b"bad\xff.tif")
    broken.write_bytes(b"")
    report = run(folder, out, pipeline)
    assert (report.ok, report.failed) == (2, 1)
    assert run(folder, out, pipeline).done_before == 2
    assert str(odd) in [row["input"] for row in read_rows(out)]
    assert "bad\\udcff.tif" in (out / "failures.csv").read_text()
