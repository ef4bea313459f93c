"""What processes are forked from starts while a run is planned, if the run looks as if it would take any."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from ctfast import Pipeline, Step
from ctfast.runner import RunOptions, ahead
from ctfast.runner.planning import RUN_FILE
from ctfast.runner.settings import Settings

CHAIN = Pipeline([Step("window", center=40, width=400, dtype="uint8"), Step("summary")])


@pytest.mark.skipif(sys.platform == "win32", reason="processes are not forked there")
def test_it_starts_for_many_files_that_processes_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Any] = []
    monkeypatch.setattr(ahead, "start_server", lambda work, before: begun.append(before))
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
    assert begun[0].module == ahead.__name__
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
        ahead._prepare(before.text)
        assert ahead.is_loaded(settings, quickly=False) is there
    assert not ahead.is_loaded(settings, quickly=True)
    assert not ahead.is_loaded(other, quickly=False)
