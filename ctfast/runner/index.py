"""The lines of a folder's manifests and statistics in order, without holding them: a database knows where each lies.

It is a temporary one of SQLite, which keeps some megabytes in memory and the rest in a file without a name: a run of a
million files closes in the memory of a small one. Names are kept as bytes, because a file's name may be no text.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, cast, get_type_hints

from ctfast.batch.journal import Journal, JsonLines
from ctfast.batch.places import noted
from ctfast.runner.manifest import Row, age, in_full, manifests, row_of

_Where = tuple[int | None, int, int, bytes | None]
"""Number of a file, first byte and size of a line in it; or the line itself."""

_TABLES: Final = """
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    PRAGMA cache_size = -4000;
    CREATE TABLE rows (output BLOB, input BLOB, started REAL, ok INT, wanted INT, file INT, start INT, size INT,
        text BLOB, PRIMARY KEY (output, input)) WITHOUT ROWID;
    CREATE TABLE statistics (output BLOB, started REAL, file INT, start INT, size INT, text BLOB,
        PRIMARY KEY (output, started)) WITHOUT ROWID;
"""
_ADD_ROW: Final = """
    INSERT INTO rows VALUES (?, ?, ?, ?, 0, ?, ?, ?, ?) ON CONFLICT (output, input) DO UPDATE SET
        started = excluded.started, ok = excluded.ok, file = excluded.file, start = excluded.start,
        size = excluded.size, text = excluded.text
        WHERE (excluded.started, excluded.ok) >= (rows.started, rows.ok)
"""
_ADD_STATISTICS: Final = "INSERT OR REPLACE INTO statistics VALUES (?, ?, ?, ?, ?, ?)"
_ROWS: Final = "SELECT file, start, size, text FROM rows ORDER BY output, input"
_DONE: Final = "SELECT file, start, size, text FROM rows WHERE output = ? AND input = x'' AND ok"
_NOT_WANTED: Final = "SELECT file, start, size, text FROM rows WHERE ok AND NOT wanted ORDER BY output"
_WANT: Final = "UPDATE rows SET wanted = 1 WHERE output = ? AND input = x''"
_JOINED: Final = """
    FROM rows r JOIN statistics s ON s.output = r.output AND s.started = r.started WHERE r.ok
"""
_STATISTICS: Final = f"SELECT s.file, s.start, s.size, s.text {_JOINED} ORDER BY r.output, r.input"
_MOST_OPEN: Final = 32
"""Files. Lines of further ones are copied into the database."""
_KEY: Final = re.compile(rb'\{"output":"([^"\\]*)","started":([0-9]+\.[0-9]+)[,}]')


def _line_of_today() -> re.Pattern[bytes]:
    """Matches most rows as they are written today, in a fifth of the time that it takes to parse them."""
    text, number, some = rb'"[^"\\\x80-\xff]*"', rb"-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?", rb"\[[0-9.e+,\[\]-]*\]"
    named = {"input": b'"(?P<input>%s)"' % text[1:-1], "output": b'"(?P<output>%s)"' % text[1:-1]}
    named |= {"status": b'"(?P<status>ok|failed|skipped)"', "started": rb"(?P<started>[0-9]+\.[0-9]+)"}
    kinds = get_type_hints(Row).items()
    values = {name: named.get(name, {str: text, int: number, float: number}.get(kind, some)) for name, kind in kinds}
    return re.compile(rb"\{" + b",".join(b'"%s":%s' % (n.encode(), value) for n, value in values.items()) + rb"\}\n")


_TODAY: Final = _line_of_today()


class Index:
    """Which line of which file is the latest of an output, and which statistics belong to it.

    Args:
        folder: what the folder of the records is called in full.
        passed: called for each line that is taken in or given back.
    """

    def __init__(self, folder: str, passed: Callable[[], None] = lambda: None) -> None:
        self._folder, self._passed = folder, passed
        self._opened = ExitStack()
        self._files: list[BinaryIO] = []
        self.any = False
        """Whether there are rows."""
        self._database = sqlite3.connect("", isolation_level=None)
        self._opened.callback(self._database.close)
        self._database.executescript(_TABLES)
        self._database.execute("BEGIN")

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def add_rows(self, path: Path) -> None:
        """Take in the lines of a manifest; of an output's lines the latest stays, of two of one time the later one."""
        self.any |= self._database.executemany(_ADD_ROW, self._located_rows(path)).rowcount > 0

    def add_statistics(self, path: Path) -> None:
        """Take in the lines of a file of statistics."""
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

    def find(self, output: str) -> Row | None:
        """The row of an output that is done, with full names; both are named in full."""
        return next(self._rows_of(_DONE, (_bytes(noted(output, self._folder)),)), None)

    def not_among(self, outputs: Iterable[str]) -> Iterator[Row]:
        """The rows of outputs that are done and not among these, with full names."""
        if not self.any:
            return iter(())
        self._database.executemany(_WANT, ((_bytes(noted(output, self._folder)),) for output in outputs))
        return self._rows_of(_NOT_WANTED)

    def _rows_of(self, query: str, values: tuple[bytes, ...] = ()) -> Iterator[Row]:
        rows = map(JsonLines().decode, self._lines(query, values))
        return (in_full(cast(Row, row), self._folder) for row in rows if row is not None)

    def _located_rows(self, path: Path) -> Iterator[tuple[Any, ...]]:
        for where, text in self._located(path):
            if (today := _TODAY.fullmatch(text)) is not None and all(map(_is_near, today.group("input", "output"))):
                given, output, status, started = today.groups()
                yield output, b"" if output else given, float(started), status == b"ok", *where
                continue
            line = JsonLines().decode(text)
            if line is None:
                continue
            before = dict(line)
            row = row_of(path, line, self._folder)
            # What earlier versions left out is put in; a line of today is copied as it is.
            kept = where if row == before else (None, 0, 0, JsonLines().encode(cast(dict[str, Any], row)))
            # What was left out has no output and is known by its input.
            yield _bytes(row["output"]), _bytes("" if row["output"] else row["input"]), *age(row), *kept

    def _located_statistics(self, path: Path) -> Iterator[tuple[Any, ...]]:
        for where, text in self._located(path):
            if (found := _KEY.match(text)) is not None and _is_near(found[1]):
                yield found[1], float(found[2]), *where
                continue
            line = JsonLines().decode(text) or {}
            output, started = line.get("output"), line.get("started", 0.0)  # the first versions did not note it
            if isinstance(output, str) and isinstance(started, float):
                yield _bytes(noted(output, self._folder)), started, *where

    def _located(self, path: Path) -> Iterator[tuple[_Where, bytes]]:
        """Where each line of a file can be found again, and the line.

        The file stays open, so that whoever replaces it takes nothing away.
        """
        journal = Journal(path, JsonLines())
        if len(self._files) == _MOST_OPEN or not path.is_file():
            for _, _, text in journal.whole_lines():
                self._passed()
                yield (None, 0, 0, text), text
            return
        try:
            file = self._opened.enter_context(path.open("rb"))
        except FileNotFoundError:  # put together by another run meanwhile
            return
        self._files.append(file)
        for start, size, text in journal.whole_lines(file):
            self._passed()
            yield (len(self._files) - 1, start, size, None), text

    def _lines(self, query: str, values: tuple[bytes, ...] = ()) -> Iterator[bytes]:
        for number, start, size, text in self._database.execute(query, values):
            self._passed()
            if text is not None:
                yield text
                continue
            self._files[number].seek(start)
            yield self._files[number].read(size)


@contextmanager
def indexed(records: Path, folder: str) -> Iterator[Index]:
    """The rows of all manifests in a folder, while runs go on too; ``folder`` is what it is called in full."""
    while True:
        paths = manifests(records, None)
        with Index(folder) as index:
            for path in paths:
                index.add_rows(path)
            if manifests(records, None) == paths:  # else a run put parts together meanwhile
                yield index
                return


def _bytes(name: str) -> bytes:
    """A name, so that bytes sort as the text does."""
    return name.encode(errors="surrogatepass")


def _is_near(name: bytes) -> bool:
    """Whether a name is as it is noted, seen from the folder, without a look at the folder."""
    return not name.startswith(b"/") and b"://" not in name
