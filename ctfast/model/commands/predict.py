"""What ``ctfast predict`` does: files read, computed and written at the same time, resumed after a kill.

>>> report = predict_files("run", "slices", "predictions.csv", explain_dir="pictures")

Not a medical device.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctfast.batch.cells import safe_cell
from ctfast.batch.limits import bytes_per_file
from ctfast.batch.progress import Progress, no_progress
from ctfast.files import Ignored
from ctfast.files.asked import mixed_orientation
from ctfast.model.commands.options import PredictOptions
from ctfast.model.prediction.batching import PredictionReport
from ctfast.model.prediction.on_cluster import Job, folder_of, predict_on_cluster, workers_of
from ctfast.model.prediction.predicting import predict_tasks
from ctfast.model.prediction.predictions_csv import PredictionTable
from ctfast.model.prediction.resume import PredictionTask, find_tasks, finished_files, refuse_pictures_of_others
from ctfast.threads import get_num_threads

if TYPE_CHECKING:
    from ctfast.model.run_folder import TrainedModel


@dataclass(frozen=True)
class PredictionPlan:
    """What a prediction will do; nothing has been written yet.

    Attributes:
        run: Its folder, or the network, as the caller gave it.
            table: Of the predictions.
        tasks: Every file that was asked about.
        todo: Those whose rows are missing or out of date.
        left_out: Paths in the input folders that are no images.
        options: How.
        started: ``time.perf_counter()`` when planning began.
    """

    run: str | Path | TrainedModel
    trained: TrainedModel
    table: PredictionTable
    tasks: list[PredictionTask]
    todo: list[PredictionTask]
    left_out: Sequence[Ignored]
    options: PredictOptions
    started: float


def predict_files(
    run: str | Path | TrainedModel,
    inputs: str | Path | Sequence[str | Path],
    csv: str | Path,
    options: PredictOptions | None = None,
    *,
    progress: Progress = no_progress,
    **fields: Any,
) -> PredictionReport:
    """Predict the class of every image in files and folders.

    Args:
        run: The folder of a training run, or what ``load_run`` gave.
        inputs: Folders (searched to any depth), patterns or files.
        csv: The table of predictions: ``file``, ``prediction``, ``p_<class>`` for each class, ``model``, ``error`` and
            what resuming needs. One row per image; a file that cannot be read gets a row with its error.
        options: How; default: ``PredictOptions()``.
        progress: Called after each file.
        fields: Single fields of ``PredictOptions`` instead of, or in change of, those of ``options``.

    Raises:
        UsageError: Nothing to predict; ``csv`` is something else or holds another model's predictions.
        ArgumentError: For values that an option does not allow.
    """
    return execute(plan_predictions(run, inputs, csv, options, **fields), progress=progress)


def plan_predictions(
    run: str | Path | TrainedModel,
    inputs: str | Path | Sequence[str | Path],
    csv: str | Path,
    options: PredictOptions | None = None,
    **fields: Any,
) -> PredictionPlan:
    """Find the files, load the run, see what is done already, refuse what would lose data; see ``predict_files``."""
    start = time.perf_counter()
    options = replace(options or PredictOptions(), **fields)
    paths = [inputs] if isinstance(inputs, (str, Path)) else list(inputs)
    pictures = None if options.explain_dir is None else Path(options.explain_dir)
    if options.cluster is not None:
        folder_of(run)
    tasks, left_out = find_tasks(paths, Path(csv), pictures)
    trained = _loaded(run)
    table = PredictionTable(Path(csv), trained.classes, trained.hash)
    finished = (
        set()
        if options.overwrite
        else finished_files(table, tasks, options.values, options.method, resume=options.resume)
    )
    todo = [task for task in tasks if safe_cell(task.path) not in finished]
    if not options.overwrite:
        refuse_pictures_of_others(todo)
    return PredictionPlan(run, trained, table, tasks, todo, left_out, options, start)


def _loaded(run: str | Path | TrainedModel) -> TrainedModel:
    if not isinstance(run, (str, Path)):
        return run
    from ctfast.model import load_run

    return load_run(run)


def execute(plan: PredictionPlan, *, progress: Progress = no_progress) -> PredictionReport:
    """Do what a plan says; see ``predict_files``."""
    from ctfast.model.caching import use_compilation_cache
    from ctfast.model.prediction.compiled import Predictor, batch_for

    use_compilation_cache()
    trained, options = plan.trained, plan.options
    explained = None if options.explain_dir is None else Path(options.explain_dir)
    report = PredictionReport(
        plan.table.path,
        trained.hash,
        trained.classes,
        done_before=len(plan.tasks) - len(plan.todo),
        left_out=list(plan.left_out),
        explained=explained,
    )
    workers = options.workers or get_num_threads()
    batch_size = options.batch_size or batch_for(len(plan.todo))
    if options.cluster is None:
        method = None if explained is None else options.method
        predictor = Predictor(trained, batch_size, explain=method, precision=options.precision)
        with _writing(plan) as append:
            predict_tasks(
                plan.todo,
                predictor,
                trained.preprocessing,
                options,
                append,
                report,
                workers=workers,
                max_bytes=bytes_per_file(workers),
                progress=progress,
                start=plan.started,
            )
    else:
        job = Job(folder_of(plan.run), trained.hash, batch_size, options, report.fresh())
        with workers_of(job, plan.todo, workers) as cluster, _writing(plan) as append:
            predict_on_cluster(cluster, plan.todo, trained, job, append, report, progress)
    plan.table.sort([safe_cell(task.path) for task in plan.tasks])
    if report.doubtful_maps or report.maps_in_air:
        report.notes.append(
            f"of the explained images, {report.doubtful_maps} fail the deletion test (hiding what the map points at "
            f"changes less than hiding something else) and {report.maps_in_air} have their map's peak in air: their "
            "pictures say so"
        )
    if mixed := mixed_orientation(report.seen_from):
        report.notes.append(mixed)
    report.seconds = time.perf_counter() - plan.started
    return report


@contextmanager
def _writing(plan: PredictionPlan) -> Iterator[Callable[..., None]]:
    """The table, without the rows that are made anew; only when nothing can refuse the work any more."""
    plan.table.start(None if plan.options.overwrite else {safe_cell(task.path) for task in plan.todo})
    with plan.table.appending() as append:
        yield append
