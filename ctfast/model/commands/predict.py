"""Predictions for many files: read, computed and written at the same time, resumed after a kill.

>>> report = predict_files("run", "slices", "predictions.csv", explain_dir="pictures")

Not a medical device.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast, get_args

from ctfast.batch.limits import bytes_per_file
from ctfast.batch.processes import use_processes
from ctfast.batch.progress import Show, silent
from ctfast.errors import ArgumentError
from ctfast.files import Limits, UnitsChoice
from ctfast.model.data.reading import Reading, read_all
from ctfast.model.prediction import predictions_csv as tables
from ctfast.model.prediction.batching import PredictionReport, Stream
from ctfast.model.prediction.resume import Task, find_tasks, put_in_order, standing_files, start_table
from ctfast.threads import get_num_threads

if TYPE_CHECKING:
    from ctfast.model.run_folder import TrainedModel

POOLS: Final = ("auto", "threads", "processes")


@dataclass(frozen=True)
class PredictionPlan:
    """What a prediction will do; nothing has been written yet."""

    trained: TrainedModel
    csv: Path
    tasks: list[Task]
    """Every file that was asked about."""
    todo: list[Task]
    standing: set[str]
    """Files whose rows in the existing table stay as they are."""
    ignored: int
    explain_dir: Path | None
    method: str
    units: UnitsChoice
    started: float
    """``time.perf_counter()`` when planning began."""


def predict_files(
    run: str | Path | TrainedModel,
    inputs: str | Path | Sequence[str | Path],
    csv: str | Path,
    *,
    batch_size: int | None = None,
    explain_dir: str | Path | None = None,
    method: str = "hires-cam",
    units: str = "auto",
    resume: bool = True,
    overwrite: bool = False,
    workers: int | None = None,
    pool: str = "threads",
    progress: Show = silent,
) -> PredictionReport:
    """Predict the class of every image in files and folders.

    Args:
        run: The folder of a training run, or what ``load_run`` gave.
        inputs: Folders (searched to any depth), patterns or files.
        csv: The table of predictions: ``file``, ``prediction``, ``p_<class>`` for each class, ``model``, ``error`` and
            what resuming needs. One row an image; a file that cannot be read gets a row with its error.
        batch_size: Images computed at once; default: 32 on a CPU, 256 elsewhere, fewer for fewer files. Halved, and
            said, where it does not fit into memory.
        explain_dir: Folder for a picture of each image that shows what spoke for its class.
        method: ``"hires-cam"`` or ``"grad-cam"``; see ``ctfast.model.network.explain``.
        units: What the files' values are: ``"auto"`` (as each file says), ``"hu"`` or ``"stored"``.
        resume: Leave rows of unchanged files alone; failures are tried again. Rows of other files are kept.
        overwrite: Replace whatever ``csv`` holds.
        workers: Files read at once; default: the threads ctfast may use.
        pool: Workers as ``"threads"``, ``"processes"`` (the calling script needs the ``if __name__ == "__main__"``
            guard) or ``"auto"`` (processes where there are enough files).
        progress: Told after each file.

    Raises:
        UsageError: Nothing to predict; ``csv`` is something else or holds another model's predictions.
        ArgumentError: For another ``pool``, ``units``, ``method`` or ``batch_size``.
    """
    plan = plan_predictions(
        run,
        inputs,
        csv,
        explain_dir=explain_dir,
        method=method,
        units=units,
        resume=resume,
        overwrite=overwrite,
    )
    return execute(plan, batch_size=batch_size, workers=workers, pool=pool, progress=progress)


def plan_predictions(
    run: str | Path | TrainedModel,
    inputs: str | Path | Sequence[str | Path],
    csv: str | Path,
    *,
    explain_dir: str | Path | None = None,
    method: str = "hires-cam",
    units: str = "auto",
    resume: bool = True,
    overwrite: bool = False,
) -> PredictionPlan:
    """Find the files, load the run, see what is done already, refuse what would lose data; see ``predict_files``."""
    start = time.perf_counter()
    if units not in get_args(UnitsChoice):
        raise ArgumentError(f"units={units!r}: one of {', '.join(get_args(UnitsChoice))} is allowed")
    listed = [inputs] if isinstance(inputs, (str, Path)) else list(inputs)
    pictures = None if explain_dir is None else Path(explain_dir)
    tasks, ignored = find_tasks(listed, Path(csv), pictures)
    if pictures is not None:
        from ctfast.model.network.explain import check_method

        check_method(method)
    trained = _loaded(run)
    standing: set[str] = set()
    if not overwrite:
        names = tables.columns(trained.classes)
        standing = standing_files(Path(csv), trained.hash, names, tasks, resume=resume)
    todo = [task for task in tasks if tables.safe(task.path) not in standing]
    return PredictionPlan(
        trained, Path(csv), tasks, todo, standing, ignored, pictures, method, cast(UnitsChoice, units), start
    )


def _loaded(run: str | Path | TrainedModel) -> TrainedModel:
    if not isinstance(run, (str, Path)):
        return run
    from ctfast.model import load_run

    return load_run(run)


def execute(
    plan: PredictionPlan,
    *,
    batch_size: int | None = None,
    workers: int | None = None,
    pool: str = "threads",
    progress: Show = silent,
) -> PredictionReport:
    """Do what a plan says; see ``predict_files``."""
    if batch_size is not None and (type(batch_size) is not int or batch_size < 1):
        raise ArgumentError(f"batch_size={batch_size!r}: a whole number of at least 1 is allowed")
    if pool not in POOLS:
        raise ArgumentError(f"pool={pool!r}: one of {', '.join(POOLS)} is allowed")
    from ctfast.model.caching import use_compilation_cache
    from ctfast.model.prediction.compiled import Predictor, batch_for

    use_compilation_cache()
    trained = plan.trained
    names = tables.columns(trained.classes)
    start_table(plan.csv, names, plan.standing)
    report = PredictionReport(
        plan.csv,
        trained.hash,
        trained.classes,
        done_before=len(plan.tasks) - len(plan.todo),
        ignored=plan.ignored,
        explained=plan.explain_dir,
    )
    explain = plan.method if plan.explain_dir is not None else None
    predictor = Predictor(trained, batch_size or batch_for(len(plan.todo)), explain=explain)
    workers = workers or get_num_threads()
    reading = Reading(trained.preprocessing, plan.units, Limits(max_bytes=bytes_per_file(workers)))
    processes = use_processes(len(plan.todo), workers, pool)
    reads = read_all((task.path for task in plan.todo), reading, workers, processes=processes)
    with tables.Appender(plan.csv, names) as table, closing(cast(Any, reads)):
        Stream(predictor, table, report, progress, plan.started).run(plan.todo, reads)
    if plan.standing:
        put_in_order(plan.csv, names, plan.tasks)
    report.notes += predictor.notes
    report.seconds = time.perf_counter() - plan.started
    return report
