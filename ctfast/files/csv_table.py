"""Tables that people bring: CSV files with a header, in UTF-8."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ctfast.errors import FileFormatError

Rows = Iterator[tuple[int, dict[str, str]]]
"""The line of each row that is not empty, and its cells by column."""


def read_table(path: Path, *, most_bytes: int, delimiters: str = ",") -> tuple[list[str], Rows]:
    """Open a table (with or without BOM, any line ends).

    Args:
        path: The file.
        most_bytes: Size beyond which it is not taken for a table of the kind.
        delimiters: What may separate cells; the one that the first line has most of does.

    Returns:
        The names of the columns, and the rows.

    Raises:
        OSError: If it cannot be opened.
        FileFormatError: For what is no such table, at once or while rows are read; says the line.
    """
    with path.open("rb") as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise FileFormatError(f"{path}: over {most_bytes} bytes, no table of images", "give the table of the data set")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileFormatError(
            f"{path}: not UTF-8 text ({error.reason} at byte {error.start})", "save the table as CSV in UTF-8"
        ) from error
    delimiter = max(delimiters, key=text.partition("\n")[0].count)
    lines = _lines(path, csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    header = [name.strip() for name in next(lines, (1, []))[1]]
    return header, _rows(path, header, lines)


def _lines(path: Path, reader: Any) -> Iterator[tuple[int, list[str]]]:
    try:
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error as error:
        raise FileFormatError(f"{path}, line {max(reader.line_num, 1)}: {error}", "correct that line") from error


def _rows(path: Path, header: list[str], lines: Iterator[tuple[int, list[str]]]) -> Rows:
    for line, cells in lines:
        if not any(cells):
            continue
        if len(cells) != len(header):
            raise FileFormatError(
                f"{path}, line {line}: {len(cells)} cells for {len(header)} columns", "correct that line"
            )
        yield line, dict(zip(header, cells))
