"""An output is what the manifest says: size and hash, of this input, by this pipeline; all else is done again."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctfast import Pipeline, Step
from ctfast.files import read_image, write_image
from ctfast.runner import run
from ctfast.runner.manifest import read_rows

Make = Callable[..., Path]
OTHER = Pipeline([Step("median_filter", size=3), Step("histogram", bins=16, value_range=(-1024, 3071))])
PLAIN = Pipeline([Step("median_filter", size=3)])


@pytest.mark.parametrize("format", ["tif", "npy", "nii", "png"])
def test_size_and_hash_are_in_the_manifest(make_folder: Make, tmp_path: Path, pipeline: Pipeline, format: str) -> None:
    run(make_folder(2), tmp_path / "out", pipeline, format=format)
    rows = read_rows(tmp_path / "out")
    assert len(rows) == 2
    for row in rows:
        data = Path(row["output"]).read_bytes()
        assert (row["output_bytes"], row["output_hash"]) == (len(data), hashlib.sha256(data).hexdigest())


def changed(path: Path, change: Callable[[bytes], bytes]) -> None:
    """Other contents, the same times."""
    status = path.stat()
    path.write_bytes(change(path.read_bytes()))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def test_damaged_outputs_are_made_again(make_folder: Make, tmp_path: Path, pipeline: Pipeline) -> None:
    folder, out = make_folder(5), tmp_path / "out"
    run(folder, out, pipeline)
    whole = {path.name: path.read_bytes() for path in out.glob("*.tif")}
    changed(out / "slice_000.tif", lambda data: data[:100])
    changed(out / "slice_001.tif", lambda data: b"")
    (out / "slice_002.tif").unlink()
    assert run(folder, out, pipeline).ok == 3
    assert {path.name: path.read_bytes() for path in out.glob("*.tif")} == whole
    changed(out / "slice_003.tif", flipped)
    assert run(folder, out, pipeline).done_before == 5, "the size alone does not tell"
    assert run(folder, out, pipeline, verify=True).ok == 1
    assert {path.name: path.read_bytes() for path in out.glob("*.tif")} == whole


def test_an_input_changed_with_its_time_kept_is_noticed_where_asked(
    make_folder: Make, tmp_path: Path, pipeline: Pipeline
) -> None:
    folder, out = make_folder(3), tmp_path / "out"
    run(folder, out, pipeline)
    changed(folder / "slice_001.tif", flipped)
    assert run(folder, out, pipeline).done_before == 3
    assert run(folder, out, pipeline, verify=True).ok == 1


def test_an_input_that_fails_now_leaves_no_output_to_collect(
    make_folder: Make, tmp_path: Path, pipeline: Pipeline
) -> None:
    folder, out = make_folder(3), tmp_path / "out"
    run(folder, out, pipeline)
    good, before = (folder / "slice_001.tif").read_bytes(), (out / "slice_001.tif").read_bytes()
    (folder / "slice_001.tif").write_bytes(good[:200])
    report = run(folder, out, pipeline)
    assert (report.done_before, report.failed) == (2, 1)
    assert report.failures[0]["error"].endswith("its earlier output is now slice_001.tif.stale")
    assert sorted(path.name for path in out.glob("*.tif")) == ["slice_000.tif", "slice_002.tif"]
    assert (out / "slice_001.tif.stale").read_bytes() == before
    assert len(np.load(out / "statistics.npz")["counts"]) == 2
    (folder / "slice_001.tif").write_bytes(good)
    assert run(folder, out, pipeline).ok == 1
    assert not (out / "slice_001.tif.stale").exists()


def test_deleted_inputs_are_told(make_folder: Make, tmp_path: Path, pipeline: Pipeline) -> None:
    folder, out = make_folder(3), tmp_path / "out"
    run(folder, out, pipeline)
    (folder / "slice_002.tif").unlink()
    report = run(folder, out, pipeline)
    assert (report.done_before, list(report.gone)) == (2, [str(folder / "slice_002.tif")])
    assert (out / "slice_002.tif").exists()


def state(out: Path) -> dict[str, Any]:
    with (out / "summary.csv").open(newline="") as file:
        summary = list(csv.DictReader(file))
    return {
        "pipelines": {row["pipeline"] for row in read_rows(out)},
        "run": json.loads((out / "run.json").read_text())["pipeline"],
        "listed": sorted(Path(row["output"]).name for row in read_rows(out)),
        "counts": np.load(out / "statistics.npz")["counts"].shape,
        "summary": len(summary),
        "files": sorted(path.name for path in out.iterdir() if "slice" in path.name),
    }


def test_overwriting_all_by_a_pipeline_without_statistics(
    make_folder: Make, tmp_path: Path, pipeline: Pipeline
) -> None:
    folder, out = make_folder(3), tmp_path / "out"
    run(folder, out, pipeline)
    assert run(folder, out, PLAIN, overwrite=True).ok == 3
    assert not list(out.glob("statistics*")) + list(out.glob("summary*")), "the other pipeline's"
    assert {row["pipeline"] for row in read_rows(out)} == {PLAIN.hash}
    assert not list(out.glob("*.stale"))


def test_overwriting_a_part_by_other_bins(make_folder: Make, tmp_path: Path, pipeline: Pipeline) -> None:
    folder, out = make_folder(3), tmp_path / "out"
    run(folder, out, pipeline)
    assert run(folder / "slice_001.tif", out, OTHER, overwrite=True).ok == 1
    assert state(out) == {
        "pipelines": {OTHER.hash},
        "run": OTHER.hash,
        "listed": ["slice_001.tif"],
        "counts": (1, 16),
        "summary": 1,
        "files": ["slice_000.tif.stale", "slice_001.tif", "slice_002.tif.stale"],
    }
    assert run(folder, out, OTHER).ok == 2
    assert state(out)["files"] == ["slice_000.tif", "slice_001.tif", "slice_002.tif"]
    assert state(out)["counts"] == (3, 16)


def test_overwriting_by_the_same_pipeline_keeps_the_others(
    make_folder: Make, tmp_path: Path, pipeline: Pipeline
) -> None:
    folder, out = make_folder(3), tmp_path / "out"
    run(folder, out, pipeline)
    write_image(folder / "slice_001.tif", np.full((9, 9), 50, np.int16), units="hu")
    assert run(folder / "slice_001.tif", out, pipeline, overwrite=True).ok == 1
    assert state(out)["counts"] == (3, 256)
    assert np.load(out / "statistics.npz")["counts"][1].sum() == 81
    assert read_image(out / "slice_001.tif").pixels.shape == (9, 9)
