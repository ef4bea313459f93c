"""The statistics as a table: rows of plain values, CSV and JSON, and a rich view in notebooks."""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ctfast.analysis.scan.records import SliceRecord
from ctfast.analysis.scan.tissues import CONTRAST_BAND, TISSUES
from ctfast.batch.atomic import write_text
from ctfast.batch.cells import safe_cell

Value = str | int | float | bool | None
Row = dict[str, Value]

_MOST_SHOWN: Final = 60


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the page's table."""

    key: str
    title: str
    help: str
    digits: int | None = None
    """Decimals shown; None for text."""
    percent: bool = False


COLUMNS: Final = (
    Column("slice", "Slice", "short name"),
    Column("label", "Class", "from the name, overview.csv, or the folder"),
    Column("age", "Age", "years", 0),
    Column("patient", "Patient", "DICOM PatientID, or its stand-in"),
    Column("scanner", "Scanner", "manufacturer and model"),
    Column("slice_thickness", "Thickness", "mm", 2),
    Column("kernel", "Kernel", "reconstruction kernel"),
    Column("size", "Size", "rows × columns"),
    Column("units", "Units", "units of the pixel values"),
    Column("min", "Min", "of all pixels", 0),
    Column("q1", "Q1", "first quartile, without padding", 1),
    Column("median", "Median", "without padding", 1),
    Column("q3", "Q3", "third quartile, without padding", 1),
    Column("max", "Max", "of all pixels", 0),
    Column("mean", "Mean", "without padding", 1),
    Column("sd", "SD", "population standard deviation, without padding", 1),
    Column("noise_sd", "Noise", "HU, standard deviation in soft tissue", 1),
    Column("contrast_band_share", f"{CONTRAST_BAND[0]}-{CONTRAST_BAND[1]} HU", "share of the pixels", 2, True),
    Column("padding_share", "Padding", "share of the pixels below -1024 HU", 1, True),
    Column("saturated_pixels", "Saturated", "pixels at 3071 HU or above", 0),
    Column("body_share", "Body", "share of the pixels", 1, True),
    Column("lung_share", "Lung", "share of the pixels", 1, True),
    *(
        Column(f"body_{t.key}", t.name.capitalize(), f"share of the body, {t.range_text}", 1, True)
        for t in TISSUES
        if t.key in ("fat", "soft", "contrast", "compact")
    ),
    Column("flags", "Flags", "number of flags", 0),
)


def title_of(key: str) -> str:
    """A column's title for axes; the key itself for columns that the page does not show."""
    return next((c.title for c in COLUMNS if c.key == key), key.replace("_", " "))


def row_of(record: SliceRecord, flags: Sequence[str] = ()) -> Row:
    """Everything about a slice as one flat row; ``flags`` are the keys of its rules."""
    row: Row = {
        "file": record.name,
        "frame": record.frame,
        "slice": record.id,
        "format": record.format,
        "units": record.units,
        "dtype": record.dtype,
        "rows": record.shape[0],
        "columns": record.shape[1],
        "row_spacing": record.spacing[0] if record.spacing else None,
        "column_spacing": record.spacing[1] if record.spacing else None,
    }
    return {**row, **record.facts, **record.stats, "pixel_hash": record.hash, "flags": " ".join(flags)}


@dataclass(frozen=True)
class StatisticsTable:
    """One row a slice, every fact and statistic a column; shows itself in notebooks."""

    rows: tuple[Row, ...]

    @property
    def columns(self) -> list[str]:
        """Every key that some row has, in the order of appearance."""
        return list(dict.fromkeys(key for row in self.rows for key in row))

    def column(self, key: str) -> list[Value]:
        """One column, None where a row has no value."""
        return [row.get(key) for row in self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def to_csv(self, path: str | Path | None = None) -> str:
        """As CSV (UTF-8, full precision); written to ``path`` where one is given.

        Text that a spreadsheet would run as a formula is quoted with an apostrophe.
        """
        out = io.StringIO(newline="")
        writer = csv.DictWriter(out, self.columns, lineterminator="\n")
        writer.writeheader()
        for row in self.rows:
            writer.writerow({key: safe_cell(v) if isinstance(v, str) else v for key, v in row.items()})
        return _written(out.getvalue(), path)

    def to_json(self, path: str | Path | None = None) -> str:
        """As a JSON list of objects; written to ``path`` where one is given."""
        return _written(json.dumps(list(self.rows), ensure_ascii=False, indent=1), path)

    def _repr_html_(self) -> str:
        """The page's columns, the first 60 rows."""
        shown = [c for c in COLUMNS if any(cell(row, c) for row in self.rows)]
        head = "".join(f'<th title="{html.escape(c.help)}">{html.escape(c.title)}</th>' for c in shown)
        body = "".join(
            f"<tr>{''.join(f'<td>{html.escape(cell(row, c))}</td>' for c in shown)}</tr>"
            for row in self.rows[:_MOST_SHOWN]
        )
        left = len(self.rows) - _MOST_SHOWN
        more = f"<p>and {left:,} more slices; <code>.rows</code> holds them all</p>" if left > 0 else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def raw(row: Row, column: Column) -> Value:
    """The value behind a cell: what the column sorts by."""
    if column.key == "size":
        return f"{row['rows']} × {row['columns']}"
    if column.key == "flags":
        return len(str(row["flags"] or "").split())
    return row.get(column.key)


def cell(row: Row, column: Column) -> str:
    """A cell as shown."""
    value = raw(row, column)
    if value is None or value == "":
        return ""
    if column.digits is None or isinstance(value, str):
        return str(value)
    number = value * 100 if column.percent else value
    return f"{number:,.{column.digits}f}{'%' if column.percent else ''}"


def _written(text: str, path: str | Path | None) -> str:
    if path is not None:
        write_text(path, text)
    return text
