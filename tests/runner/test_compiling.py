"""What a first run compiles before its files: once, told part by part, and not counted as time of files."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ctfast import Pipeline, Step
from ctfast.batch.compiling import in_turn, told
from ctfast.files import write_image
from ctfast.runner import compiling
from ctfast.runner.settings import Settings
from ctfast.runner.task import Task
from tests.runner.commands import command, ended_alone
from tests.test_cold_start import environment

CHAIN = Pipeline(
    [
        Step("window", center=40, width=400, dtype="uint8"),
        Step("normalize"),
        Step("window", center=0.5, width=1),
        Step("summary"),
    ]
)


def slices(folder: Path, files: int) -> Path:
    folder.mkdir()
    for i in range(files):
        write_image(folder / f"{i}.tif", np.full((40, 50), i - 1000, np.int16), units="hu")
    return folder


@pytest.mark.parametrize("pool", ["threads", "processes", "auto"])
def test_a_first_run_tells_what_it_compiles_and_the_next_compiles_nothing(tmp_path: Path, pool: str) -> None:
    source, cache = slices(tmp_path / "in", 4), tmp_path / "cache"
    first = ended_alone(command(source, tmp_path / "first", "--pool", pool), NUMBA_CACHE_DIR=str(cache))
    assert first.returncode == 0, first.stderr
    said = re.findall(r"compiling kernels, once: (.*)", first.stdout)
    assert said == ["1 of 2 (window)", "2 of 2 (all steps together)"]
    compiled = {path.name for path in cache.rglob("*.nbc")}
    assert len({name.partition("-")[0] for name in compiled}) == len(compiled), "each kernel once"
    second = ended_alone(command(source, tmp_path / "second", "--pool", pool), NUMBA_CACHE_DIR=str(cache))
    assert "compiling" not in second.stdout
    assert {path.name for path in cache.rglob("*.nbc")} == compiled


def test_a_bad_first_file_costs_no_other_one(tmp_path: Path) -> None:
    source = slices(tmp_path / "in", 3)
    (source / "0.tif").write_bytes(b"II*\0 no slice")
    done = ended_alone(command(source, tmp_path / "out", "--pool", "processes"), NUMBA_CACHE_DIR=str(tmp_path / "new"))
    assert done.returncode == 1, done.stderr
    assert "2 done, 1 failed" in done.stdout


def test_parts_take_the_type_that_meets_them(tmp_path: Path) -> None:
    source = slices(tmp_path / "in", 1) / "0.tif"
    task, settings = Task(str(source), str(tmp_path / "0.tif")), Settings(CHAIN, "cpu")
    titles = [part.title for part in compiling.parts(task, "int16", settings, quickly=True)]
    assert titles == ["window", "normalize", "window", "plain files", "all steps together"]
    for number in range(len(titles)):
        compiling.compile_part(number, task, "int16", settings, quickly=True)
    assert compiling.look(task, settings, quickly=True) == ("int16", [])
    assert compiling.look(Task(str(tmp_path / "nowhere.tif"), ""), settings, quickly=False) == ("int16", [])


def test_the_last_part_waits_for_the_others_and_nothing_begins_after_a_stop() -> None:
    said: list[tuple[int, list[str]]] = []
    done: list[int] = []
    both = threading.Barrier(2)

    def do(number: int) -> None:
        if number < 2:
            both.wait(10)  # two at a time
        else:
            assert sorted(done) == list(range(number)), "the last is alone"
        done.append(number)

    def tell(*, begun: int, of: int, titles: Sequence[str]) -> None:
        assert of == 3
        said.append((begun, list(titles)))

    with ThreadPoolExecutor(2) as pool:
        in_turn(pool, 2, ["a", "b", "c"], do, tell, lambda: False)
        assert sorted(done) == [0, 1, 2]
        assert said[:2] == [(1, ["a"]), (2, ["a", "b"])]
        assert said[-2:] == [(3, ["c"]), (3, [])]
        done.clear()
        in_turn(pool, 1, ["a", "b", "c"], done.append, tell, lambda: bool(done))
        assert done in ([], [0])


def test_what_is_told_as_text() -> None:
    assert told(3, 7, ["clahe", "window"]) == "compiling kernels, once: 3 of 7 (clahe, window)"
    assert told(7, 7, []) == "kernels are compiled"


def test_nobody_compiles_where_nothing_is_to_be_compiled(tmp_path: Path) -> None:
    call = """
import sys
import numpy as np, ctfast
from ctfast.backend import is_compiled
x = np.zeros((20, 30), np.int16)
call = lambda: ctfast.window(x, center=0, width=100)
print(is_compiled(call), is_compiled(call), int(call()[0, 0] * 2), is_compiled(call))
"""
    done = subprocess.run(
        [sys.executable, "-c", call], env=environment(tmp_path), capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "False", "1", "True"]
