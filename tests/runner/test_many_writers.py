"""Several runs fill one output folder at once, and some are killed: no line is lost."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ctfast
from ctfast import Pipeline, Step
from ctfast.errors import UsageError
from ctfast.runner import execute, plan, run
from ctfast.runner.manifest import read_rows

Make = Callable[..., Path]
RUNS, FILES, KILLED = 8, 6, 3

# The runs meet at a barrier after their first file, so that all are at work at once; one kills itself after its third.
SCRIPT = f"""
import multiprocessing, os, signal, sys
import numpy as np
from ctfast import Pipeline, Step
from ctfast.runner import run

PIPELINE = Pipeline([Step("window", center=0, width=400, dtype="uint8"), Step("histogram", value_range=(0, 256))])

def one(number, folder, out, barrier):
    def progress(*, done, failed):
        if done == 1:
            barrier.wait(60)
        if done == 3 and number == {KILLED}:
            os.kill(os.getpid(), signal.SIGKILL)
    run(f"{{folder}}/{{number}}", out, PIPELINE, workers=1, progress=progress)

PIPELINE(np.zeros((24, 27), np.int16))  # loaded once for all
fork = multiprocessing.get_context("fork")
barrier = fork.Barrier({RUNS})
runs = [fork.Process(target=one, args=(n, *sys.argv[1:], barrier)) for n in range({RUNS})]
for process in runs:
    process.start()
for process in runs:
    process.join()
print([process.exitcode for process in runs])
"""


def numbered_folders(make_folder: Make, tmp_path: Path) -> list[Path]:
    """The same slices under other names in each folder."""
    slices = sorted(make_folder(FILES).iterdir())
    folders = [tmp_path / "all" / str(number) for number in range(RUNS)]
    for folder in folders:
        folder.mkdir(parents=True)
        for source in slices:
            (folder / f"{folder.name}_{source.name}").write_bytes(source.read_bytes())
    return folders


def contents(out: Path) -> dict[str, object]:
    """What a run leaves, without times and without the folder's own name."""
    rows = [
        {k: v for k, v in row.items() if not k.endswith("seconds") and k != "started"}
        | {"output": Path(row["output"]).name}
        for row in read_rows(out)
    ]
    archive = np.load(out / "statistics.npz")
    return {
        "rows": sorted(rows, key=lambda row: str(row["output"])),
        "counts": archive["counts"].tolist(),
        "images": [Path(name).name for name in archive["output"]],
        "summary": re.sub(r"[^\n,]*/", "", (out / "summary.csv").read_text()),
        "failures": (out / "failures.csv").read_text(),
        "outputs": {path.name: path.read_bytes() for path in out.glob("*.tif")},
        "names": sorted(path.name for path in out.iterdir()),
    }


def test_eight_runs_and_a_kill_leave_what_one_run_leaves(make_folder: Make, tmp_path: Path, pipeline: Pipeline) -> None:
    folders, out = numbered_folders(make_folder, tmp_path), tmp_path / "out"
    root = Path(ctfast.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(tmp_path / "all"), str(out)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root / "kernels"), str(root)])},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stdout.strip() == str([0] * KILLED + [-9] + [0] * (RUNS - KILLED - 1)), done.stdout + done.stderr
    finished = [row["output"] for row in read_rows(out)]
    assert len(finished) == RUNS * FILES - FILES + 3, "what was appended before the kill is there"
    again = run(folders, out, pipeline)
    assert (again.done_before, again.ok) == (len(finished), FILES - 3)
    run(folders, tmp_path / "alone", pipeline)
    assert contents(out) == contents(tmp_path / "alone")


def test_a_run_leaves_the_part_of_another_alone(make_folder: Make, tmp_path: Path, pipeline: Pipeline) -> None:
    """The inner run begins and ends while the outer one is at work."""
    first, second, out = make_folder(3, "first"), make_folder(4, "second"), tmp_path / "out"
    for path in second.iterdir():
        path.rename(second / f"second_{path.name}")

    def progress(*, done: int, failed: int) -> None:
        if done == 2:
            inner = run(second, out, pipeline)
            assert inner.ok == 4
            parts = list(out.glob("manifest.*.jsonl"))
            assert len(parts) == 1, "the outer one's"
            assert len((out / "manifest.jsonl").read_text().splitlines()) == 6, "what is done so far"

    assert run(first, out, pipeline, workers=1, progress=progress).ok == 3
    assert len((out / "manifest.jsonl").read_text().splitlines()) == 7
    assert len(np.load(out / "statistics.npz")["counts"]) == 7
    assert sorted(path.name for path in out.iterdir() if path.suffix != ".tif") == [
        *("failures.csv", "manifest.jsonl", "manifest.lock", "run.json"),
        *("statistics.jsonl", "statistics.npz", "summary.csv"),
    ]


@pytest.mark.parametrize("overwrite", [False, True])
def test_another_pipeline_at_the_same_time_is_refused(
    make_folder: Make, tmp_path: Path, pipeline: Pipeline, overwrite: bool
) -> None:
    folder, out = make_folder(2), tmp_path / "out"
    other = plan(folder, out, Pipeline([Step("median_filter", size=3)]), overwrite=overwrite)  # before there is a run

    def progress(*, done: int, failed: int) -> None:
        with pytest.raises(UsageError, match=r"is at work in|holds the outputs of another run"):
            execute(other)

    assert run(folder, out, pipeline, progress=progress).ok == 2
    assert {row["pipeline"] for row in read_rows(out)} == {pipeline.hash}


def test_a_shard_reads_its_own_lines_alone(make_folder: Make, tmp_path: Path, pipeline: Pipeline) -> None:
    """1 of 2 is no part of 1 of 20."""
    folder, out = make_folder(4), tmp_path / "out"
    run(folder, out, pipeline, shard=(1, 20))
    run(folder, out, pipeline, shard=(1, 2))
    run(folder, out, pipeline, shard=(2, 2))
    assert len(np.load(out / "statistics.2-of-2.npz")["counts"]) == 2
    assert len((out / "manifest.1-of-20.jsonl").read_text().splitlines()) == 1
    assert not (out / "statistics.npz").exists(), "a part must not look like the whole"
    run(folder, out, pipeline)
    assert (
        len(np.load(out / "statistics.npz")["counts"]) == len((out / "summary.csv").read_text().splitlines()) - 1 == 4
    )
