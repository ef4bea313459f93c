"""``ulimit -v`` and ``-d``: enough, or one line and exit code 3; nothing hangs, and no file is noted as broken."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ctfast.batch.address_space import Need
from ctfast.batch.machine import machine_error
from ctfast.batch.reasons import reason
from ctfast.batch.stamp import read_once
from ctfast.errors import MachineError
from ctfast.files import write_image
from ctfast.runner.manifest import read_rows
from tests.runner.commands import assert_one_line, command, ended_alone, limited

Make = Callable[..., Path]
LEAST = {"RLIMIT_AS": Need.KERNELS.megabytes, "RLIMIT_DATA": Need.KERNELS.data_megabytes}
COMMANDS = {"RLIMIT_AS": "ulimit -v", "RLIMIT_DATA": "ulimit -d"}


@pytest.mark.parametrize(
    ("what", "short"),
    # 305 to 345 MB were the worst: make reliability has the band
    [("RLIMIT_AS", 600), ("RLIMIT_AS", 340), ("RLIMIT_AS", 1), ("RLIMIT_DATA", 390), ("RLIMIT_DATA", 1)],
)
def test_too_little_memory(make_folder: Make, tmp_path: Path, what: str, short: int) -> None:
    """Whatever the limit: refused before anything is loaded, because then libraries fail where and how they like."""
    folder, out = make_folder(4), tmp_path / "out"
    done = ended_alone(command(folder, out, "--pool", "processes", start=limited(LEAST[what] - short, what)))
    assert_one_line(done, "not enough memory", f"takes {LEAST[what]}", COMMANDS[what])
    assert not out.exists()


@pytest.mark.parametrize(
    ("pool", "what"), [("threads", "RLIMIT_AS"), ("processes", "RLIMIT_AS"), ("threads", "RLIMIT_DATA")]
)
def test_what_is_needed_is_enough(make_folder: Make, tmp_path: Path, pool: str, what: str) -> None:
    folder, out = make_folder(4), tmp_path / "out"
    steps = ("--step", "median_filter size=5", "--step", "clahe", "--step", "histogram bins=32 value_range=0,256")
    done = ended_alone(command(folder, out, "--pool", pool, *steps, start=limited(LEAST[what], what)))
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


@pytest.mark.parametrize("pool", ["threads", "processes"])
def test_too_little_memory_for_the_images(tmp_path: Path, pool: str) -> None:
    """Some of them may be done; none that is small enough for every computer is broken for want of memory.

    Nothing is compiled yet, where threads share the room: Numba and LLVM end badly beside images that take it.
    """
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for k in range(3):
        write_image(folder / f"{k}.tif", np.full((5500, 5500), k, np.int16), units="hu")
    words = command(folder, out, "--pool", pool, "--step", "gaussian_filter sigma=2", start=limited(LEAST["RLIMIT_AS"]))
    done = ended_alone(words, **({"NUMBA_CACHE_DIR": str(tmp_path / "compiled")} if pool == "threads" else {}))
    assert done.returncode in (0, 3), done.stderr
    assert len(done.stderr.splitlines()) == (done.returncode == 3), done.stderr
    assert {row["status"] for row in read_rows(out)} <= {"ok"}


def test_memory_for_a_small_file_is_asked_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path := tmp_path / "a.tif").write_bytes(b"II")

    def no_memory(*_: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr("os.read", no_memory)
    with pytest.raises(MachineError, match="not enough memory"):
        read_once(str(path))


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
