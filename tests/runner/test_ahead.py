"""What processes are forked from starts while a run is planned, if the run looks as if it would take any."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ctfast import Pipeline, Step
from ctfast.runner import RunOptions, ahead
from ctfast.runner.manifest import read_rows
from ctfast.runner.planning import RUN_FILE
from ctfast.runner.settings import Settings
from ctfast.runner.several import QUICKLY_FROM
from tests.runner.commands import command, ended_alone, environment, left_of

CHAIN = Pipeline([Step("window", center=40, width=400, dtype="uint8"), Step("summary")])


@pytest.mark.skipif(sys.platform == "win32", reason="processes are not forked there")
def test_it_starts_for_many_files_that_processes_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Any] = []
    monkeypatch.setattr(ahead, "start_server", lambda work, before, fork_of_this: begun.append((before, fork_of_this)))
    for folder, files in (("many", 310), ("few", 20)):
        (tmp_path / folder / "below").mkdir(parents=True)
        for number in range(files):
            (tmp_path / folder / ("below" if number % 2 else "") / f"{number}.dcm").touch()
    done = tmp_path / "done"
    done.mkdir()
    (done / RUN_FILE).touch()

    def starts(folder: str = "many", out: Path = tmp_path / "out", **options: Any) -> bool:
        begun.clear()
        kind: dict[str, Any] = {"backend": "cpu", "pool": "auto", "workers": 2, **options}
        ahead.get_ready([tmp_path / folder], out, CHAIN, RunOptions(**kind))
        return bool(begun)

    assert starts()
    assert (begun[0][0].module, begun[0][1]) == (ahead.__name__, False), "a user's process is not forked"
    ahead.get_ready([tmp_path / "many"], tmp_path / "out", CHAIN, RunOptions(workers=2, pool="auto"), own_program=True)
    assert begun[1][1]
    assert starts(pool="processes", workers=1)
    assert not starts("few", pool="processes")
    assert not starts("nowhere")
    assert not starts(workers=1)
    assert not starts(workers=8)
    assert not starts(pool="threads")
    assert not starts(out=done), "all may be done already"
    assert not starts(cluster="local")


def test_a_process_knows_what_it_was_forked_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "_loaded", "")
    settings = Settings(CHAIN, "cpu")
    other = Settings(Pipeline([Step("normalize")]), "cpu")
    before = ahead.ahead_of(settings, quickly=False)
    assert before is not None
    for there in (False, True):
        monkeypatch.setattr(ahead, "is_compiled", lambda call, there=there: there)
        ahead.prepare(before.text)
        assert ahead.is_loaded(settings, quickly=False) is there
    assert not ahead.is_loaded(settings, quickly=True)
    assert not ahead.is_loaded(other, quickly=False)


NO_OTHER_PROGRAM = """
import sys
from multiprocessing import resource_tracker, util
resource_tracker.ensure_running()

def spawnv_passfds(*_):
    raise AssertionError("a server of its own is started")

util.spawnv_passfds = spawnv_passfds
from ctfast.cli import main
main()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="processes are not forked from this one there")
def test_the_server_is_a_fork_of_the_command_and_ends_with_it(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_folder(QUICKLY_FROM)
    words = command(folder, tmp_path / "out", "--pool", "processes", start=("-c", NO_OTHER_PROGRAM))
    done = ended_alone(words)
    assert done.returncode == 0, done.stderr
    assert len(read_rows(tmp_path / "out")) == QUICKLY_FROM


@pytest.mark.skipif(sys.platform != "linux", reason="processes are not forked from this one there")
def test_it_ends_with_a_command_that_is_killed(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = command(make_folder(QUICKLY_FROM, size=200), out, "--pool", "processes", "--step", "median_filter size=31")
    running = subprocess.Popen(words, env=environment(), stderr=subprocess.DEVNULL, start_new_session=True)
    while running.poll() is None and len(read_rows(out)) < 4:
        pass
    assert len(left_of(running.pid)) >= 4, "the command, the server and two workers"
    running.kill()
    running.wait()
    deadline = time.monotonic() + 20
    while left_of(running.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left_of(running.pid)
