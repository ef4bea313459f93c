"""``analyze``: from files to statistics, flags and a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from ctfast import __version__
from ctfast.analysis.flags.rules import DISCLAIMER, Flag, find_flags
from ctfast.analysis.scan.compare import Separation, separations
from ctfast.analysis.scan.distributions import Distribution
from ctfast.analysis.scan.pseudonyms import hide_identities
from ctfast.analysis.scan.records import Collection, SliceRecord
from ctfast.analysis.scan.scan_set import collect
from ctfast.analysis.scan.table import StatisticsTable, row_of
from ctfast.batch.atomic import write_text
from ctfast.batch.choices import Dataset
from ctfast.batch.progress import Progress, no_progress
from ctfast.files import UnitsChoice
from ctfast.files.values import Values


@dataclass(frozen=True)
class Analysis:
    """The slices of a set with their statistics, and the flags."""

    collection: Collection
    flags: tuple[Flag, ...]

    @property
    def records(self) -> list[SliceRecord]:
        """The slices, in the order of the files."""
        return self.collection.records

    @cached_property
    def rules_of(self) -> list[list[str]]:
        """The keys of the rules that each slice met."""
        keys: list[dict[str, None]] = [{} for _ in self.records]
        for flag in self.flags:
            for index in flag.slices:
                keys[index][flag.rule.key] = None
        return [list(of_slice) for of_slice in keys]

    @cached_property
    def table(self) -> StatisticsTable:
        """One row a slice."""
        return StatisticsTable(tuple(map(row_of, self.records, self.rules_of)))

    @cached_property
    def separations(self) -> tuple[tuple[str, str], list[Separation]] | None:
        """What tells the two classes apart, strongest first; None for other than two classes."""
        return separations(self.collection)

    @cached_property
    def pixels(self) -> dict[str, Distribution]:
        """All HU of each class; of the whole set where there are no classes."""
        by_class = self.collection.pixels
        labels = self.collection.labels
        if labels and all(label in by_class for label in labels):
            rest = {label: by_class[label] for label in sorted(labels)}
            return rest | ({"no class": by_class[""]} if "" in by_class else {})
        total: Distribution | None = None
        for counts in by_class.values():
            total = counts if total is None else total + counts
        return {} if total is None else {"all slices": total}

    def to_json(self, path: str | Path | None = None) -> str:
        """Slices, flags, unreadable files and what separates the classes, as one JSON object."""
        separated = self.separations
        data = {
            "inputs": list(self.collection.inputs),
            "version": __version__,
            "notice": DISCLAIMER,
            "slices": list(self.table.rows),
            "flags": [
                {**flag.rule.to_dict(), "slices": [self.records[i].name for i in flag.slices], "value": flag.value}
                for flag in self.flags
            ],
            "unread": [asdict(unread) for unread in self.collection.unread],
            "separations": [asdict(s) for s in separated[1]] if separated else [],
        }
        text = json.dumps(data, ensure_ascii=False, indent=1)
        if path is not None:
            write_text(path, text)
        return text

    def _repr_html_(self) -> str:
        return self.table._repr_html_()


def analyze(
    inputs: str | Path | Sequence[str | Path],
    *,
    units: UnitsChoice = "auto",
    offset: int = 0,
    dataset: Dataset = "none",
    workers: int | None = None,
    identified: bool = False,
    modality: str = "CT",
    cluster: str | None = None,
    progress: Progress = no_progress,
) -> Analysis:
    """Measure every slice of files, folders or patterns and flag what stands out.

    Args:
        inputs: a folder (searched recursively), a glob, a file, or several of these.
        units: what the files' values are: ``"auto"`` (as each file says), ``"hu"`` or ``"stored"``.
        offset: added to the values of every file, for sets that document one.
        dataset: a public set that files may be of, as for ``read_image``: ``"deeplesion"`` or ``"none"``.
        workers: files at work at once; default: the threads ctfast may use.
        identified: show PatientID, Study and Series Instance UID and the inputs' folders as they are; otherwise
            stand-ins, see ``pseudonyms``. File names are shown in any case.
        modality: which DICOM images are taken, such as ``"CT"`` or ``"CT,PT"``; ``"any"`` takes all.
        cluster: whose workers measure: ``"local"`` or the address of a scheduler of dask.distributed; None: nobody's.
        progress: called after each file.

    Raises:
        UsageError: an input that does not exist, or nothing to measure.
        MissingDependencyError: SciPy is not installed (extra ``report``).
    """
    listed = [inputs] if isinstance(inputs, (str, Path)) else list(inputs)
    collection = collect(
        listed,
        values=Values(units, offset, dataset),
        workers=workers,
        modality=modality,
        cluster=cluster,
        progress=progress,
    )
    if not identified:
        hide_identities(collection)
    return Analysis(collection, tuple(find_flags(collection)))
