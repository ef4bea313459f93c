"""The CSV of predictions: appended while a run goes on, mended after a kill, one row an image.

Columns: ``file``, ``prediction``, ``p_<class>`` for each class, ``model`` (the weights' hash), ``error``; then what
resuming needs: ``frame`` and ``frames`` of a stack, ``units`` of the file's values, ``bytes`` and
``modified`` of the file. Text that a spreadsheet would run as a formula gets an apostrophe in front.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Final

from ctfast.errors import UsageError

Record = dict[str, str]
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "'")
"""The apostrophe itself is among them, so that two names never become one."""


def columns(classes: Sequence[str]) -> list[str]:
    """The header for a model of these classes."""
    known = [f"p_{name}" for name in classes]
    return ["file", "prediction", *known, "model", "error", "frame", "frames", "units", "bytes", "modified"]


def safe(text: str) -> str:
    """Text as a cell: valid UTF-8, and no formula; numbers stay as they are."""
    text = text.encode(errors="backslashreplace").decode()
    return f"'{text}" if text.startswith(_FORMULA) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text == text.strip()


class Appender:
    """Appends rows; what was appended is with the system at once, so that it survives a kill of this process."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self._file: IO[str] = path.open("a", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file, lineterminator="\n")
        if not self._file.tell():
            self._writer.writerow(names)
            self._file.flush()

    def append(self, rows: Iterable[Sequence[str]]) -> None:
        """Write rows together."""
        self._writer.writerows(rows)
        self._file.flush()

    def __enter__(self) -> Appender:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._file.close()


def read_records(path: Path, names: Sequence[str]) -> Iterator[Record]:
    """The whole rows of a table of predictions, none where there is no file; the half row at a kill is left out.

    Raises:
        UsageError: If the file is something else, or the table of a model with other classes.
    """
    if not path.exists():
        return
    if path.is_dir():
        raise UsageError(f"{path} is a folder: name a CSV file in it")
    whole = _ends_whole(path)
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        first = file.readline()
        if not first or (not first.endswith("\n") and _as_line(names).startswith(first)):
            return  # killed before the header was out
        file.seek(0)
        reader = csv.reader(file, strict=True)
        try:
            if next(reader) != list(names):
                raise UsageError(
                    f"{path} is no table of predictions with columns {', '.join(names[:4])}, ...: choose another "
                    "--csv, or give --overwrite"
                )
            before: list[str] | None = None
            for cells in reader:
                if before is not None and len(before) == len(names):
                    yield dict(zip(names, before))
                before = cells
        except csv.Error:
            whole = False  # the end lies inside a quoted name
        if whole and before is not None and len(before) == len(names):
            yield dict(zip(names, before))


def _as_line(names: Sequence[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(names)
    return out.getvalue()


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        if not file.seek(0, os.SEEK_END):
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def rewrite(path: Path, names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Replace the table, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with Appender(temporary, names) as file:
            file.append(rows)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
