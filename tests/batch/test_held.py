"""What a killed process left is removed, what a living one writes is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ctfast.batch import atomic, held
from ctfast.batch.atomic import replacing
from ctfast.batch.held import left_alone, remove_leftovers
from ctfast.batch.listing import matching

WRITER = """
import sys, time
from ctfast.batch.atomic import replacing
with replacing(sys.argv[1], "wb") as file:
    file.write(b"half"); file.flush(); print("at work", flush=True); time.sleep(60)
"""


def temporary(folder: Path) -> list[Path]:
    return list(folder.glob(held.TEMPORARY))


def test_only_the_dead_ones_are_removed(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(atomic.__file__).parents[2])}
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "x")], stdout=subprocess.PIPE, env=environment
    )
    with writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"at work\n"
        with replacing(tmp_path / "y"):
            assert remove_leftovers(tmp_path) == 0
            assert len(temporary(tmp_path)) == 2
        writer.send_signal(signal.SIGKILL)
    assert remove_leftovers(tmp_path) == 1
    assert os.listdir(tmp_path) == ["y"]


def test_a_file_that_was_cleaned_away_before_it_was_held_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def hold(file: object) -> bool:
        if not tries:
            assert remove_leftovers(tmp_path) == 1
        tries.append(file)
        return held.hold(file)  # type: ignore[arg-type]

    monkeypatch.setattr(atomic, "hold", hold)
    atomic.write_bytes(tmp_path / "x", b"whole")
    assert (len(tries), (tmp_path / "x").read_bytes()) == (2, b"whole")


def test_a_file_is_held_until_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = os.replace

    def replace_late(source: Path, target: Path) -> None:
        assert remove_leftovers(tmp_path) == 0
        replace(source, target)

    monkeypatch.setattr(atomic.os, "replace", replace_late)
    atomic.write_bytes(tmp_path / "x", b"whole")
    assert (tmp_path / "x").read_bytes() == b"whole"
    assert remove_leftovers(tmp_path) == 0


def test_without_locks_age_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(held.fcntl, "flock", flock)
    for name, age in (("a", 3600), ("b", 100_000)):
        path = tmp_path / f".ctfast-{name * 16}.tmp"
        path.write_bytes(b"")
        os.utime(path, (time.time() - age,) * 2)
    assert remove_leftovers(tmp_path) == 1
    assert [path.name[8] for path in temporary(tmp_path)] == ["a"]
    atomic.write_bytes(tmp_path / "x", b"whole")


def test_a_file_that_is_gone_is_nobodys_leftover(tmp_path: Path) -> None:
    with left_alone(tmp_path / "gone") as left:
        assert not left


def test_matching_is_glob_of_a_name(tmp_path: Path) -> None:
    for name in (
        "manifest.jsonl",
        "manifest.0123.jsonl",
        "manifest.1-of-2.jsonl",
        ".ctfast-1.tmp",
        "a",
        "manifestXjsonl",
    ):
        (tmp_path / name).touch()
    (tmp_path / "manifest.d.jsonl").mkdir()
    for pattern in ("manifest.*.jsonl", "manifest.jsonl", ".ctfast-*.tmp", "*", "none*"):
        assert sorted(matching(tmp_path, pattern)) == sorted(tmp_path.glob(pattern)), pattern
    assert [*matching(tmp_path / "none", "*"), *matching(tmp_path / "a", "*")] == []
