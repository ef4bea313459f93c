"""Shards of a run are put together without their inputs, and missing ones are named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ctfast import Pipeline, Step
from ctfast.errors import UsageError
from ctfast.runner import merge, run

Make = Callable[..., Path]
RECORDS = ("failures.csv", "summary.csv", "statistics.npz", "manifest.jsonl")


def records(out: Path) -> tuple[list[dict], str, str, dict[str, list]]:
    rows = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    for row in rows:
        for name in ("started", "read_seconds", "compute_seconds", "write_seconds", "output"):
            row.pop(name)
    with np.load(out / "statistics.npz") as archive:
        numbers = {name: archive[name].tolist() for name in archive.files if name != "output"}
    summary = (out / "summary.csv").read_text().replace(str(out), "")
    return rows, (out / "failures.csv").read_text(), summary, numbers


def test_merged_shards_are_a_whole_run(make_folder: Make, tmp_path: Path, pipeline: Pipeline) -> None:
    folder = make_folder(7)
    (folder / "bad.tif").write_bytes(b"II*\0 broken")
    run(folder, tmp_path / "whole", pipeline)
    out = tmp_path / "out"
    for number in (1, 3):
        run(folder, out, pipeline, shard=(number, 3))
    early = merge(out)
    assert early.missing == (2,)
    assert early.text().endswith("2 of 3 shards are there\nmissing: --shard 2/3; run them and merge again")
    run(folder, out, pipeline, shard=(2, 3))
    shutil.rmtree(folder)
    for _ in range(2):
        merged = merge(out)
        assert (merged.missing, merged.shards, merged.files) == ((), (1, 2, 3), {"ok": 7, "failed": 1})
        assert records(out) == records(tmp_path / "whole")


def test_a_killed_shard_is_missing_and_nothing_of_it_lost(
    make_folder: Make, tmp_path: Path, pipeline: Pipeline
) -> None:
    folder, out = make_folder(4), tmp_path / "out"
    run(folder, out, pipeline, shard=(1, 2))
    run(folder, out, pipeline, shard=(2, 2))
    (out / "manifest.2-of-2.jsonl").rename(out / "manifest.2-of-2.0123456789abcdef.jsonl")
    merged = merge(out)
    assert (merged.missing, merged.files) == ((2,), {"ok": 4})


def test_what_does_not_belong_together_is_refused(make_folder: Make, tmp_path: Path, pipeline: Pipeline) -> None:
    folder, out, other = make_folder(4), tmp_path / "out", tmp_path / "other"
    with pytest.raises(UsageError, match=r"holds no run\.json"):
        merge(tmp_path)
    run(folder, out, pipeline, shard=(1, 2))
    run(folder, other, Pipeline([Step("median_filter", size=3)]), shard=(2, 2))
    shutil.copy(other / "manifest.2-of-2.jsonl", out)
    with pytest.raises(UsageError, match=r"2-of-2\.jsonl is of pipeline .* move it away"):
        merge(out)
    (out / "manifest.2-of-2.jsonl").unlink()
    run(folder, out, pipeline, shard=(1, 3))
    with pytest.raises(UsageError, match="several divisions"):
        merge(out)


def test_shards_that_saw_different_files_are_told(make_folder: Make, tmp_path: Path, pipeline: Pipeline) -> None:
    """A file that comes between two shards moves the places of all behind it: some would be in neither part."""
    folder, out = make_folder(8), tmp_path / "out"
    run(folder, out, pipeline, shard=(1, 2))
    shutil.copy(next(folder.rglob("*.tif")), folder / "000.tif")
    run(folder, out, pipeline, shard=(2, 2))
    merged = merge(out)
    assert (merged.differ, merged.files["ok"] < 9) == (True, True)
    assert "different files" in merged.text()
    for number in (1, 2):
        run(folder, out, pipeline, shard=(number, 2))
    again = merge(out)
    assert (again.differ, again.missing, again.files) == (False, (), {"ok": 9})
    assert "different files" not in again.text()
