"""What ``ctfast report`` does: analyse, write the page, and whatever else was asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ctfast.analysis.pages.set_page import write_report
from ctfast.analysis.pages.slice_page import write_single_report
from ctfast.analysis.pages.svg import write_figures
from ctfast.analysis.pages.thumbnails import chosen_slices
from ctfast.analysis.scan.analyze import Analysis, analyze
from ctfast.analysis.wording import plural
from ctfast.batch.choices import Dataset, UnitsChoice
from ctfast.batch.cluster import check_address
from ctfast.batch.lines import print_line
from ctfast.batch.progress import Progress, no_progress, progress_bar
from ctfast.errors import UsageError, missing_extra
from ctfast.files import Found, find_images
from ctfast.files.find import by_reason
from ctfast.files.values import Values
from ctfast.pipeline import Pipeline

if TYPE_CHECKING:
    from rich.console import Console

_PACKAGES: Final = ("jinja2", "matplotlib", "scipy")
_MOST_LISTED: Final = 20


@dataclass(frozen=True)
class Written:
    """What a report run measured and wrote."""

    analysis: Analysis
    files: list[Path] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """Files that could not be read."""
        return len(self.analysis.collection.unread)


def report(
    inputs: str | Path | Sequence[str | Path],
    out: str | Path = "report.html",
    *,
    csv: str | Path | None = None,
    json: str | Path | None = None,
    figures: str | Path | None = None,
    pipeline: Pipeline | None = None,
    units: UnitsChoice = "auto",
    offset: int = 0,
    dataset: Dataset = "none",
    workers: int | None = None,
    modality: str = "CT",
    cluster: str | None = None,
    title: str = "CT intensity report",
    identified: bool = False,
    overwrite: bool = False,
    console: Console | None = None,
) -> Written:
    """Analyse slices and write the report: one self-contained HTML file.

    One file with one frame gets the page of a single slice, everything else the page of a set.

    Args:
        inputs: a folder (searched recursively), a glob, a file, or several of these.
        out: the HTML file.
        csv: file for the table of statistics, one row a slice.
        json: file for the same table, the flags and the files that could not be read.
        figures: folder for every figure as PNG, SVG and PDF.
        pipeline: whose steps are shown; default: the preset ``mediastinum``.
        units: what the files' values are: ``"auto"`` (as each file says), ``"hu"`` or ``"stored"``.
        offset: added to the values of every file, for sets that document one.
        dataset: a public set that files may be of, as for ``read_image``: ``"deeplesion"`` or ``"none"``.
        workers: files at work at once; default: the threads ctfast may use.
        modality: which DICOM images are taken, such as ``"CT"`` or ``"CT,PT"``; ``"any"`` takes all. Files that do not
            name their modality are always taken.
        cluster: whose workers measure: ``"local"`` or the address of a scheduler of dask.distributed; None: nobody's.
        title: heading of the page of a set.
        identified: as for ``analyze``.
        overwrite: replace files that exist.
        console: where progress is shown; default: nowhere.

    Raises:
        UsageError: an input that does not exist, an output that does, or one that is an input.
        ArgumentError: other ``units`` or ``dataset``, or both ``offset`` and ``dataset``.
        MissingDependencyError: the extra ``report`` is not installed.
    """
    listed = [inputs] if isinstance(inputs, (str, Path)) else list(inputs)
    _check_packages()
    Values(units, offset, dataset)
    check_address(cluster)
    images = find_images(listed)
    _check_outputs([Path(p) for p in (out, csv, json) if p is not None], images, overwrite)
    if figures is not None and not overwrite:
        _check_folder(Path(figures))
    with _shown(len(images.items), console) as progress:
        analysis = analyze(
            listed,
            units=units,
            offset=offset,
            dataset=dataset,
            workers=workers,
            modality=modality,
            cluster=cluster,
            identified=identified,
            progress=progress,
        )
    written = Written(analysis)
    if not analysis.records:
        return written  # a page about nothing would look like a result
    only = len(analysis.records) == 1 and analysis.records[0].frame is None and not images.roots
    if only:
        written.files.append(write_single_report(analysis, out, pipeline=pipeline))
    else:
        with _shown(len(chosen_slices(analysis)), console) as progress:
            page = write_report(analysis, out, pipeline=pipeline, title=title, progress=progress)
        written.files.append(page)
    if csv is not None:
        analysis.table.to_csv(csv)
        written.files.append(Path(csv))
    if json is not None:
        analysis.to_json(json)
        written.files.append(Path(json))
    if figures is not None:
        written.files.extend(write_figures(analysis, Path(figures)))
    return written


def print_written(written: Written, console: Console) -> None:
    """The closing lines: what was measured, what could not be read, what was written."""
    analysis = written.analysis
    counted = Counter(flag.rule.title for flag in analysis.flags)
    totals = f"{plural(len(analysis.records), 'slice')}, {plural(len(analysis.flags), 'flag')}"
    console.print(totals, highlight=False)
    for title, number in counted.items():
        console.print(f"  {number:>6}  {title}", highlight=False, markup=False)
    if analysis.collection.ignored:
        print_line(f"left out: {by_reason(analysis.collection.ignored)}", console)
    for unread in analysis.collection.unread[:_MOST_LISTED]:
        print_line(f"not read: {unread.name}: {unread.reason}", console)
    if written.failed > _MOST_LISTED:
        console.print(f"and {written.failed - _MOST_LISTED} more that could not be read", highlight=False)
    if not analysis.records:
        console.print("nothing could be read: no page was written", highlight=False)
    for path in written.files[:_MOST_LISTED]:
        print_line(f"written: {path}", console)
    if len(written.files) > _MOST_LISTED:
        console.print(f"and {len(written.files) - _MOST_LISTED} more files beside it", highlight=False)


@contextmanager
def _shown(total: int, console: Console | None) -> Iterator[Progress]:
    if console is None:
        yield no_progress
        return
    with progress_bar(total, console) as progress:
        yield progress


def _check_folder(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists and is not an empty folder: choose a new one, or give overwrite=True")


def _check_packages() -> None:
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise missing_extra(f"the report needs {', '.join(missing)}", "report")


def _check_outputs(outputs: list[Path], images: Found, overwrite: bool) -> None:
    """Refused before any work: outputs that are inputs, folders, each other, or there already."""
    inputs = {item.path.absolute() for item in images.items}
    for path in outputs:
        if path.absolute() in inputs:
            raise UsageError(f"{path} is an input: choose another name for the output")
        if path.is_dir():
            raise UsageError(f"{path} is a folder: name a file in it")
        if path.exists() and not overwrite:
            raise UsageError(f"{path} exists: choose another name, or give overwrite=True")
    if len({path.absolute() for path in outputs}) < len(outputs):
        raise UsageError(f"one file for two outputs: {', '.join(map(str, outputs))}")
