"""The computer fails: one line, what is safe, exit code 3; no file is noted as broken, the same command continues."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ctfast
from ctfast import Pipeline
from ctfast.batch.address_space import Need
from ctfast.batch.machine import machine_error
from ctfast.batch.reasons import reason
from ctfast.errors import MachineError
from ctfast.files import write_image
from ctfast.runner import run
from ctfast.runner.manifest import read_rows

Make = Callable[..., Path]
ROOT = Path(ctfast.__file__).parents[1]
FEW = 60

LIMITED = """
import resource, sys
what, value = sys.argv[1], int(sys.argv[2])
del sys.argv[1:3]
resource.setrlimit(getattr(resource, what), (value, value))
from ctfast.cli import main
main()
"""


def command(folder: Path, out: Path, *more: str, start: tuple[str, ...] = ("-m", "ctfast")) -> list[str]:
    return [
        *(sys.executable, *start, "run", str(folder), "--out", str(out), "--workers", "2"),
        *("--step", "window center=0 width=400 dtype=uint8", "--step", "summary", *more),
    ]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "kernels"), str(ROOT)]), "COLUMNS": "200"}


def ended(words: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    options = {"stdout": subprocess.PIPE, **options}
    return subprocess.run(
        words, stderr=subprocess.PIPE, text=True, check=False, env=environment(), timeout=100, **options
    )


def assert_one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 3, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


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


def limited(megabytes: int) -> tuple[str, ...]:
    return "-c", LIMITED, "RLIMIT_AS", str(megabytes << 20)


def left_of(session: int) -> list[str]:
    """Processes of a session; field 6 of their line in /proc, of which the name may hold blanks."""
    there = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended meanwhile
            state, *fields = path.read_text().rpartition(")")[2].split()
            if int(fields[2]) == session and state != "Z":
                there.append(path.parent.name)
    return there


def ended_alone(words: list[str]) -> subprocess.CompletedProcess[str]:
    """As ``ended``, and nothing is left behind."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(words, env=environment(), start_new_session=True, **pipes)
    try:
        said = process.communicate(timeout=100)
        deadline = time.monotonic() + 10  # helpers of Python's end when they see that we did
        while left_of(process.pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not left_of(process.pid)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(words, process.returncode, *said)


JUST_TOO_LITTLE = 0
"""Megabytes of address space, told from what is needed when the test runs."""


@pytest.mark.parametrize("megabytes", [60, 130, 180, 250, 305, 317, 329, 335, 345, 400, 500, 600, JUST_TOO_LITTLE])
def test_too_little_memory(make_folder: Make, tmp_path: Path, megabytes: int) -> None:
    """Whatever the limit: refused before anything is loaded, because then libraries fail where and how they like."""
    folder, out = make_folder(4), tmp_path / "out"
    start = limited(megabytes or Need.KERNELS.megabytes - 1)
    done = ended_alone(command(folder, out, "--pool", "processes", start=start))
    assert_one_line(done, "not enough memory", f"takes {Need.KERNELS.megabytes}", "ulimit -v")
    assert not out.exists()


@pytest.mark.parametrize("pool", ["threads", "processes"])
def test_what_is_needed_is_enough(make_folder: Make, tmp_path: Path, pool: str) -> None:
    folder, out = make_folder(4), tmp_path / "out"
    steps = ("--step", "median_filter size=5", "--step", "clahe", "--step", "histogram bins=32 value_range=0,256")
    done = ended_alone(command(folder, out, "--pool", pool, *steps, start=limited(Need.KERNELS.megabytes)))
    assert done.returncode == 0, done.stderr
    assert len(read_rows(out)) == 4


@pytest.mark.parametrize("name", ["train", "evaluate", "predict", "export", "doctor", "report", "merge"])
def test_every_command_asks_for_its_room(tmp_path: Path, name: str) -> None:
    """JAX ends the process, or a checkpoint seems to be broken, where a thread finds no room."""
    words = {"train": ["--out", "out"], "evaluate": [".", "--out", "out"], "predict": [".", "--csv", "out.csv"]}
    words |= {"export": ["out"], "doctor": [], "report": ["--out", "out.html"], "merge": []}
    place = [] if name == "doctor" else [str(tmp_path)]
    need = {"report": Need.KERNELS, "merge": Need.ARRAYS}.get(name, Need.NETWORK)
    assert_one_line(
        ended_alone([sys.executable, *limited(need.megabytes - 1), name, *place, *words[name]]), "ulimit -v"
    )
    assert not list(tmp_path.iterdir())


POOL_IN_A_SCRIPT = """
import resource, sys
from ctfast import Pipeline
from ctfast.errors import MachineError
from ctfast.runner import run
if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (330 << 20,) * 2)
    try:
        pipeline = Pipeline.from_dict({"steps": [{"operation": "summary"}]})
        run(sys.argv[1], sys.argv[2], pipeline, pool="processes", workers=2)
    except MachineError as error:
        print(error)
"""


def test_too_little_memory_for_processes_of_a_script(make_folder: Make, tmp_path: Path) -> None:
    (script := tmp_path / "script.py").write_text(POOL_IN_A_SCRIPT)
    done = ended_alone([sys.executable, str(script), str(make_folder(4)), str(tmp_path / "out")])
    assert (done.returncode, done.stderr) == (0, "")
    assert "limited to 330 MB" in done.stdout
    assert not read_rows(tmp_path / "out")


@pytest.mark.parametrize("pool", ["processes"])  # threads may hang while they compile: docs/reliability.md
def test_too_little_memory_for_the_images(tmp_path: Path, pool: str) -> None:
    """Some of them may be done; none that is small enough for every computer is broken for want of memory."""
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for k in range(3):
        write_image(folder / f"{k}.tif", np.full((5500, 5500), k, np.int16), units="hu")
    step = ("--step", "gaussian_filter sigma=2")
    done = ended_alone(command(folder, out, "--pool", pool, *step, start=limited(Need.KERNELS.megabytes)))
    assert done.returncode in (0, 3), done.stderr
    assert "Traceback" not in done.stderr
    assert {row["status"] for row in read_rows(out)} <= {"ok"}


def test_memory_for_a_large_image_is_asked_of_the_file() -> None:
    """One that is too large for this computer is listed, and the others are done."""
    assert machine_error(MemoryError(), 64 << 20) is not None
    assert machine_error(MemoryError(), 65 << 20) is None
    assert machine_error(MemoryError()) is None
    wanted = MemoryError()
    wanted.shape, wanted.dtype = (1 << 13, 1 << 12), np.dtype(np.int16)  # type: ignore[attr-defined]
    assert machine_error(wanted) is not None
    wanted.shape = (1 << 14, 1 << 13)  # type: ignore[attr-defined]
    assert machine_error(wanted) is None
    assert "fewer --workers" in reason(MemoryError())


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
