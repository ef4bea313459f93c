"""Inputs of a run by series: which volumes the files make up, and what their outputs are called."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from ctfast.batch.choices import Axes, Orient, UnitsChoice
from ctfast.files import Series, read_series
from ctfast.files.find import FoundFile, Ignored

_OTHER: Final = re.compile(r"[^A-Za-z0-9]+")
_LONGEST: Final = 40


class Named(NamedTuple):
    """A volume of several slices and the path of its output without extension."""

    series: Series
    stem: Path


def group_files(
    items: Sequence[FoundFile], units: UnitsChoice, orient: Orient, axes: Axes
) -> tuple[list[Named], list[FoundFile], list[Ignored]]:
    """Volumes of slices, files that are done as in any run (volumes and single images), and copies of slices."""
    found = {Path(os.path.abspath(item.path)): item for item in items}
    named, single, copies = [], [], []
    for series in read_series(list(found), units=units, orient=orient, axes=axes):
        copies += [Ignored(found[copy].path, f"copy of {original}") for copy, original in series.copies]
        if len(series.sources) > 1:
            folders = [str(found[path].stem.parent) for path in series.files]
            named.append(Named(series, Path(os.path.commonpath(folders)) / name_of(series)))
        else:
            single.append(found[series.files[0]])
    return named, single, copies


def name_of(series: Series) -> str:
    """Series Number, Series Description and eight letters that no other volume has: ``4_Thorax-lung_1f0e9a3c``.

    It does not depend on the other files of the folder, and holds letters, digits, ``-`` and ``_`` alone.
    """
    parts = [_OTHER.sub("-", text)[:_LONGEST].strip("-") for text in (series.number, series.description)]
    return "_".join([*filter(None, parts)] or ["series"]) + f"_{series.key}"
