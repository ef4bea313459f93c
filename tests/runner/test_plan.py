"""What a run refuses before any work, and how it goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ctfast
from ctfast import Pipeline, Step
from ctfast.errors import UsageError
from ctfast.files import write_image
from ctfast.runner import plan, run
from ctfast.runner.manifest import read_rows
from ctfast.runner.options import parse_shard

Make = Callable[..., Path]

KILLED = 150
"""Files of the run that is killed: enough that it is never done before the kill."""


def test_out_inside_an_input_is_refused(make_folder: Make, pipeline: Pipeline) -> None:
    folder = make_folder(2)
    for out in (folder, folder / "out", folder / "a" / "b"):
        with pytest.raises(UsageError, match=r"is the input|lies inside the input"):
            run(folder, out, pipeline)
    assert len(list(folder.iterdir())) == 2


def test_two_inputs_for_one_output_are_refused(make_folder: Make, tmp_path: Path, pipeline: Pipeline) -> None:
    folder = make_folder(2)
    other = make_folder(1, name="other")
    with pytest.raises(UsageError, match="two inputs for one output"):
        run([folder, other], tmp_path / "out", pipeline)
    (folder / "SLICE_001.TIF").write_bytes((folder / "slice_001.tif").read_bytes())
    with pytest.raises(UsageError, match="two inputs"):
        run(folder, tmp_path / "out", pipeline)
    assert not (tmp_path / "out").exists()


def test_inputs_that_differ_in_their_extension_keep_it(make_folder: Make, tmp_path: Path, pipeline: Pipeline) -> None:
    folder = make_folder(2)
    write_image(folder / "slice_000.npy", np.ones((5, 5), np.int16))
    (folder / "slice_000").write_bytes((folder / "slice_001.tif").read_bytes())
    run(folder, tmp_path / "out", pipeline)
    outputs = {path.name for path in (tmp_path / "out").glob("*.tif")}
    assert outputs == {"slice_000.tif", "slice_000.tif.tif", "slice_000.npy.tif", "slice_001.tif"}


def test_an_output_that_is_an_input_is_refused(make_folder: Make, tmp_path: Path, pipeline: Pipeline) -> None:
    folder = make_folder(2)
    with pytest.raises(UsageError, match=r"is an input too|inside the input"):
        run(str(folder / "*.tif"), folder, pipeline)


def test_outputs_of_another_pipeline_are_refused(make_folder: Make, tmp_path: Path, pipeline: Pipeline) -> None:
    folder, out = make_folder(2), tmp_path / "out"
    run(folder, out, pipeline)
    other = Pipeline([Step("median_filter", size=5)])
    with pytest.raises(UsageError, match=f"pipeline {pipeline.hash} there, {other.hash} now"):
        run(folder, out, other)
    with pytest.raises(UsageError, match="compression none there, zlib now"):
        run(folder, out, pipeline, compression="zlib")
    assert run(folder, out, other, overwrite=True).ok == 2
    assert run(folder, out, other).done_before == 2


def test_files_that_are_not_ours_are_never_replaced(make_folder: Make, tmp_path: Path, pipeline: Pipeline) -> None:
    folder, out = make_folder(2), tmp_path / "out"
    out.mkdir()
    (out / "slice_001.tif").write_text("a thesis")
    with pytest.raises(UsageError, match="not ours"):
        run(folder, out, pipeline)
    assert (out / "slice_001.tif").read_text() == "a thesis"
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="is a file"):
        run(folder, tmp_path / "file", pipeline)


def test_nothing_to_do_is_said(tmp_path: Path, pipeline: Pipeline) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("x")
    with pytest.raises(UsageError, match=r"no images found.*1 x no image"):
        run(tmp_path / "in", tmp_path / "out", pipeline)
    with pytest.raises(UsageError, match="does not exist"):
        run(tmp_path / "nowhere", tmp_path / "out", pipeline)


def test_planning_does_nothing(make_folder: Make, tmp_path: Path, pipeline: Pipeline) -> None:
    the_plan = plan(make_folder(3), tmp_path / "out", pipeline)
    assert len(the_plan.tasks) == 3
    assert not (tmp_path / "out").exists()


def test_shards_share_a_folder_and_leave_nothing_out(make_folder: Make, tmp_path: Path, pipeline: Pipeline) -> None:
    folder, out = make_folder(11), tmp_path / "out"
    done = [run(folder, out, pipeline, shard=(i, 3)).ok for i in (1, 2, 3)]
    assert sorted(done) == [3, 4, 4]
    assert not (out / "manifest.jsonl").exists()
    closing = run(folder, out, pipeline)
    assert (closing.ok, closing.done_before) == (0, 11)
    rows = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    assert len({r["input"] for r in rows}) == len(rows) == 11
    assert np.load(out / "statistics.npz")["counts"].shape == (11, 256)


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "a/b", "1/0", "-1/4", "1/2/3"])
def test_bad_shards(text: str) -> None:
    with pytest.raises(UsageError, match="i/n"):
        parse_shard(text)


def test_a_changed_or_lost_file_is_done_again(make_folder: Make, tmp_path: Path, pipeline: Pipeline) -> None:
    folder, out = make_folder(4), tmp_path / "out"
    run(folder, out, pipeline)
    (out / "slice_002.tif").unlink()
    write_image(folder / "slice_003.tif", np.zeros((7, 7), np.int16), units="hu")
    report = run(folder, out, pipeline)
    assert (report.ok, report.done_before) == (2, 2)
    assert run(folder, out, pipeline, resume=False).ok == 4


def test_a_killed_run_goes_on_without_loss(make_folder: Make, tmp_path: Path) -> None:
    """SIGKILL in the middle, in processes: no orphan, no half file, finished files are not done again."""
    folder, out = make_folder(KILLED, size=300), tmp_path / "out"
    command = [
        *(sys.executable, "-m", "ctfast", "run", str(folder), "--out", str(out)),
        *("--step", "median_filter size=51", "--step", "summary", "--workers", "2", "--pool", "processes"),
    ]
    root = Path(ctfast.__file__).parents[1]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root / "kernels"), str(root)])}
    victim = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and len(read_rows(out)) < 5:
        time.sleep(0.01)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    before = read_rows(out)
    assert 5 <= len(before) < KILLED
    stamps = {r["output"]: os.stat(r["output"]).st_mtime_ns for r in before}
    (out / f".ctfast-{'0' * 16}.tmp").write_text("what a killed process often leaves")
    time.sleep(0.5)
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(before)} done before" in " ".join(done.stdout.split())
    for output, stamp in stamps.items():
        assert os.stat(output).st_mtime_ns == stamp, "done twice"
    rows = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    assert len(rows) == KILLED
    assert {r["status"] for r in rows} == {"ok"}
    assert len(list(out.glob("slice_*.tif"))) == KILLED
    assert not list(out.glob(".*")), "what was being written is removed"
    assert len((out / "summary.csv").read_text().splitlines()) == KILLED + 1
