"""A table of labels: a CSV file with a header, one row per file."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from ctfast.errors import FileFormatError, UsageError
from ctfast.files.csv_table import read_table
from ctfast.files.formats import extension

FILE_COLUMNS: Final = ("file", "path", "filename", "file_name", "image", "image_path", "tiff_name", "dicom_name")
LABEL_COLUMNS: Final = ("label", "class", "target")
_PATIENTS: Final = frozenset({"patient", "patients", "patientid", "subject", "subjectid"})
_DELIMITERS: Final = ",;\t"
_MAX_BYTES: Final = 1 << 30


@dataclass(frozen=True)
class LabelRow:
    """One line: the file as the table names it, its class and its patient (None where the cell is empty)."""

    line: int
    file: str
    label: str | None
    group: str | None


@dataclass
class LabelTable:
    """A table that was read."""

    path: Path
    column: str
    rows: list[LabelRow]
    not_asked: str | None = None
    """Column that by its name holds patients, where none was chosen."""
    _exact: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    _names: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def add(self, row: LabelRow) -> None:
        """Take a row in; a row without a folder is about every file of that name."""
        named = PurePosixPath(row.file.replace("\\", "/"))
        index = self._names if len(named.parts) == 1 else self._exact
        index[str(named)].append(len(self.rows))
        self.rows.append(row)

    def rows_of(self, path: Path, roots: Sequence[Path]) -> list[int]:
        """Numbers of the rows about a file: by its path below an input folder, beside the table, absolute, or by
        its bare name, with or without extension."""
        names = _names_of(path)
        by_name = [k for name in names for k in self._names.get(name, ())]
        if not self._exact:
            return by_name
        folders = [way.parent for way in _ways_to_name(path, roots, self.path.parent)]
        ways = [str(folder / name) for folder in folders for name in names]
        return [k for way in dict.fromkeys(ways) for k in self._exact.get(way, ())] or by_name

    def refuse_ambiguous(self, rows_of: Mapping[Path, Sequence[int]]) -> None:
        """Refuse a bare name that several files of one format have, unless rows tell them apart by folder.

        Raises:
            FileFormatError: Names the row and two of the files.
        """
        seen: dict[tuple[int, str], Path] = {}
        for path, rows in rows_of.items():
            for k in rows:
                other = seen.setdefault((k, path.suffix.lower()), path)
                if other != path:
                    raise FileFormatError(
                        f"{self.path}, line {self.rows[k].line}: {self.rows[k].file!r} may be {other} or {path}",
                        "name files by their path below the input folder",
                    )


def _names_of(path: Path) -> list[str]:
    """A file's name, and without its extension where that is one of images: the end of ``1.2.840.5`` is none."""
    end = extension(path)
    return list(dict.fromkeys([path.name, path.name[: -len(end)], path.stem])) if end else [path.name]


def _ways_to_name(path: Path, roots: Sequence[Path], beside: Path) -> list[PurePosixPath]:
    whole = path.absolute()
    ways = [PurePosixPath(whole.as_posix())]
    for root in (*roots, beside):
        folder = root.absolute()
        if folder in whole.parents:
            ways.append(PurePosixPath(whole.relative_to(folder).as_posix()))
    return ways


def read_label_table(path: str | Path, column: str | None, groups: str | None) -> LabelTable:
    """Read a table (UTF-8, separated by comma, semicolon or tab).

    Args:
        path: The file.
        column: Column of classes; default: ``label``, ``class``, ``target``, or the only one that is left.
        groups: Column of patients.

    Raises:
        OSError: If it cannot be opened.
        UsageError: For columns that are not there, or a choice that only the user can make.
        FileFormatError: For a file that is no table; says the line.
    """
    path = Path(path)
    header, rows = read_table(path, most_bytes=_MAX_BYTES, delimiters=_DELIMITERS)
    if len(header) < 2 or len(set(header)) != len(header):
        raise FileFormatError(f"{path}: its header is {header}", "two or more different columns are needed")
    files = [name for name in header if name.strip().lower() in FILE_COLUMNS]
    if not files:
        raise UsageError(f"{path}: no column names the files; call it 'file' (columns: {', '.join(header)})")
    chosen = _label_column(path, header, files, column, groups)
    if groups is not None and groups not in header:
        raise UsageError(f"{path}: groups={groups!r} is no column of it ({', '.join(header)})")
    table = LabelTable(path, chosen, [], _column_of_patients(header) if groups is None else None)
    for line, cells in rows:
        cell = {name: text.strip() for name, text in cells.items()}
        for name in files:
            if cell[name]:
                group = cell[groups] if groups is not None else None
                table.add(LabelRow(line, cell[name], cell[chosen] or None, group or None))
    if not table.rows:
        raise FileFormatError(f"{path}: a header and no rows that name a file", "give the table of the data set")
    return table


def _column_of_patients(header: list[str]) -> str | None:
    """A column that by its name holds patients."""
    return next((name for name in header if re.sub("[^a-z]", "", name.lower()) in _PATIENTS), None)


def _label_column(path: Path, header: list[str], files: list[str], column: str | None, groups: str | None) -> str:
    if column is not None:
        if column not in header:
            raise UsageError(f"{path}: column={column!r} is no column of it ({', '.join(header)})")
        return column
    usual = [name for name in header if name.lower() in LABEL_COLUMNS]
    left = [name for name in header if name and name not in files and name != groups]
    if len(usual) == 1:
        return usual[0]
    if len(left) == 1:
        return left[0]
    raise UsageError(f"{path}: which column holds the classes? Give column= one of {', '.join(left)}")
