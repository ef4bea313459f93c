"""What the page's scripts work on: the table, the flags of each slice and the pictures, as one JSON object."""

from __future__ import annotations

from typing import Any

from ctfast.analysis.flags.outliers import FEWEST, LARGEST_Z
from ctfast.analysis.flags.rules import RULES
from ctfast.analysis.pages.thumbnails import Gallery
from ctfast.analysis.plots.axes import class_colors
from ctfast.analysis.scan.analyze import Analysis
from ctfast.analysis.scan.table import COLUMNS, Column, Row, raw


def page_data(analysis: Analysis, gallery: Gallery) -> dict[str, Any]:
    """The object that the scripts read."""
    rows = analysis.table.rows
    columns = [c for c in COLUMNS if c.key in ("slice", "flags") or any(raw(row, c) not in (None, "") for row in rows)]
    keys = list(RULES)
    details: list[list[tuple[int, str]]] = [[] for _ in rows]
    for flag in analysis.flags:
        for index in flag.slices:
            details[index].append((keys.index(flag.rule.key), flag.value))
    labels = [r.label for r in analysis.records]
    return {
        "columns": [{"key": c.key, "title": c.title, "help": c.help, "digits": c.digits, "percent": c.percent}
                    for c in columns],
        "names": [r.name if r.frame is None else f"{r.name} [{r.frame}]" for r in analysis.records],
        "labels": labels,
        "colors": class_colors(labels),
        "rows": [[_short(row, c) for c in columns] for row in rows],
        "flags": [[keys.index(key) for key in rules] for rules in analysis.rules_of],
        "details": details,
        "outliers": {"z": LARGEST_Z, "fewest": FEWEST},
        "rules": [{"key": r.key, "title": r.title, "level": r.level} for r in RULES.values()],
        "kinds": gallery.kinds,
        "pictures": gallery.uris,
        "side": gallery.side,
        "thumb": 0,
    }  # fmt: skip


def _short(row: Row, column: Column) -> Any:
    value = raw(row, column)
    return float(f"{value:.7g}") if isinstance(value, float) else value
