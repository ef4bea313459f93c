"""What can't succeed for any file is refused before any work, with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ctfast.batch import remote
from ctfast.batch.urls import Url, place, scheme_of
from ctfast.dispatch.chain import check_chain
from ctfast.errors import CTFastError, UsageError
from ctfast.files.formats import Format, by_extension, written
from ctfast.files.image import PIXEL_DTYPES
from ctfast.pipeline import Pipeline

if TYPE_CHECKING:
    from ctfast.runner.settings import Settings

_PNG = ("uint8", "uint16")


def refuse_impossible(sources: Iterable[str], pipeline: Pipeline, output: Format) -> None:
    """Check the packages that inputs and outputs need, and whether the outputs' format holds what the pipeline gives.

    Raises:
        MissingDependencyError: names the pip command.
        UsageError: no input gives pixels that the format holds.
    """
    needed = {kind for kind in map(by_extension, sources) if kind is not None}
    for kind in needed if output.writer_alone else {*needed, output}:
        kind.check_package()
    results = _result_dtypes(pipeline) if output.name == "png" else set()
    if results and results.isdisjoint(_PNG):
        raise UsageError(
            f"format='png' holds {' and '.join(_PNG)}; this pipeline gives {', '.join(sorted(results))}: choose "
            "another format, or end with a window step with dtype=uint8"
        )


def refuse_urls(inputs: Sequence[str | Path], out: Path, settings: Settings, pool: str) -> None:
    """What URLs can't do: their packages, series, outputs that are folders, memory that processes do not share.

    Raises:
        MissingDependencyError: names the pip command.
        UsageError: with what to do.
    """
    urls = [path for path in (*map(place, inputs), out) if isinstance(path, Url)]
    for url in urls:
        remote.check(url)
    if settings.series and any(path is not out for path in urls):
        raise UsageError("series=True: slices of a volume are read from disks alone; copy them to one")
    kind = written(settings.format)
    if kind.folder and isinstance(out, Url):
        raise UsageError(f"format={kind.word!r}: folders are written to disks alone; choose another format or out")
    if pool == "processes" and any(scheme_of(url) == "memory" for url in urls):
        raise UsageError("pool='processes': memory:// is seen by one process alone; choose pool='threads'")


def _result_dtypes(pipeline: Pipeline) -> set[str]:
    """What the pipeline gives for the dtypes that it takes."""
    results = set()
    for dtype in PIXEL_DTYPES:
        try:
            results.add(check_chain(np.dtype(dtype), pipeline.steps, "cpu").dtype.name)
        except CTFastError:  # not for pixels of this dtype
            continue
    return results
