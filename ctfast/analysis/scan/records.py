"""What is known about each slice and the whole set: facts from names, tables and headers, and statistics."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ctfast.analysis.scan.distributions import Distribution
from ctfast.analysis.scan.statistics import Number
from ctfast.analysis.wording import text_of
from ctfast.files import Unread
from ctfast.files.image import Units
from ctfast.files.values import Values

Fact = str | int | float | bool | None

MOST_CLASSES: Final = 12
"""More different labels or folders than these are names, not classes."""


@dataclass(slots=True)
class SliceRecord:
    """One slice: a file, or one frame of it.

    ``facts`` come from the file name, ``overview.csv`` and the header (``label``, ``age``, ``patient``, ``scanner``,
    ``kernel``, ``slice_thickness``, ``rescale_intercept``, ...); ``stats`` from the pixels (see ``measure``).
    """

    path: Path
    name: str
    """As shown: the path below the input folder."""
    frame: int | None
    format: str
    units: Units
    dtype: str
    shape: tuple[int, int]
    spacing: tuple[float, float] | None
    facts: dict[str, Fact]
    stats: dict[str, Number]
    hash: str
    short: str = ""
    """The end of ``name`` that no other slice has."""

    @property
    def label(self) -> str:
        """The class, or an empty text."""
        return str(self.facts.get("label") or "")

    @property
    def id(self) -> str:
        """The shortest name that people know the slice by."""
        number = self.facts.get("id")
        short = f"ID_{number:04d}" if isinstance(number, int) else self.short or Path(self.name).name
        return short if self.frame is None else f"{short} [{self.frame}]"


@dataclass
class Collection:
    """All slices of a report, in the order of the files, with the counts of pixel values by class."""

    inputs: tuple[str, ...]
    records: list[SliceRecord] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)
    ignored: list[Unread] = field(default_factory=list)
    pixels: dict[str, Distribution] = field(default_factory=dict)
    """HU slices only: all their pixel values, by class."""
    notes: list[str] = field(default_factory=list)
    """What a reader should know about how the set was read."""
    seconds: float = 0.0
    values: Values = field(default_factory=Values)
    """How files were read, and are read again for pictures."""

    @property
    def labels(self) -> list[str]:
        """The classes, most frequent first; more than twelve are no classes."""
        counted = Counter(r.label for r in self.records if r.label)
        return [label for label, _ in counted.most_common()] if len(counted) <= MOST_CLASSES else []

    @property
    def hu(self) -> list[SliceRecord]:
        """The slices whose values are known to be HU."""
        return [r for r in self.records if r.units == "hu"]

    def count(self, fact: str) -> list[tuple[str, int]]:
        """Values of a fact with their number of slices, most frequent first."""
        counted = Counter(text_of(r.facts.get(fact)) for r in self.records)
        counted.pop("", None)
        return counted.most_common()
