"""The CSV of predictions: appended while a run goes on, mended after a kill, one row per image.

Columns: ``file``, ``prediction``, ``p_<class>`` for each class, ``model`` (the weights' hash), ``error``; then what
resuming needs: ``frame`` and ``frames`` of a stack, ``units`` of the file's values, ``bytes`` and ``modified`` of the
file. Text that a spreadsheet would run as a formula gets an apostrophe in front.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from ctfast.batch.cells import safe_cell
from ctfast.batch.journal import CsvRows, Journal
from ctfast.batch.stamp import Stamp
from ctfast.errors import UsageError

Record = dict[str, str]
"""A row by its columns."""


class PredictionTable:
    """The predictions of one model.

    Args:
        path: The file, there or not yet.
        classes: The model's.
    """

    def __init__(self, path: Path, classes: Sequence[str]) -> None:
        known = [f"p_{name}" for name in classes]
        self.path = path
        self.columns = [
            "file", "prediction", *known, "model", "error", "frame", "frames", "units", "bytes", "modified",
        ]  # fmt: skip
        self.journal = Journal(path, CsvRows(self.columns))

    def records(self) -> Iterator[Record]:
        """The whole rows, none where there is no file; the half row at a kill is left out.

        Raises:
            UsageError: If the file is something else, or the table of a model with other classes.
        """
        try:
            for row in self.journal.records():
                yield dict(zip(self.columns, row))
        except UsageError as error:
            raise UsageError(f"--csv {error}; --overwrite replaces a file") from None

    def start(self, finished: set[str]) -> None:
        """Make the table, or leave only the rows of ``finished`` files in it: nothing half, nothing out of date."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        kept = (record for record in self.records() if record["file"] in finished) if finished else ()
        self.journal.rewrite(list(record.values()) for record in kept)

    def sort(self, files: Sequence[str]) -> None:
        """Rows of other files first, then those of ``files`` in their order."""
        order = {name: k for k, name in enumerate(files)}
        positions = [order.get(record["file"], -1) for record in self.records()]
        if any(after < before for before, after in pairwise(positions)):
            records = sorted(self.records(), key=lambda record: order.get(record["file"], -1))
            self.journal.rewrite(list(record.values()) for record in records)


def stamp_cells(stamp: Stamp) -> list[str]:
    """The columns ``bytes`` and ``modified``."""
    return [str(stamp.size), f"{stamp.modified:.6f}"]


def class_cells(classes: Sequence[str]) -> list[str]:
    """Names of classes as they stand in the column ``prediction``."""
    return [safe_cell(name) for name in classes]
