"""Which slices a training set holds, and what is known of each: class and patient.

Labels come from the first of these that is there: a table that was given; the Kaggle layout (``overview.csv``, or the
names of its files); folders, one per class. A slice that lies there as TIFF and as DICOM (the Kaggle set has both) is
one sample: the TIFF gives the pixels, the DICOM file tells the patient.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ctfast.errors import FileFormatError, UsageError
from ctfast.files import (
    CONTRAST,
    SPLITS,
    Found,
    FoundFile,
    Ignored,
    KaggleName,
    find_images,
    find_overview,
    parse_name,
)
from ctfast.files.kaggle import contrast_of, is_overview
from ctfast.model.data._label_table import LabelTable, read_label_table

Paths = str | Path | Sequence[str | Path]
KAGGLE_CLASSES: Final = (CONTRAST[False], CONTRAST[True])
_MOST_NAMED: Final = 5
_NOTHING: Final = ("nan", "na", "n/a", "none", "null", "<na>")
"""What tables of other programs hold where they know nothing."""


@dataclass
class Sample:
    """One slice, or one file of several frames.

    Attributes:
        name: As the user would name it: the path below the input folder.
        paths: The same slice in one or more files; the first that can be read gives the pixels.
        label: Class, if known.
        group: Patient by the table's word, if it has one.
        kaggle: What the name says, for files of the Kaggle set.
    """

    name: str
    paths: list[Path]
    label: str | None = None
    group: str | None = None
    kaggle: KaggleName | None = None


@dataclass
class Samples:
    """What a set consists of before any pixel is read."""

    items: list[Sample]
    classes: tuple[str, ...]
    source: str
    """Where the labels come from, in words."""
    ignored: tuple[Ignored, ...] = ()
    warnings: list[str] = field(default_factory=list)


def find_samples(
    inputs: Paths,
    *,
    labels: str | Path | None = None,
    column: str | None = None,
    groups: str | None = None,
    classes: Sequence[str] | None = None,
) -> Samples:
    """Find slices, their classes and patients.

    Args:
        inputs: Folder, pattern, files, or several of these; or one ``.csv`` file that names slices beside it.
        labels: Table (CSV with a header) that names files and their classes.
        column: Its column of classes; default ``label``, ``class``, ``target`` or the only one. Without ``labels``
            the column of ``overview.csv``, by default ``Contrast``.
        groups: Its column of patients.
        classes: The only classes allowed, in the order of their numbers; default: those that are there, sorted.

    Raises:
        UsageError: No slices, no labels at all, one class only, or labels that cannot be classes.
        FileFormatError: A table that contradicts itself or cannot be read; says where.
    """
    paths = [inputs] if isinstance(inputs, str | Path) else list(inputs)
    if labels is None and len(paths) == 1 and str(paths[0]).lower().endswith(".csv"):
        labels = Path(paths[0])
        paths = [labels.absolute().parent]
    files = find_images(paths)
    samples = Samples(_merge_twins(files), (), "", _without(files.ignored, labels))
    roots = files.roots or tuple(dict.fromkeys(item.path.parent for item in files.items))
    kaggle_order = _label(samples, roots, labels, column, groups)
    samples.classes = _class_order(samples, classes, kaggle_order)
    samples.warnings += _alike(samples.classes)
    missing = [s.name for s in samples.items if s.label is None]
    if missing:
        samples.warnings.append(f"{listed(missing)} without a label ({samples.source}): left out of training")
    return samples


def listed(names: Sequence[str]) -> str:
    """How many, and the first few: ``3 files (a, b, c)``."""
    first = ", ".join(names[:_MOST_NAMED])
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"{len(names)} {'file' if len(names) == 1 else 'files'} ({first}{more})"


def _without(ignored: Sequence[Ignored], labels: str | Path | None) -> tuple[Ignored, ...]:
    used = {Path(labels).absolute()} if labels is not None else set()
    return tuple(i for i in ignored if i.path.name != "overview.csv" and i.path.absolute() not in used)


def _merge_twins(files: Found) -> list[Sample]:
    """One sample a slice: files of the Kaggle pattern that differ in folder and extension only are the same slice."""
    merged: dict[str, Sample] = {}
    for item in files.items:
        name = _name_of(item)
        try:
            kaggle = parse_name(item.path.name)
        except FileFormatError:
            kaggle = None  # a name like the pattern that breaks it says nothing; the pixels may still have a label
        # "TIFF first" is also the alphabet's order of the extensions reversed, so it is said outright.
        key = name if kaggle is None else item.path.stem.casefold()
        sample = merged.get(key)
        if sample is None or (kaggle is not None and _same_format(sample, item)):
            merged[key if sample is None else name] = Sample(name, [item.path], kaggle=kaggle)
        elif item.path.suffix.lower() == ".dcm":
            sample.paths.append(item.path)
        else:
            sample.paths.insert(0, item.path)
            sample.name = name
    return list(merged.values())


def _same_format(sample: Sample, item: FoundFile) -> bool:
    is_dicom = item.path.suffix.lower() == ".dcm"
    return any((path.suffix.lower() == ".dcm") == is_dicom for path in sample.paths)


def _name_of(item: FoundFile) -> str:
    return item.stem.with_name(item.path.name).as_posix()


def _label(
    samples: Samples, roots: Sequence[Path], labels: str | Path | None, column: str | None, groups: str | None
) -> bool:
    """Fill in classes and patients; returns whether the classes are those of the Kaggle set."""
    if labels is not None:
        of_kaggle = column is None and is_overview(labels)
        _from_table(samples, read_label_table(labels, "Contrast" if of_kaggle else column, groups), roots)
        return of_kaggle and _rename_contrast(samples)
    if column is not None or groups is not None:
        overview_file = next((p / "overview.csv" for p in _folders(roots) if (p / "overview.csv").is_file()), None)
        if overview_file is None:
            raise UsageError(f"{column or groups!r} is a column of which table? Give labels=FILE.csv")
        _from_table(samples, read_label_table(overview_file, column or "Contrast", groups), roots)
        return column in (None, "Contrast") and _rename_contrast(samples)
    if any(s.kaggle is not None for s in samples.items):
        overview = find_overview(roots)
        samples.warnings += overview.notes
        for sample in samples.items:
            row = next((overview.rows[p.name] for p in sample.paths if p.name in overview.rows), None)
            if row is not None:
                sample.label = CONTRAST[row.contrast]
            elif sample.kaggle is not None:
                sample.label = CONTRAST[sample.kaggle.contrast]
        there = {path.name for s in samples.items for path in s.paths}
        absent = {r.tiff_name for r in overview.rows.values() if not there & {r.tiff_name, r.dicom_name}}
        if absent:
            samples.warnings.append(f"{listed(sorted(absent))} of overview.csv not found")
        samples.source = "overview.csv" if overview.rows else "names of the Kaggle pattern"
        return True
    _from_folders(samples)
    return False


def _folders(roots: Sequence[Path]) -> list[Path]:
    return list(dict.fromkeys(p.absolute() for root in roots for p in (root, root.absolute().parent)))


def _rename_contrast(samples: Samples) -> bool:
    for sample in samples.items:
        if sample.label is not None:
            contrast = contrast_of(sample.label)
            if contrast is None:
                raise UsageError(f"{samples.source}: {sample.label!r} for {sample.name}; True or False is allowed")
            sample.label = CONTRAST[contrast]
    return True


def _from_table(samples: Samples, table: LabelTable, roots: Sequence[Path]) -> None:
    samples.source = f"column {table.column!r} of {table.path.name}"
    used: set[int] = set()
    rows_of = {path: table.rows_of(path, roots) for sample in samples.items for path in sample.paths}
    table.refuse_ambiguous(rows_of)
    for sample in samples.items:
        rows = {k for path in sample.paths for k in rows_of[path]}
        if len({table.rows[k].label for k in rows}) > 1 or len({table.rows[k].group for k in rows}) > 1:
            lines = ", ".join(str(table.rows[k].line) for k in sorted(rows))
            raise FileFormatError(
                f"{table.path}: lines {lines} contradict each other about {sample.name}", "correct one of them"
            )
        for k in rows:
            sample.label, sample.group = table.rows[k].label, table.rows[k].group
        used |= rows
    if not used:
        raise UsageError(
            f"{table.path}: none of its {len(table.rows)} rows names a slice that was found; the first names "
            f"{table.rows[0].file!r}, a slice found is {samples.items[0].name!r}"
        )
    found = {table.rows[k].line for k in used}  # a line may name a slice's TIFF and its DICOM file
    absent = [row.file for row in table.rows if row.line not in found]
    if absent:
        samples.warnings.append(f"{listed(absent)} of {table.path.name} not found")
    if table.not_asked is not None:
        samples.warnings.append(
            f"the column {table.not_asked!r} of {table.path.name} is not asked for patients: --groups "
            f"{table.not_asked!r} (groups=) keeps their slices on one side of a split"
        )
    alone = [s.name for s in samples.items if s.label is not None and s.group is None]
    if alone and len(alone) < sum(s.label is not None for s in samples.items):
        samples.warnings.append(f"{listed(alone)} without a patient in {table.path.name}, which others have")


def _from_folders(samples: Samples) -> None:
    """The first folder that differs is the class; train/validation/test folders above or below it are not."""
    parts = [[p for p in Path(s.name).parts[:-1] if p.lower() not in SPLITS] for s in samples.items]
    depth = 0
    while all(len(p) > depth + 1 for p in parts) and len({p[depth] for p in parts}) == 1:
        depth += 1
    for sample, names in zip(samples.items, parts):
        sample.label = names[depth] if len(names) > depth else None
    samples.source = "folder names"
    below = {names[depth + 1] for names in parts if len(names) > depth + 1}
    classes = {s.label for s in samples.items if s.label is not None}
    if all(len(names) > depth + 1 for names in parts) and 1 < len(below) < len(classes):
        samples.warnings.append(
            f"the folders {_named(classes)} are taken for the classes, which hold folders of the names "
            f"{_named(below)}: are these the classes? Then put them above, or give labels=FILE.csv"
        )
    if all(s.label is None for s in samples.items):
        raise UsageError(
            "no labels: give labels=FILE.csv (columns file and label), a folder for each class, or the Kaggle layout "
            "with overview.csv"
        )


def _named(names: Iterable[str]) -> str:
    known = sorted(names)
    return ", ".join(known[:_MOST_NAMED]) + (", ..." if len(known) > _MOST_NAMED else "")


def _class_order(samples: Samples, given: Sequence[str] | None, kaggle: bool) -> tuple[str, ...]:
    counts = Counter(s.label for s in samples.items if s.label is not None)
    if given is not None:
        foreign = [s.name for s in samples.items if s.label is not None and s.label not in given]
        if foreign:
            others = sorted(set(counts) - set(given))
            raise UsageError(
                f"{listed(foreign)} of other classes than {', '.join(given)}: {', '.join(others[:_MOST_NAMED])} "
                f"({samples.source}); give labels= or column= with the model's classes"
            )
        return tuple(given)
    if len(counts) < 2:
        what = f"only the class {next(iter(counts))!r}" if counts else "no label for any slice"
        raise UsageError(
            f"{what} ({samples.source}) for {len(samples.items)} slices: two or more classes are needed; "
            "give labels=FILE.csv or column="
        )
    if len(counts) > 20 and len(counts) > len(samples.items) / 4:
        raise UsageError(
            f"{len(counts)} different labels for {len(samples.items)} slices ({samples.source}): "
            "these are no classes; choose another column="
        )
    if kaggle:
        return KAGGLE_CLASSES
    return tuple(sorted(counts, key=_sort_key))


def _alike(classes: Sequence[str]) -> list[str]:
    """Warnings of classes that are one class written in two ways, or none."""
    ways: dict[object, list[str]] = {}
    for name in classes:
        kind, number, text = _sort_key(name)
        ways.setdefault(text if kind or math.isnan(number) else number, []).append(name)
    pairs = [" and ".join(map(repr, names)) for names in ways.values() if len(names) > 1]
    empty = [repr(name) for name in classes if name.casefold() in _NOTHING]
    return [f"classes {pair} count as different: are they the same?" for pair in pairs] + [
        f"{name} counts as a class: leave cells empty where the class is not known" for name in empty
    ]


def _sort_key(label: str) -> tuple[int, float, str]:
    try:
        return (0, float(label), label)
    except ValueError:
        return (1, 0.0, label.casefold())
