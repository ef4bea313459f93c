"""The Kaggle "CT Medical Images" (SIIM) layout: file names that carry the label, and ``overview.csv``.

Policies: names match in any case, with ``.tif``, ``.tiff`` or ``.dcm``; ids may have more than four digits; ages run
from 0 to 120; a name that starts like the pattern but breaks it is an error, not "no Kaggle file". Names in
``overview.csv`` must be plain file names of that pattern (``raw_input_path`` is provenance only and never opened).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ctfast.errors import FileFormatError
from ctfast.files.csv_table import read_table

MAX_AGE: Final = 120
CONTRAST: Final = {True: "contrast", False: "no contrast"}
"""The classes of the set."""
_OVERVIEW: Final = "overview.csv"
_LIKE = re.compile(r"ID_[^/\\]*_AGE_[^/\\]*_CONTRAST_[^/\\]*_CT\.(?:tiff?|dcm)", re.IGNORECASE)
_EXACT = re.compile(r"ID_([0-9]{4,9})_AGE_([0-9]{4})_CONTRAST_([01])_CT\.(?:tiff?|dcm)", re.IGNORECASE)
_REQUIRED: Final = ("Age", "Contrast", "ContrastTag", "raw_input_path", "id", "tiff_name", "dicom_name")
_TRUE: Final = {"true": True, "1": True, "false": False, "0": False}
_MAX_CSV_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class KaggleName:
    """What a file name such as ``ID_0000_AGE_0060_CONTRAST_1_CT.tif`` says."""

    id: int
    age: int
    contrast: bool


@dataclass(frozen=True, slots=True)
class OverviewRow:
    """One row of ``overview.csv``."""

    index: int
    age: int
    contrast: bool
    contrast_tag: str
    raw_input_path: str
    id: int
    tiff_name: str
    dicom_name: str


def parse_name(name: str) -> KaggleName | None:
    """Parse a file name (not a path).

    Returns:
        The record, or None for a name that is not of the data set.

    Raises:
        FileFormatError: For a name of the pattern with an impossible id, age or contrast.
    """
    exact = _EXACT.fullmatch(name)
    if exact is None:
        if _LIKE.fullmatch(name) is None:
            return None
        raise FileFormatError(
            f"{name!r} is like a name of the Kaggle set but breaks its pattern "
            "ID_<4 or more digits>_AGE_<4 digits>_CONTRAST_<0 or 1>_CT.tif",
            "rename the file, or keep it out of the folder",
        )
    age = int(exact[2])
    if age > MAX_AGE:
        raise FileFormatError(f"{name!r}: age {age} is over {MAX_AGE}", "correct the age in the name")
    return KaggleName(int(exact[1]), age, exact[3] == "1")


def read_overview(path: str | Path) -> list[OverviewRow]:
    """Read ``overview.csv`` (comma-separated UTF-8 with or without BOM, any line ends).

    The index column may be unnamed, as pandas writes it, or called ``index``; the order of columns is free.

    Raises:
        OSError: If the file cannot be opened.
        FileFormatError: For missing columns, broken rows, impossible values, names that are no plain file names or
            contradict their row; says which row and why.
    """
    path = Path(path)
    header, rows = read_table(path, most_bytes=_MAX_CSV_BYTES)
    names = [name or "index" for name in header]
    missing = [name for name in ("index", *_REQUIRED) if name not in names]
    if missing or len(set(names)) != len(names):
        problem = f"columns missing: {', '.join(missing)}" if missing else "a column appears twice"
        raise FileFormatError(f"{path}: {problem}", "correct the first line")
    return [_row(f"{path}, line {line}", dict(zip(names, cells.values()))) for line, cells in rows]


def is_overview(path: str | Path) -> bool:
    """Whether a table is the set's ``overview.csv``, whatever it is called."""
    try:
        return bool(read_overview(path))
    except (FileFormatError, OSError):
        return False


@dataclass
class Overview:
    """The rows of every ``overview.csv`` beside the inputs, by file name."""

    rows: dict[str, OverviewRow] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def find_overview(roots: Iterable[Path]) -> Overview:
    """Read ``overview.csv`` in the input folders and the folders that hold them; a broken one becomes a note."""
    overview = Overview()
    folders = dict.fromkeys(p.absolute() for root in roots for p in (root, root.absolute().parent))
    for path in (folder / _OVERVIEW for folder in folders):
        if not path.is_file():
            continue
        try:
            rows = read_overview(path)
        except (FileFormatError, OSError) as error:
            overview.notes.append(f"overview.csv was not used: {error}")
            continue
        for row in rows:
            overview.rows[row.tiff_name] = overview.rows[row.dicom_name] = row
    return overview


def contrast_of(cell: str) -> bool | None:
    """What a cell of the column Contrast says; None for other words than the set has."""
    return _TRUE.get(cell.strip().lower())


def _row(where: str, cell: dict[str, str]) -> OverviewRow:
    if any("\0" in value for value in cell.values()):
        raise FileFormatError(f"{where}: a NUL character", "save the table as plain text")
    contrast = contrast_of(cell["Contrast"])
    if contrast is None:
        raise FileFormatError(f"{where}: Contrast is {cell['Contrast']!r}", "True or False is allowed")
    row = OverviewRow(
        index=_whole(where, cell, "index", 10**9),
        age=_whole(where, cell, "Age", MAX_AGE),
        contrast=contrast,
        contrast_tag=cell["ContrastTag"].strip(),
        raw_input_path=cell["raw_input_path"],
        id=_whole(where, cell, "id", 10**9),
        tiff_name=cell["tiff_name"].strip(),
        dicom_name=cell["dicom_name"].strip(),
    )
    for column, name in (("tiff_name", row.tiff_name), ("dicom_name", row.dicom_name)):
        _check_name(where, column, name, row)
    return row


def _check_name(where: str, column: str, name: str, row: OverviewRow) -> None:
    try:
        parsed = parse_name(name)
    except FileFormatError as error:
        raise FileFormatError(f"{where}: {column}: {error}", "correct that line") from error
    if parsed is None:
        raise FileFormatError(f"{where}: {column} is {name!r}", "a plain file name of the data set is allowed")
    if (parsed.id, parsed.age, parsed.contrast) != (row.id, row.age, row.contrast):
        raise FileFormatError(
            f"{where}: {column} {name!r} contradicts id, Age or Contrast of its row", "correct the row or the name"
        )


def _whole(where: str, cell: dict[str, str], column: str, most: int) -> int:
    text = cell[column].strip()
    if not (text.isascii() and text.isdigit() and len(text) < 12) or int(text) > most:
        raise FileFormatError(f"{where}: {column} is {cell[column]!r}", f"a whole number from 0 to {most} is allowed")
    return int(text)
