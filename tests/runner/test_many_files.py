"""What a run keeps does not grow with the number of its files, whatever it is about: plans, records, tables."""

from __future__ import annotations

import os
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ctfast import Pipeline
from ctfast.runner import execute, merge, plan, read_rows, run, statistics
from ctfast.runner import index as indexes

Make = Callable[..., Path]


def links(folder: Path, files: int) -> Path:
    """Many names of one image."""
    folder.mkdir()
    original = folder / "0000000.npy"
    np.save(original, np.zeros((16, 16), np.int16))
    for k in range(1, files):
        os.link(original, folder / f"{k:07d}.npy")
    return folder


def kept(make: Callable[[], object]) -> int:
    """Bytes of what a call gives."""
    tracemalloc.start()
    try:
        result = make()
        size = tracemalloc.get_traced_memory()[0]
        del result
        return size - tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def test_a_plan_keeps_some_bytes_a_file(tmp_path: Path, pipeline: Pipeline) -> None:
    few, many = (links(tmp_path / str(files), files) for files in (1024, 3072))
    sizes = [kept(lambda folder=folder: plan(folder, tmp_path / "out", pipeline)) for folder in (few, few, many)]
    assert (sizes[2] - sizes[1]) / 2048 < 24


def test_records_of_many_runs_are_found_with_few_files_open(
    make_folder: Make, tmp_path: Path, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = make_folder(8), tmp_path / "out"
    run(folder, tmp_path / "whole", pipeline)
    for part in range(1, 5):
        run(folder, out, pipeline, shard=(part, 4))
    monkeypatch.setattr(indexes, "_MOST_OPEN", 2)
    resumed = plan(folder, out, pipeline)
    assert (len(resumed.tasks), resumed.done) == (0, 8)
    merge(out)
    assert sorted(row["input_hash"] for row in read_rows(out)) == sorted(
        row["input_hash"] for row in read_rows(tmp_path / "whole")
    )
    with np.load(out / "statistics.npz") as merged, np.load(tmp_path / "whole" / "statistics.npz") as whole:
        np.testing.assert_array_equal(merged["counts"], whole["counts"])


def test_lines_are_taken_the_quick_way_or_by_the_parser_alike(
    make_folder: Make, tmp_path: Path, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = make_folder(4), tmp_path / "out"
    (folder / "slice_001.tif").rename(folder / 'é "quoted" \udcff.tif')
    (folder / "broken.tif").write_bytes(b"II*\0broken")
    (folder / "notes.txt").write_text("no image")
    run(folder, out, pipeline)
    with (out / "manifest.jsonl").open("ab") as file:
        file.write(b'{"input":"x","output":"y"\n\xff{}\n')
    lines = (out / "manifest.jsonl").read_bytes().splitlines(keepends=True)
    quick = [indexes._TODAY.fullmatch(line) is not None for line in lines]
    assert [quick.count(True), quick.count(False)] == [5, 3], lines
    found = []
    for pattern in (indexes._TODAY, re.compile(rb"never")):
        monkeypatch.setattr(indexes, "_TODAY", pattern)
        with indexes.indexed(out, str(out)) as index:
            index.add_statistics(out / "statistics.jsonl")
            rows = [*index.rows()], [*index.statistics()], [*index.not_among(())], index.done()
        assert [len(part) for part in rows[:3]] == [6, 4, 4]
        assert sorted(row["output"] for row in rows[2]) == sorted(map(str, out.glob("*.tif")))
        found.append(rows)
    assert found[0] == found[1]


def test_statistics_are_taken_the_quick_way_or_by_the_parser_alike(
    make_folder: Make, tmp_path: Path, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = make_folder(3), tmp_path / "out"
    np.save(folder / "several.npy", np.zeros((2, 16, 16), np.int16))
    run(folder, out, pipeline)
    found = []
    for mark in (statistics._COUNTS, b"never"):
        monkeypatch.setattr(statistics, "_COUNTS", mark)
        merge(out)
        with np.load(out / "statistics.npz") as archive:
            assert (archive["counts"].shape[0], archive["edges"].ndim) == (5, 1)
            found.append(({name: archive[name].tolist() for name in archive}, (out / "summary.csv").read_text()))
    assert found[0] == found[1]


def test_outputs_of_inputs_that_are_gone_are_told_of_a_shard_too(
    make_folder: Make, tmp_path: Path, pipeline: Pipeline
) -> None:
    folder, out = make_folder(6), tmp_path / "out"
    run(folder, out, pipeline)
    (folder / "slice_004.tif").unlink()
    again = plan(folder, out, pipeline, shard=(1, 2))
    assert ([*again.gone], again.done, len(again.tasks)) == ([str(folder / "slice_004.tif")], 3, 0)


def test_many_failures_and_lines_ahead(tmp_path: Path, pipeline: Pipeline) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for k in range(600):
        (folder / f"{k:04d}.tif").write_bytes(b"II*\0broken")
        (folder / f"{k:04d}.txt").write_bytes(b"no image")
    made = plan(folder, tmp_path / "out", pipeline)
    report = execute(made)
    assert (report.failed, report.ignored, len(report.failures)) == (600, 600, 600)
    assert {Path(row["input"]).name for row in report.failures} == {f"{k:04d}.tif" for k in range(600)}
    assert [len(report.to_dict()["failures"]), len(read_rows(tmp_path / "out"))] == [600, 1200]
