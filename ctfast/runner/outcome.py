"""What one file gave: its line for the manifest, its statistics, or why the machine failed."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ctfast import __version__
from ctfast.batch.machine import machine_error
from ctfast.batch.reasons import reason
from ctfast.batch.urls import is_url
from ctfast.batch.workers import DIED
from ctfast.errors import FileFormatError
from ctfast.files.asked import LeftOutError
from ctfast.results import Histogram, PipelineResult, Summary
from ctfast.runner.manifest import STALE, Row, set_aside
from ctfast.runner.settings import Settings
from ctfast.runner.task import Task


class Outcome(NamedTuple):
    """What one file gave: its line for the manifest, and its statistics where the pipeline takes some; or why the
    machine, and not the file, failed."""

    row: Row
    statistics: dict[str, Any] | None
    machine: str = ""


def finished(row: Row, result: PipelineResult, seconds: tuple[float, float, float]) -> Outcome:
    """What a file gave whose output is written; ``seconds`` of reading, computing and writing."""
    row["shape"], row["dtype"] = list(result.image.shape), str(result.image.dtype)
    row["read_seconds"], row["compute_seconds"], row["write_seconds"] = (round(s, 6) for s in seconds)
    row["status"] = "ok"
    return Outcome(row, _statistics(row, result))


def failed(task: Task, row: Row, error: BaseException, *image_bytes: int) -> Outcome:
    """What a file gave that could not be done, or is not to be; ``image_bytes``, where it was read."""
    if (trouble := machine_error(error, *image_bytes)) is not None:
        return Outcome(row, None, str(trouble))
    row["status"] = "skipped" if isinstance(error, LeftOutError) else "failed"
    row["error"] = reason(error, task.source)
    if set_aside(task.output):
        row["error"] += f"; its earlier output is now {os.path.basename(task.output)}{STALE}"
    return Outcome(row, None)


def died(task: Task, settings: Settings) -> Outcome:
    """What a file gave that killed the process that read it."""
    return failed(task, empty_row(task, settings), FileFormatError(DIED, "fewer --workers leave each more memory"))


def left_out(path: Path, why: str, settings: Settings) -> Row:
    """The line of a path that was seen and is no image."""
    row = empty_row(Task(str(path) if is_url(path) else os.path.abspath(path), ""), settings)
    row["error"] = why
    return row


def empty_row(task: Task, settings: Settings) -> Row:
    """A line with nothing found out yet."""
    return Row(
        input=task.source,
        output=task.output,
        status="skipped",
        error="",
        started=time.time(),
        input_bytes=0,
        input_mtime=0.0,
        input_hash="",
        inputs=task.inputs,
        output_bytes=0,
        output_hash="",
        shape=[],
        dtype="",
        units="unknown",
        values="unknown",
        notes="",
        orientation="",
        turned="",
        affine=[],
        pipeline=settings.pipeline.hash,
        version=__version__,
        backend=settings.backend,
        read_seconds=0.0,
        compute_seconds=0.0,
        write_seconds=0.0,
    )


def _statistics(row: Row, result: PipelineResult) -> dict[str, Any] | None:
    if result.histogram is None and result.summary is None:
        return None
    line: dict[str, Any] = {"output": row["output"], "started": row["started"]}
    if result.histogram is not None:
        line["histogram"] = _histogram_lists(result.histogram)
    if result.summary is not None:
        line["summary"] = _summary_lists(result.summary)
    return line


def _histogram_lists(histogram: Histogram) -> dict[str, Any]:
    counts = np.asarray(histogram.counts)
    return {"edges": histogram.edges.tolist(), "counts": counts.reshape(-1, counts.shape[-1]).tolist()}


def _summary_lists(summary: Summary) -> dict[str, Any]:
    columns = {name: getattr(summary, name) for name in ("count", "mean", "std", "min", "max")}
    for i, level in enumerate(summary.levels):
        columns[f"p{level:g}"] = summary.percentiles[..., i]
    return {name: _listed(column.tolist()) for name, column in columns.items()}


def _listed(values: Any) -> list[Any]:
    return values if isinstance(values, list) else [values]
