"""The CSV of predictions: appended while a run goes on, mended after a kill, one row per image.

Columns: ``file``, ``prediction``, ``p_<class>`` for each class, ``model`` (the weights' hash), ``error``; then what
resuming needs: ``frame`` and ``frames`` of a stack, ``units`` of the file's values, ``read_as`` (what the caller said
of them), ``bytes`` and ``modified`` of the file. Text that a spreadsheet would run as a formula gets an apostrophe in
front.

Any number of runs of one model may fill one table at the same time: each appends, and sorts at its end, under the lock
``.NAME.lock`` beside it (see ``runner/records.py`` for what the lock holds on). A row of another model is refused:
``--overwrite`` with another model in the middle of a run ends one of the two with an error, not with a mixed table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path

from filelock import FileLock

from ctfast.batch.cells import safe_cell
from ctfast.batch.journal import CsvRows, Journal, SharedJournal
from ctfast.batch.stamp import Stamp
from ctfast.errors import UsageError

Record = dict[str, str]
"""A row by its columns."""


class PredictionTable:
    """The predictions of one model.

    Args:
        path: The file, there or not yet.
        classes: The model's.
        model: Its hash.
    """

    def __init__(self, path: Path, classes: Sequence[str], model: str) -> None:
        known = [f"p_{name}" for name in classes]
        self.path, self.model = path, model
        self.columns = [
            "file", "prediction", *known, "model", "error", "frame", "frames", "units", "read_as", "bytes", "modified",
        ]  # fmt: skip
        self._journal = Journal(path, CsvRows(self.columns))

    def records(self) -> Iterator[Record]:
        """The whole rows, none where there is no file; the half row at a kill is left out.

        Raises:
            UsageError: If the file is something else, or the table of another model.
        """
        try:
            for row in self._journal.records():
                self._refuse_other_model(row)
                yield dict(zip(self.columns, row))
        except UsageError as error:
            raise UsageError(f"--csv {error}; --overwrite replaces a file") from None

    def start(self, outdated: set[str] | None) -> None:
        """Make the table, or take the half row and those of ``outdated`` files out of it; None: all of them."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._locked():
            self._rewrite(r for r in (() if outdated is None else self.records()) if r["file"] not in (outdated or ()))

    @contextmanager
    def appending(self) -> Iterator[Callable[..., None]]:
        """A function that appends the rows it is given, together."""
        shared = SharedJournal(self._journal, self._refuse_other_model)

        def append(*rows: list[str]) -> None:
            with self._locked():
                shared.append(*rows)

        with closing(shared):
            yield append

    def sort(self, files: Sequence[str]) -> None:
        """Rows of other files first, then those of ``files`` in their order; once, where two runs did a file."""
        order = {name: k for k, name in enumerate(files)}
        with self._locked():
            positions = [order.get(rows[0]["file"], -1) for rows in self._together()]
            if any(after < before or after == before >= 0 for before, after in pairwise(positions)):
                latest = {rows[0]["file"]: rows for rows in self._together()}
                names = sorted(latest, key=lambda name: order.get(name, -1))
                self._rewrite(record for name in names for record in latest[name])

    def _together(self) -> Iterator[list[Record]]:
        """Rows that were appended together: those of one file, each frame once."""
        rows: list[Record] = []
        frames: set[str] = set()
        for record in self.records():
            if rows and (record["file"] != rows[0]["file"] or record["frame"] in frames):
                yield rows
                rows, frames = [], set()
            rows.append(record)
            frames.add(record["frame"])
        if rows:
            yield rows

    def _rewrite(self, records: Iterable[Record]) -> None:
        self._journal.rewrite(list(record.values()) for record in records)

    def _locked(self) -> FileLock:
        return FileLock(self.path.with_name(f".{self.path.name}.lock"))

    def _refuse_other_model(self, row: list[str]) -> None:
        model = row[self.columns.index("model")]
        if model != self.model:
            raise UsageError(
                f"{self.path} holds predictions of another model ({model} there, {self.model} now): choose another "
                "--csv"
            )


def stamp_cells(stamp: Stamp) -> list[str]:
    """The columns ``bytes`` and ``modified``."""
    return [str(stamp.size), f"{stamp.modified:.6f}"]


def class_cells(classes: Sequence[str]) -> list[str]:
    """Names of classes as they stand in the column ``prediction``."""
    return [safe_cell(name) for name in classes]
