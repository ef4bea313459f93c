"""Read and measure many files: a bounded number in flight, statistics kept, pixels let go."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np

from ctfast.analysis.scan.distributions import Distribution
from ctfast.analysis.scan.metadata import facts_of, label_by_folder
from ctfast.analysis.scan.names import name_of, shortest, told_apart
from ctfast.analysis.scan.records import Collection, SliceRecord
from ctfast.analysis.scan.statistics import SliceStatistics, measure
from ctfast.batch.cluster import connected, share_of_memory
from ctfast.batch.limits import bytes_per_file
from ctfast.batch.progress import Progress, no_progress
from ctfast.batch.workers import DIED, bounded_map
from ctfast.errors import UsageError
from ctfast.files import (
    FoundFile,
    Ignored,
    Image,
    Limits,
    Overview,
    Unread,
    find_images,
    find_overview,
)
from ctfast.files.asked import LeftOutError, check_modality
from ctfast.files.find import by_reason
from ctfast.files.in_reach import out_of_reach
from ctfast.files.reading import read_as
from ctfast.files.twins import without_twins
from ctfast.files.values import AS_FILES_SAY, Values
from ctfast.threads import get_num_threads

Measured = list[tuple[SliceRecord, Distribution]]
Outcome = Measured | Unread | Ignored
_WIDEST: Final = 1 << 17
"""Counts of a class are kept while they span no more than this many HU."""


def collect(
    inputs: Sequence[str | Path],
    *,
    values: Values = AS_FILES_SAY,
    workers: int | None = None,
    modality: str = "CT",
    cluster: str | None = None,
    progress: Progress = no_progress,
) -> Collection:
    """Measure every slice that the inputs stand for.

    Args:
        inputs: folders, patterns and files, as for ``ctfast run``.
        values: what the files' values are.
        workers: files at work at once; default: the threads ctfast may use.
        modality: which DICOM images are taken, as for ``ctfast run``; the others are listed in ``ignored``.
        cluster: whose workers measure, as for ``ctfast run``.
        progress: called after each file.

    Files that cannot be read are listed in ``unread`` with the reason and never stop the others.

    Raises:
        UsageError: an input that does not exist.
    """
    start = time.perf_counter()
    images = without_twins(find_images(inputs), keep_dicom=find_spec("pydicom") is not None)
    roots = images.roots or tuple(dict.fromkeys(item.path.parent for item in images.items))
    overview = find_overview(roots)
    result = Collection(tuple(map(str, inputs)), values=values, notes=list(overview.notes))
    names = {"overview.csv"} if overview.rows else set()
    result.ignored = [Unread(str(i.path), i.reason) for i in images.ignored if i.path.name not in names]

    workers = workers or get_num_threads()
    work = partial(_measure_files, overview=overview, values=values, modality=modality)

    by_label: dict[str, Distribution] = {}
    by_folder: dict[str, Distribution] = {}
    for done, outcome in enumerate(_outcomes(work, told_apart(images.items), workers, cluster), 1):
        if isinstance(outcome, Unread):
            result.unread.append(outcome)
        elif isinstance(outcome, Ignored):
            result.ignored.append(Unread(str(outcome.path), outcome.reason))
        else:
            for record, pixels in outcome:
                result.records.append(record)
                if record.units == "hu" and pixels.step == 1:
                    _add(by_label if record.label else by_folder, record.label or _folder(record), pixels)
        progress(done=done, failed=len(result.unread))
    if not result.records and not result.unread:
        raise UsageError(f"nothing to measure; left out: {by_reason(result.ignored)}")
    short = shortest([record.name for record in result.records])
    for record in result.records:
        record.short = short[record.name]
    result.pixels = by_label
    _add_folders(result, by_folder)
    result.seconds = time.perf_counter() - start
    return result


def _outcomes(
    work: Callable[..., list[Outcome]], items: Sequence[FoundFile], workers: int, cluster: str | None
) -> Iterator[Outcome]:
    """What each file gave, in their order, however many are at work."""
    seen = partial(out_of_reach, [item.path for item in items[:1]])
    with connected(cluster, workers, seen) as connection:
        if connection is None:
            measure_item = partial(work, max_bytes=bytes_per_file(workers))
            yield from chain.from_iterable(bounded_map(lambda item: measure_item([item]), items, workers))
        else:
            yield from chain.from_iterable(connection.map(work, items, len(items), _died, ordered=True))


def _died(items: Sequence[FoundFile]) -> list[Outcome]:
    return [Unread(name_of(item), DIED) for item in items]


def _measure_files(
    items: Sequence[FoundFile],
    *,
    overview: Overview,
    values: Values,
    modality: str,
    max_bytes: int | None = None,
) -> list[Outcome]:
    """Some files; on a worker of a cluster, which has its own memory, without ``max_bytes``."""
    limits = Limits(max_bytes=share_of_memory() if max_bytes is None else max_bytes)
    return [measure_file(item, overview, values, limits, modality) for item in items]


def _folder(record: SliceRecord) -> str:
    return str(record.facts.get("folder", ""))


def _add_folders(result: Collection, by_folder: dict[str, Distribution]) -> None:
    """The pixels without a label: only now, with all slices read, it is known whether their folders are classes."""
    classes: dict[str, str] = {}
    if label_by_folder([r.facts for r in result.records]):
        result.notes.append("No labels in names or overview.csv: the folders are shown as classes.")
        classes = {_folder(r): r.label for r in result.records}
    for folder, pixels in by_folder.items():
        _add(result.pixels, classes.get(folder, ""), pixels)


def _add(groups: dict[str, Distribution], group: str, pixels: Distribution) -> None:
    if group not in groups and len(groups) >= 64:
        group = ""  # folders by the thousand are no classes; their pixels still count for the whole set
    total = groups[group] + pixels if group in groups else pixels
    if len(total.counts) <= _WIDEST:
        groups[group] = total


def measure_file(item: FoundFile, overview: Overview, values: Values, limits: Limits, modality: str = "any") -> Outcome:
    """The records of a file, one a frame, or why there are none."""
    name = name_of(item)
    try:
        image = read_as(item.path, values, limits)
        check_modality(image.meta.get("modality"), modality)
        facts = facts_of(image, name, overview)
        several = image.pixels.ndim == 3
        frames = image.pixels if several else image.pixels[np.newaxis]
        measured = [measure(f, units=image.units, spacing=image.spacing, padding=image.padding_range) for f in frames]
        return [
            (record_of(image, name, k if several else None, facts, one), one.pixels) for k, one in enumerate(measured)
        ]
    except LeftOutError as error:
        return Ignored(item.path, str(error))
    except Exception as error:  # one bad file never stops a report, whatever a decoder raises
        reason = str(error).removeprefix(f"{item.path}: ")
        return Unread(name, reason or type(error).__name__)


def record_of(image: Image, name: str, frame: int | None, facts: dict, measured: SliceStatistics) -> SliceRecord:
    """One slice as the report keeps it."""
    height, width = image.pixels.shape[-2:]
    return SliceRecord(
        path=image.source,
        name=name,
        frame=frame,
        format=image.format,
        units=image.units,
        dtype=str(image.pixels.dtype),
        shape=(height, width),
        spacing=image.spacing,
        facts=dict(facts),
        stats=measured.stats,
        hash=measured.hash,
    )
