"""One series: read slice by slice into a volume, computed whole or in blocks of slices, written as one file.

Volumes beyond what a file may take in memory (``Settings.max_bytes``) lie in temporary files of the output folder that
have no name, so that the system removes them however the run ends; memory then holds blocks of slices, and around each
the slices that steps along three axes look at.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from ctfast.batch.stamp import sha256_of, stamp_of
from ctfast.errors import ArgumentError
from ctfast.files import Allocate, Image, Limits
from ctfast.files.asked import check_modality
from ctfast.pipeline import Pipeline
from ctfast.results import Histogram, PipelineResult, Summary
from ctfast.runner.manifest import Row
from ctfast.runner.outcome import Outcome
from ctfast.runner.settings import Settings
from ctfast.runner.slices import SliceReader
from ctfast.runner.storing import make_folder, store_streamed
from ctfast.runner.task import Task
from ctfast.runner.work import carry_out, note, process, run_pipeline

_BLOCK_BYTES: Final = 32 << 20


def process_any(task: Task, settings: Settings, *, quickly: bool = False) -> Outcome:
    """As ``work.process``, for series too, whose slices are read ``quickly`` where there are enough of them."""
    if task.series is None:
        return process(task, settings)
    return carry_out(task, settings, partial(load, quickly=quickly), compute, store_streamed)


def load(task: Task, settings: Settings, row: Row, *, quickly: bool = False) -> Image:
    """Read a series and note in ``row`` what it was."""
    assert task.series is not None
    row["input_bytes"], row["input_mtime"] = stamp_of(*task.files)
    check_modality(task.series.modality, settings.modality)
    make_folder(task, settings)
    limits, allocate = Limits(max_bytes=settings.max_bytes), room_for(task, settings)
    series = replace(task.series, limits=limits)
    if not quickly or series.geometry is None:  # without a place, facts are asked for that quick slices lack
        row["input_hash"] = sha256_of(*task.files)
        image = series.read(allocate=allocate)
    else:
        slices = SliceReader(series.units, limits)
        try:
            image = series.read(allocate=allocate, read=slices.read)
        finally:
            row["input_hash"] = slices.hash_of(task.files)
    note(row, image, settings)
    return image


def room_for(task: Task, settings: Settings) -> Allocate:
    """Arrays in memory, or in files beside the output where they are larger than one file may take."""

    def allocate(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        if math.prod(shape) * dtype.itemsize <= settings.max_bytes:
            return np.empty(shape, dtype)
        return _in_a_file(shape, dtype, task)

    return allocate


def _in_a_file(shape: tuple[int, ...], dtype: np.dtype, task: Task) -> np.ndarray:
    with tempfile.TemporaryFile(dir=Path(task.output).parent) as file:
        return np.asarray(np.memmap(file, dtype, "w+", shape=shape))


def compute(image: Image, task: Task, settings: Settings) -> PipelineResult:
    """Run the pipeline over a volume; one that is larger than a file may be, in blocks of slices.

    Raises:
        ArgumentError: a histogram of blocks needs its range, which is that of the whole volume else; ``mode="wrap"``
            along three axes needs both ends of it, ``axes=3`` and CLAHE of boxes all of it.
    """
    pixels = image.pixels
    if pixels.nbytes <= settings.max_bytes:
        return run_pipeline(pixels, settings, image.padding_range)
    reach = _reach(settings.pipeline)
    size = max(1, _BLOCK_BYTES // pixels[0].nbytes, 2 * reach)
    out: np.ndarray | None = None
    parts: list[PipelineResult] = []
    for start in range(0, len(pixels), size):
        first = max(0, start - reach)
        part = run_pipeline(pixels[first : start + size + reach], settings, image.padding_range)
        part = _only(part, slice(start - first, start - first + size))
        if out is None:
            # In a file whatever its size: half of a volume that is too large would be twice what a block takes.
            out = _in_a_file((len(pixels), *part.image.shape[1:]), part.image.dtype, task)
        out[start : start + size] = part.image
        parts.append(replace(part, image=None))
    return PipelineResult(
        out,
        _joined_histograms([part.histogram for part in parts if part.histogram is not None]),
        _joined_summaries([part.summary for part in parts if part.summary is not None]),
    )


def _reach(pipeline: Pipeline) -> int:
    """How many slices to each side the steps that filter along three axes look at, all together."""
    steps = [step for step in pipeline.steps if step.axes == 3]
    whole = next((step for step in steps if step.spec.kind != "filter" or not step.spec.local), None)
    if whole is not None:
        way = "three numbers" if whole.spec.kind == "filter" else "axes=3"
        raise ArgumentError(
            f"{whole.operation} with {way} needs the whole volume, and this one is larger than a file may be in "
            "memory: leave that away for slice by slice, or choose fewer --workers"
        )
    modes = [step.params["mode"] for step in steps]
    if any((mode if isinstance(mode, str) else mode[0]) == "wrap" for mode in modes):
        raise ArgumentError(
            "mode='wrap' along three axes needs the whole volume, and this one is larger than a file may be in memory: "
            "choose another mode, or fewer --workers"
        )
    return sum(step.spec.halo(step.params)[0] for step in steps)


def _only(part: PipelineResult, own: slice) -> PipelineResult:
    """Some slices' results."""
    histogram, summary = part.histogram, part.summary
    if histogram is not None:
        histogram = histogram._replace(counts=histogram.counts[own])
    if summary is not None:
        summary = replace(summary, **{name: getattr(summary, name)[own] for name in _columns()})
    return PipelineResult(part.image[own], histogram, summary)


def _columns() -> list[str]:
    """The fields of a summary that have a number a slice."""
    return [field.name for field in fields(Summary) if field.name != "levels"]


def _joined_histograms(parts: list[Histogram]) -> Histogram | None:
    if not parts:
        return None
    if any(not np.array_equal(part.edges, parts[0].edges) for part in parts):
        raise ArgumentError("histogram: a series of this size needs value_range=(low, high)")
    return Histogram(np.concatenate([part.counts for part in parts]), parts[0].edges)


def _joined_summaries(parts: list[Summary]) -> Summary | None:
    if not parts:
        return None
    columns: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _columns()}
    return replace(parts[0], **columns)
