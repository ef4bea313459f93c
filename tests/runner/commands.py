"""``ctfast run`` as a process of its own, with limits of the system where a test wants them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import ctfast

ROOT = Path(ctfast.__file__).parents[1]

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


def limited(megabytes: int, what: str = "RLIMIT_AS") -> tuple[str, ...]:
    return "-c", LIMITED, what, str(megabytes << 20)


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "kernels"), str(ROOT)]), "COLUMNS": "200"}


def ended(words: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    options = {"stdout": subprocess.PIPE, **options}
    return subprocess.run(
        words, stderr=subprocess.PIPE, text=True, check=False, env=environment(), timeout=100, **options
    )


def ended_alone(words: list[str], **more: str) -> subprocess.CompletedProcess[str]:
    """As ``ended``, and nothing is left behind; ``more`` of an environment."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(words, env={**environment(), **more}, start_new_session=True, **pipes)
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


def left_of(session: int) -> list[str]:
    """Processes of a session; field 6 of their line in /proc, of which the name may hold blanks."""
    there = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended meanwhile
            state, *fields = path.read_text().rpartition(")")[2].split()
            if int(fields[2]) == session and state != "Z":
                there.append(path.parent.name)
    return there


def assert_one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 3, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    for word in words:
        assert word in done.stderr, done.stderr
