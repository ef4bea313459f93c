"""Predictions on many machines (``ctfast.batch.cluster``): workers load the run and predict files, this process alone
writes the table. Pictures of explanations are written where they are made.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ctfast.batch.cluster import Cluster, connected, share_of_memory
from ctfast.batch.progress import Progress
from ctfast.errors import CTFastError, UsageError
from ctfast.files.in_reach import nearest_folder, out_of_reach
from ctfast.model.commands.options import PredictOptions
from ctfast.model.prediction.batching import PredictionReport
from ctfast.model.prediction.predicting import predict_tasks, rows_of_dead
from ctfast.model.prediction.resume import PredictionTask

if TYPE_CHECKING:
    from ctfast.model.prediction.compiled import Predictor
    from ctfast.model.run_folder import TrainedModel

_Rows = list[list[str]]


@dataclass(frozen=True)
class Job:
    """What workers need to know.

    Attributes:
        run: Folder of the training run, which they must see.
        model: Hash of its weights.
        batch_size: Images computed at once.
        options: How.
        report: What every group's report begins as.
    """

    run: str
    model: str
    batch_size: int
    options: PredictOptions
    report: PredictionReport


@contextmanager
def workers_of(job: Job, tasks: Sequence[PredictionTask], workers: int) -> Iterator[Cluster]:
    """Those of ``job.options.cluster``, which can predict such files; ``workers`` processes for ``"local"``.

    Raises:
        UsageError, MachineError: There are none, or one of them can't; with the reason.
    """
    problem = partial(_problem, job, [task.path for task in tasks[:1]])
    with connected(job.options.cluster, workers, problem) as cluster:
        assert cluster is not None
        yield cluster


def predict_on_cluster(
    cluster: Cluster,
    tasks: Sequence[PredictionTask],
    trained: TrainedModel,
    job: Job,
    append: Callable[..., None],
    report: PredictionReport,
    progress: Progress,
) -> None:
    """Predict files on workers; see ``predict_tasks``.

    Raises:
        MachineError: The scheduler went away; rows that came are in the table.
    """

    def died(group: Sequence[PredictionTask]) -> tuple[_Rows, PredictionReport]:
        part = job.report.fresh()
        return rows_of_dead(group, trained.preprocessing, job.options, part), part

    for rows, part in cluster.map(partial(_predict, job=job), tasks, len(tasks), died):
        append(*rows)
        report.add(part)
        progress(done=report.ok + report.failed, failed=report.failed)


def _predict(tasks: Sequence[PredictionTask], job: Job) -> tuple[_Rows, PredictionReport]:
    """On a worker: some files."""
    rows: _Rows = []
    report = job.report.fresh()
    trained, predictor = _loaded(job.run, job.model, job.batch_size, job.options)
    here = replace(job.options, pool="threads")  # a worker is a process already
    predict_tasks(
        tasks,
        predictor,
        trained.preprocessing,
        here,
        lambda *some: rows.extend(some),
        report,
        workers=1,
        max_bytes=share_of_memory(),
        start=time.perf_counter(),
    )
    return rows, report


@lru_cache(maxsize=1)
def _loaded(run: str, model: str, batch_size: int, options: PredictOptions) -> tuple[TrainedModel, Predictor]:
    from ctfast.model import load_run
    from ctfast.model.prediction.compiled import Predictor

    trained = load_run(run)
    if trained.hash != model:
        raise UsageError(f"{run} holds the model {trained.hash} here, not {model}")
    method = None if options.explain_dir is None else options.method
    return trained, Predictor(trained, batch_size, explain=method, precision=options.precision)


def _problem(job: Job, paths: Sequence[str]) -> str:
    """On a worker: why it can't predict these files; empty where it can."""
    if find_spec("jax") is None or find_spec("flax") is None:
        return 'the network needs JAX: pip install "ctfast[nn]"'
    pictures = [] if job.options.explain_dir is None else [nearest_folder(job.options.explain_dir)]
    if missing := out_of_reach([job.run, *pictures, *paths]):
        return missing
    try:
        _loaded(job.run, job.model, job.batch_size, job.options)
    except CTFastError as error:
        return str(error)
    return ""


def folder_of(run: object) -> str:
    """The run's folder, by which workers know it.

    Raises:
        UsageError: A network in memory.
    """
    if not isinstance(run, str | Path):
        raise UsageError("cluster= needs the run as a folder, which workers load: give its path")
    return str(Path(run).absolute())
