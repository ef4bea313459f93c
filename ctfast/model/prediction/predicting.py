"""Files to rows of predictions, on this machine: read by workers, computed in batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, cast

from ctfast.batch.progress import Progress, no_progress
from ctfast.batch.workers import use_processes
from ctfast.files import Limits
from ctfast.model.commands.options import PredictOptions
from ctfast.model.data.reading import Reading, dead, read_all
from ctfast.model.prediction.batching import PredictionReport, PredictionStream
from ctfast.model.prediction.resume import PredictionTask

if TYPE_CHECKING:
    from ctfast.model.data.preprocessing import Preprocessing
    from ctfast.model.prediction.compiled import Predictor


def predict_tasks(
    tasks: Sequence[PredictionTask],
    predictor: Predictor,
    preprocessing: Preprocessing,
    options: PredictOptions,
    append: Callable[..., None],
    report: PredictionReport,
    *,
    workers: int,
    max_bytes: int,
    progress: Progress = no_progress,
    start: float,
) -> None:
    """Predict files.

    Args:
        tasks: The files.
        predictor: Computes.
        preprocessing: Of the run.
        options: How.
        append: Takes rows that belong together.
        report: Is filled in.
        workers: Files read at once.
        max_bytes: A file may take.
        progress: Called after each file.
        start: ``time.perf_counter()`` at the very beginning.
    """
    limits = Limits(max_bytes=max_bytes)
    reading = Reading(preprocessing, options.values, limits, options.modality, options.explain_dir is not None)
    processes = use_processes(len(tasks), workers, options.pool)
    reads = read_all((task.path for task in tasks), reading, workers, processes=processes)
    with closing(cast(Any, reads)):
        PredictionStream(predictor, append, report, progress, options.values, start).run(tasks, reads)
    report.notes += predictor.notes


def rows_of_dead(
    tasks: Sequence[PredictionTask], preprocessing: Preprocessing, options: PredictOptions, report: PredictionReport
) -> list[list[str]]:
    """The rows of files that killed the process that read them; counted in ``report``."""
    rows: list[list[str]] = []
    reading = Reading(preprocessing, options.values)
    nobody = cast(Any, None)  # there is nothing to compute
    stream = PredictionStream(
        nobody, lambda *some: rows.extend(some), report, no_progress, options.values, time.perf_counter()
    )
    stream.run(tasks, (dead(task.path, reading) for task in tasks))
    return rows
