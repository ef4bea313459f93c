"""Files are replaced whole or not at all, by any number of writers, whatever a killed process left behind."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import ctfast
from ctfast.batch import atomic
from ctfast.batch.atomic import replacing, write_bytes, write_json, write_text


def test_readers_see_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with replacing(path) as file:
        file.write("new\r\nlines")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_bytes() == b"new\r\nlines"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(error), replacing(path, "wb") as file:  # noqa: PT012
        file.write(b"half")
        raise error
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_target_that_cannot_be_replaced_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "folder" / "full").mkdir(parents=True)
    with pytest.raises(OSError), replacing(tmp_path / "folder") as file:
        file.write("x")
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "nowhere" / "x"):
        pass
    assert os.listdir(tmp_path) == ["folder"]


def test_a_temporary_file_is_never_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if a killed process left one of the very same name."""
    monkeypatch.setattr(secrets, "token_hex", lambda n: "ab" * n)
    left = tmp_path / f".ctfast-{'ab' * 8}.tmp"
    left.write_text("from a killed process")
    with pytest.raises(FileExistsError):
        write_text(tmp_path / "a", "new")
    assert left.read_text() == "from a killed process"


def test_names_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    write_text(tmp_path / ("n" * 255), "x")
    assert os.listdir(tmp_path) == ["n" * 255]


def test_writers_at_the_same_time(tmp_path: Path) -> None:
    """All have one process id here, as two containers on one folder may have."""
    path, errors = tmp_path / "run.json", []

    def write(number: int) -> None:
        try:
            for _ in range(100):
                write_json(path, {"by": [number] * 50})
                assert len(set(json.loads(path.read_text())["by"])) == 1
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert os.listdir(tmp_path) == ["run.json"]


def test_a_kill_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    code = """
        import os, signal, sys
        from ctfast.batch.atomic import replacing
        with replacing(sys.argv[1]) as file:
            file.write("half")
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    """
    root = Path(ctfast.__file__).parents[1]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root / "kernels"), str(root)])}
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "a")]
    done = subprocess.run(command, env=env, check=False)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "a").read_text() == "old"
    write_text(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "new"


@pytest.mark.parametrize(
    ("write", "content"),
    [
        (lambda path: write_text(path, "ä\n"), "ä\n".encode()),
        (lambda path: write_bytes(path, b"\x00\xff"), b"\x00\xff"),
        (lambda path: write_json(path, {"a": [1]}, indent=None), b'{"a": [1]}\n'),
    ],
)
def test_whole_files_make_their_folder(tmp_path: Path, write: Callable[[Path], None], content: bytes) -> None:
    write(tmp_path / "new" / "deep" / "x")
    assert (tmp_path / "new" / "deep" / "x").read_bytes() == content


def test_durable_files_are_flushed_before_they_get_their_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(atomic.os, "fsync", lambda handle: (order.append("flush"), fsync(handle)))
    monkeypatch.setattr(atomic.os, "replace", lambda *names: (order.append("rename"), replace(*names)))
    write_json(tmp_path / "a", 1, durable=True)
    assert order == ["flush", "rename", "flush"]
    order.clear()
    write_json(tmp_path / "a", 1)
    assert order == ["rename"]


def test_files_have_the_rights_that_other_new_files_have(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    write_text(tmp_path / "ours", "")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes on Windows")
def test_a_pipe_or_a_device_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    atomic.write_text(pipe, "text")
    assert os.read(reader, 100) == b"text"
    os.close(reader)
    assert pipe.is_fifo()
    assert os.listdir(tmp_path) == ["pipe"]
