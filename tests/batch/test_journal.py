"""Records are kept whole: half ones are cut off, foreign files are refused, line ends in cells are no ends."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ctfast.batch.journal import CsvRows, Journal, JsonLines
from ctfast.errors import UsageError

NAMES = ["file", "prediction"]
ROWS = [["a,b.tif", "1"], ['quo"ted', ""], ["two\nlines\n", "2"], ["\r", "ä"], ['"\n"', "'"]]


def table(path: Path) -> Journal[Any]:
    return Journal(path, CsvRows(NAMES))


def lines(path: Path) -> Journal[Any]:
    return Journal(path, JsonLines())


def test_what_is_appended_is_read_back(tmp_path: Path) -> None:
    journal = table(tmp_path / "t.csv")
    assert list(journal.records()) == []
    with journal.appending() as append:
        append(*ROWS[:2])
        assert list(journal.records()) == ROWS[:2], "with the system at once"
        append(ROWS[2])
    with journal.appending() as append:
        append(*ROWS[3:])
    assert list(journal.records()) == ROWS
    assert (tmp_path / "t.csv").read_bytes().startswith(b"file,prediction\n")


def test_a_table_cut_anywhere_is_mended(tmp_path: Path) -> None:
    """After a kill at any byte there are whole rows only, the same for readers and for who appends next."""
    journal = table(tmp_path / "t.csv")
    journal.rewrite(ROWS)
    data = (tmp_path / "t.csv").read_bytes()
    for size in range(len(data) + 1):
        journal.path.write_bytes(data[:size])
        whole = list(journal.records())
        assert whole == ROWS[: len(whole)]
        with journal.appending() as append:
            append(["next", "3"])
        assert list(journal.records()) == [*whole, ["next", "3"]]
        assert data.startswith(journal.path.read_bytes()[: -len(b"next,3\n")])
    assert len(whole) == len(ROWS)


def test_lines_cut_anywhere_are_mended(tmp_path: Path) -> None:
    journal, records = lines(tmp_path / "l.jsonl"), [{"output": 'a"b\n', "n": 1}, {"output": "ä"}]
    journal.rewrite(records)
    data = (tmp_path / "l.jsonl").read_bytes()
    for size in range(len(data) + 1):
        journal.path.write_bytes(data[:size])
        whole = list(journal.records())
        assert whole == records[: len(whole)]
        with journal.appending() as append:
            append({"next": 1})
        assert list(journal.records()) == [*whole, {"next": 1}]


def test_lines_that_are_no_records_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "l").write_bytes(b'{"a":1}\n{"b":\n[1]\n\xff\xfe\n\n{"c":2}\n')
    assert list(lines(tmp_path / "l").records()) == [{"a": 1}, {"c": 2}]


def test_records_are_found_again_where_they_begin(tmp_path: Path) -> None:
    journal = lines(tmp_path / "l")
    journal.rewrite({"n": n, "text": "ä" * n} for n in range(5))
    with journal.path.open("rb") as file:
        for start, record in journal.located():
            file.seek(start)
            assert json.loads(file.readline()) == record


def test_a_rewritten_journal_may_come_from_itself(tmp_path: Path) -> None:
    journal = table(tmp_path / "t.csv")
    journal.rewrite(ROWS)
    journal.rewrite(row for row in journal.records() if "\n" in row[0])
    assert list(journal.records()) == [ROWS[2], ROWS[4]]
    with pytest.raises(ZeroDivisionError):
        journal.rewrite([1 / 0] for _ in range(1))  # type: ignore[misc]
    assert list(journal.records()) == [ROWS[2], ROWS[4]]
    assert os.listdir(tmp_path) == ["t.csv"]


@pytest.mark.parametrize("content", [b"a thesis", b"file\n", b"a,b\n1,2\n", b'"', b"file,prediction,more\n", b"\n"])
def test_a_foreign_table_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    journal = table(tmp_path / "t.csv")
    with pytest.raises(UsageError, match="columns file, prediction"):
        list(journal.records())
    with pytest.raises(UsageError), journal.appending():
        pass
    assert journal.path.read_bytes() == content


def test_a_folder_is_refused(tmp_path: Path) -> None:
    for journal in (table(tmp_path), lines(tmp_path)):
        with pytest.raises(UsageError, match="is a folder"):
            list(journal.records())


def test_a_table_that_another_program_saved_is_still_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b'"file","prediction"\r\na,1\r\n')
    assert list(table(tmp_path / "t.csv").records()) == [["a", "1"]]


def test_file_names_that_are_no_text(tmp_path: Path) -> None:
    name = os.fsdecode(b"bad\xff.tif")
    journal = lines(tmp_path / "l")
    with journal.appending() as append:
        append({"input": name})
    assert list(journal.records()) == [{"input": name}]
    journal.path.read_bytes().decode()  # valid UTF-8
    table(tmp_path / "t.csv").rewrite([[name, "1"]])
    assert list(table(tmp_path / "t.csv").records()) == [["bad\\udcff.tif", "1"]]
