"""A run on dask.distributed is a plain run: outputs, records, and what happens to files that kill their worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ctfast
from ctfast import Pipeline, Step
from ctfast.batch import cluster
from ctfast.errors import MachineError, MissingDependencyError, UsageError
from ctfast.runner import RunOptions, run
from ctfast.runner.cluster import problem_of
from ctfast.runner.settings import Settings
from tests.dask_cluster import Running, environment

Make = Callable[..., Path]
distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")


def records(out: Path) -> Any:
    lines = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    rows = [{k: v for k, v in line.items() if "seconds" not in k and k != "started"} for line in lines]
    names = ("summary.csv", "failures.csv", *(str(path.relative_to(out)) for path in sorted(out.rglob("*.tif"))))
    with np.load(out / "statistics.npz") as archive:
        numbers = {name: archive[name].tolist() for name in archive.files}
    return rows, {name: (out / name).read_bytes() for name in names}, numbers


def test_a_cluster_gives_what_a_plain_run_gives(
    dask: Running, make_folder: Make, tmp_path: Path, pipeline: Pipeline
) -> None:
    """One worker is killed while it is at work: what it was given is done by the other, and nothing twice or not."""
    folder = make_folder(40)
    (folder / "bad.tif").write_bytes(b"II*\0broken")
    (folder / "note.txt").write_text("x")
    run(folder, tmp_path / "plain", pipeline)
    victim = dask.worker()
    dask.worker()
    seen: list[int] = []

    def progress(done: int, **_: Any) -> None:
        if not seen:
            victim.send_signal(signal.SIGKILL)
        seen.append(done)

    report = run(folder, tmp_path / "out", pipeline, cluster=dask.address, progress=progress)
    assert (report.ok, report.failed, report.ignored, report.workers) == (40, 1, 1, 2)
    assert seen == sorted(seen)
    assert seen[-1] == 41
    assert records(tmp_path / "out") == records(tmp_path / "plain")
    again = run(folder, tmp_path / "out", pipeline, cluster=dask.address)
    assert (again.ok, again.done_before, again.failed) == (0, 40, 1)


def test_a_file_that_kills_its_worker_is_named_and_the_others_are_done(
    dask: Running, make_folder: Make, tmp_path: Path, pipeline: Pipeline
) -> None:
    folder = make_folder(16)
    (tmp_path / "killer").mkdir()
    (tmp_path / "killer" / "sitecustomize.py").write_text(
        "import os, ctfast.files as f\n"
        "read = f.read_image\n"
        "def die(path, **more):\n"
        "    if 'slice_003' in str(path): os._exit(139)\n"
        "    return read(path, **more)\n"
        "f.read_image = die\n"
    )
    path = os.pathsep.join([str(tmp_path / "killer"), environment()["PYTHONPATH"]])
    for _ in range(3):  # two of which it kills: with others, and alone
        dask.worker(PYTHONPATH=path)
    report = run(folder, tmp_path / "out", pipeline, cluster=dask.address)
    assert (report.ok, report.failed) == (15, 1)
    assert "process that read this file died" in report.failures[0]["error"]
    assert report.failures[0]["input"].endswith("slice_003.tif")


def test_workers_that_do_not_fit_are_refused(
    dask: Running, make_folder: Make, tmp_path: Path, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder(2)
    with pytest.raises(UsageError, match="has no workers: start some with `dask worker tcp://"):
        run(folder, tmp_path / "out", pipeline, cluster=dask.address)
    dask.worker()
    with monkeypatch.context() as patched:
        patched.setattr(cluster, "__version__", "9.9.9")
        with pytest.raises(UsageError, match=rf"has ctfast {ctfast.__version__}, this is 9\.9\.9: install the same"):
            run(folder, tmp_path / "out", pipeline, cluster=dask.address)
    assert not (tmp_path / "out").exists()
    (tmp_path / "empty" / "numba").mkdir(parents=True)
    (tmp_path / "empty" / "ctfast.py").write_text("raise ImportError('no ctfast here')")
    path = os.pathsep.join([str(tmp_path / "empty"), environment()["PYTHONPATH"]])
    dask.worker(PYTHONPATH=path)
    with pytest.raises(UsageError, match=r"has no ctfast \(no ctfast here\)"):
        run(folder, tmp_path / "out", pipeline, cluster=dask.address)


def test_what_workers_do_not_see_is_told() -> None:
    settings = Settings(Pipeline([Step("median_filter", size=3)]), "cpu")
    assert "workers need a disk that they share" in problem_of(settings, ["/nowhere/a.dcm"])
    assert "gs:// needs gcsfs" in problem_of(settings, ["gs://bucket/a.dcm"])


def test_a_scheduler_that_is_not_there(
    make_folder: Make, tmp_path: Path, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_SECONDS", 1)
    folder = make_folder(1)
    with pytest.raises(MachineError, match=r"cluster='tcp://127\.0\.0\.1:9' can't be reached: .*`dask scheduler`"):
        run(folder, tmp_path / "out", pipeline, cluster="tcp://127.0.0.1:9")
    with pytest.raises(UsageError, match="local, or an address such as tcp://host:8786"):
        RunOptions(cluster="host")
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "ctfast\[cluster\]"'):
        run(folder, tmp_path / "out", pipeline, cluster="local")
    assert not (tmp_path / "out").exists()


def test_a_scheduler_that_goes_away_in_the_middle_loses_nothing(
    dask: Running, make_folder: Make, tmp_path: Path, pipeline: Pipeline
) -> None:
    folder = make_folder(40)
    dask.worker()

    def progress(**_: Any) -> None:
        dask.end()

    with pytest.raises(MachineError, match="then run the same command again"):
        run(folder, tmp_path / "out", pipeline, cluster=dask.address, progress=progress)
    report = run(folder, tmp_path / "out", pipeline)
    assert report.done_before >= 1
    assert report.ok + report.done_before == 40


def test_local_from_the_command_line(make_folder: Make, tmp_path: Path) -> None:
    folder = make_folder(6)
    command = [
        "run",
        str(folder),
        "--out",
        str(tmp_path / "out"),
        "--step",
        "median_filter size=3",
        "--step",
        "summary",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "ctfast", *command, "--cluster", "local", "--workers", "1"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=environment(),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 done, 0 failed" in " ".join(done.stdout.split())
    assert not done.stderr
    same = Pipeline([Step("median_filter", size=3), Step("summary")])
    assert run(folder, tmp_path / "out", same).done_before == 6
