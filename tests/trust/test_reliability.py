"""The short form of ``make reliability``: what is quick to start is killed, crowded and starved here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.trust.faults import FAULTS, closed_output_ends_well, fault_ends_well, writers_at_once
from tests.trust.killed import commands, kills_survived, renamed
from tests.trust.reliability import END, PAGE, START, Row, held, kept_rows, page, with_kept


def test_runs_survive_kills(tmp_path: Path) -> None:
    trials, _ = kills_survived("run", tmp_path, 3, seed=1)
    assert trials == 3


def test_runs_fill_one_folder_while_one_is_killed(tmp_path: Path) -> None:
    assert writers_at_once("run", tmp_path, 3) == 30


@pytest.mark.parametrize("number", range(len(FAULTS)), ids=lambda k: list(FAULTS)[k].partition(" (")[0])
def test_faults_of_the_machine_end_well(tmp_path: Path, number: int) -> None:
    fault_ends_well(commands(tmp_path)["run"], tmp_path, number)


def test_a_full_disk_behind_the_output(tmp_path: Path) -> None:
    closed_output_ends_well(commands(tmp_path)["run"], tmp_path)


def test_what_differs_is_a_failure(tmp_path: Path) -> None:
    def fails() -> str:
        raise AssertionError("another table")

    assert held("a", "b", fails) == Row("a", "b", "**failed**: another table")
    assert renamed(("a/x", [b"a/x"]), "a/", "b/") == ("b/x", [b"a/x"])


def test_the_page_keeps_its_text_around_the_table() -> None:
    before, after = PAGE.read_text(encoding="utf-8"), page([Row("a", "b", "c")])
    assert "| a | b | c |" in after
    assert after.partition(START)[0] == before.partition(START)[0]
    assert after.partition(END)[2] == before.partition(END)[2]


def test_rows_that_are_done_anew_take_their_places() -> None:
    kept = kept_rows(PAGE.read_text(encoding="utf-8"))
    assert kept[0].what.startswith("`run` killed")
    again, more, other = kept[1]._replace(held="again"), kept[1]._replace(tried="more"), Row("other", "1", "2")
    assert with_kept([more, again, other], kept) == [kept[0], again, more, *kept[2:], other]
