"""The computer fails: one line, what is safe, exit code 3; no file is noted as broken, the same command continues."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ctfast import Pipeline
from ctfast.errors import MachineError
from ctfast.runner import run
from ctfast.runner.manifest import read_rows
from tests.runner.commands import LIMITED, assert_one_line, command, ended, environment

Make = Callable[..., Path]
FEW = 60


def assert_continues(folder: Path, out: Path, pipeline: list[str], files: int) -> None:
    assert {row["status"] for row in read_rows(out)} <= {"ok"}, "no file is noted as broken"
    done = ended(pipeline)
    assert done.returncode == 0, done.stderr
    assert len(read_rows(out)) == len(list(out.glob("*.tif"))) == files
    assert not list(out.glob(".*")) + list(out.glob("manifest.*.jsonl")) + list(out.glob("statistics.*.jsonl"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    """A file system of its own of 256 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("file systems can't be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk(make_folder: Make, small_disk: Path) -> None:
    folder, out = make_folder(FEW, size=64), small_disk / "out"
    words = command(folder, out, "--pool", "threads")
    assert_one_line(ended(words), "No space left on device", "make room", "done and recorded", "same command again")
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    assert_continues(folder, out, words, FEW)


def test_outputs_larger_than_files_may_be(make_folder: Make, tmp_path: Path) -> None:
    folder, out = make_folder(3, size=150), tmp_path / "out"
    ended(command(folder, tmp_path / "before"))  # compiled code is on the disk before files are limited
    done = ended(command(folder, out, start=("-c", LIMITED, "RLIMIT_FSIZE", "20000")))
    assert_one_line(done, "File too large", "ulimit -f")
    assert_continues(folder, out, command(folder, out), 3)


def test_too_few_open_files(make_folder: Make, tmp_path: Path) -> None:
    folder, out = make_folder(4), tmp_path / "out"
    done = ended(command(folder, out, "--pool", "processes", start=("-c", LIMITED, "RLIMIT_NOFILE", "10")))
    assert_one_line(done, "Too many open files", "ulimit -n")
    assert_continues(folder, out, command(folder, out), 4)


def test_a_folder_that_cannot_be_made(make_folder: Make) -> None:
    assert_one_line(ended(command(make_folder(2), Path("/proc/ctfast"))), "/proc/ctfast")


def test_stdout_on_a_full_disk(make_folder: Make, tmp_path: Path) -> None:
    folder, out = make_folder(3), tmp_path / "out"
    with open("/dev/full", "w") as full:
        assert_one_line(ended(command(folder, out), stdout=full), "the run is done", "No space left on device")
    assert len((out / "manifest.jsonl").read_text().splitlines()) == 3


def test_an_output_folder_that_is_moved_ends_the_run(make_folder: Make, tmp_path: Path, pipeline: Pipeline) -> None:
    folder, out = make_folder(20), tmp_path / "out"

    def progress(*, done: int, failed: int) -> None:
        if done >= 3 and out.exists():
            out.rename(tmp_path / "moved")

    with pytest.raises(MachineError, match="moved or removed"):
        run(folder, out, pipeline, workers=1, progress=progress)
    assert not out.exists()
    (tmp_path / "moved").rename(out)
    assert run(folder, out, pipeline).done_before >= 3


@pytest.mark.parametrize("pool", ["threads", "processes"])
@pytest.mark.parametrize(("number", "code", "word"), [(2, 130, "interrupted"), (15, 143, "terminated")])
def test_signals_end_a_run_with_one_line(
    make_folder: Make, tmp_path: Path, pool: str, number: int, code: int, word: str
) -> None:
    """Sent to the whole group, as a terminal and Slurm do."""
    folder, out = make_folder(600, size=200), tmp_path / "out"
    words = [*command(folder, out, "--pool", pool, "--step", "median_filter size=31")]
    running = subprocess.Popen(
        words, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while running.poll() is None and len(read_rows(out)) < 4:
        pass
    os.killpg(running.pid, signal.Signals(number))
    _, shown = running.communicate(timeout=60)
    # On a busy machine Python's own helper processes may add a line of theirs before it.
    assert "Traceback" not in shown, shown
    assert running.returncode == code
    rows = read_rows(out)
    assert 4 <= len(rows) < 600
    done = f"{len(rows)} of 600 files are done"
    assert shown.splitlines()[-1:] == [f"ctfast: {word}: {done}; run the same command again to continue"], shown
    assert {row["status"] for row in rows} == {"ok"}
    assert not list(out.glob(".*")), "what was in flight is finished or taken back"


def test_durable_flushes_outputs_and_records(
    make_folder: Make, tmp_path: Path, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed = []
    flush = os.fsync

    def record(number: int) -> None:
        flushed.append(os.readlink(f"/proc/self/fd/{number}"))
        flush(number)

    monkeypatch.setattr(
        os, "fsync", lambda number: (flushed.append(os.readlink(f"/proc/self/fd/{number}")), flush(number))
    )
    folder = make_folder(2)
    run(folder, tmp_path / "plain", pipeline)
    assert flushed == []
    run(folder, tmp_path / "out", pipeline, durable=True)
    names = [Path(name).name for name in flushed]
    assert sum(name.endswith(".tmp") for name in names) >= 4, "two outputs, run.json, manifest.jsonl"
    assert sum(name.startswith("manifest.") for name in names) >= 2
    assert names.count("out") >= 4, "their names"
