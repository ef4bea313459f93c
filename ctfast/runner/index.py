"""The lines of a folder's manifests and statistics in order, without holding them: a database knows where each lies.

It is a temporary one of SQLite, which keeps some megabytes in memory and the rest in a file without a name: a run of a
million files closes in the memory of a small one. Names are kept as bytes, because a file's name may be no text.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from ctfast.batch.journal import Journal, JsonLines
from ctfast.batch.places import noted
from ctfast.runner.manifest import age, row_of

_TABLES: Final = """
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    PRAGMA cache_size = -16000;
    CREATE TABLE rows (key BLOB PRIMARY KEY, started REAL, ok INT, output BLOB, input BLOB, file INT, start INT,
        size INT, text BLOB) WITHOUT ROWID;
    CREATE TABLE statistics (output BLOB, started REAL, file INT, start INT, size INT, PRIMARY KEY (output, started))
        WITHOUT ROWID;
"""
_ADD_ROW: Final = """
    INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET started = excluded.started,
        ok = excluded.ok, output = excluded.output, input = excluded.input, file = excluded.file,
        start = excluded.start, size = excluded.size, text = excluded.text
        WHERE (excluded.started, excluded.ok) >= (rows.started, rows.ok)
"""
_ADD_STATISTICS: Final = "INSERT OR REPLACE INTO statistics VALUES (?, ?, ?, ?, ?)"
_ROWS: Final = "SELECT file, start, size, text FROM rows ORDER BY output, input"
_JOINED: Final = """
    FROM rows r JOIN statistics s ON s.output = r.output AND s.started = r.started WHERE r.ok
"""
_STATISTICS: Final = f"SELECT s.file, s.start, s.size, NULL {_JOINED} ORDER BY r.output, r.input"
_KEY: Final = re.compile(rb'\{"output":("(?:[^"\\]|\\.)*"),"started":([0-9.e+-]+)[,}]')


class Index:
    """Which line of which file is the latest of an output, and which statistics belong to it.

    Args:
        folder: what the folder of the records is called in full.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._files: list[Path] = []
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.executescript(_TABLES)
        self._database.execute("BEGIN")

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def add_rows(self, path: Path) -> None:
        """Take in the lines of a manifest; of an output's lines the latest stays, of two of one time the later one."""
        self._files.append(path)
        self._database.executemany(_ADD_ROW, self._located_rows(path))

    def add_statistics(self, path: Path) -> None:
        """Take in the lines of a file of statistics."""
        self._files.append(path)
        self._database.executemany(_ADD_STATISTICS, self._located_statistics(path))

    def rows(self) -> Iterator[bytes]:
        """The latest lines, sorted by output and input, as they are written today."""
        return self._lines(_ROWS)

    def statistics(self) -> Iterator[bytes]:
        """The lines of statistics of the files that are done, in the order of their rows."""
        return self._lines(_STATISTICS)

    def done(self) -> tuple[int, int]:
        """How many files are done and have statistics, and the most characters in the name of an output of them."""
        files, longest = 0, 0
        for (name,) in self._database.execute(f"SELECT r.output {_JOINED}"):
            files, longest = files + 1, max(longest, len(name.decode(errors="surrogatepass")))
        return files, longest

    def _located_rows(self, path: Path) -> Iterator[tuple[Any, ...]]:
        file, folder = len(self._files) - 1, self._folder
        for start, size, text in Journal(path, JsonLines()).whole_lines():
            line = JsonLines().decode(text)
            if line is None:
                continue
            before = dict(line)
            row = row_of(path, line, folder)
            # What earlier versions left out is put in; a line of today is copied as it is.
            kept = None if row == before else JsonLines().encode(cast(dict[str, Any], row))
            output, given = _bytes(row["output"]), _bytes(row["input"])
            # What was left out has no output and is known by its input.
            yield (output or given, *age(row), output, given, file, start, size, kept)

    def _located_statistics(self, path: Path) -> Iterator[tuple[Any, ...]]:
        file, folder = len(self._files) - 1, self._folder
        for start, size, text in Journal(path, JsonLines()).whole_lines():
            key = _key_of(text)
            if key is not None:
                yield (_bytes(noted(key[0], folder)), key[1], file, start, size)

    def _lines(self, query: str) -> Iterator[bytes]:
        with ExitStack() as stack:
            files: dict[int, BinaryIO] = {}
            for number, start, size, text in self._database.execute(query):
                if text is not None:
                    yield text
                    continue
                if number not in files:
                    files[number] = stack.enter_context(self._files[number].open("rb"))
                files[number].seek(start)
                yield files[number].read(size)


def _bytes(name: str) -> bytes:
    """A name, so that bytes sort as the text does."""
    return name.encode(errors="surrogatepass")


def _key_of(text: bytes) -> tuple[str, float] | None:
    """Output and time of a line of statistics, by its first words; the counts behind them are not looked at."""
    found = _KEY.match(text)
    line = {"output": json.loads(found[1]), "started": float(found[2])} if found else JsonLines().decode(text)
    if line is None or not isinstance(line.get("output"), str) or not isinstance(line.get("started", 0.0), float):
        return None
    return line["output"], line.get("started", 0.0)  # the first versions did not note it
