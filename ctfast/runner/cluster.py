"""A run on many machines (``ctfast.batch.cluster``): workers do the files, this process alone writes the records.

Outputs of a worker that took the place of a dead one take the place of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial

from ctfast import backend
from ctfast.batch import cluster
from ctfast.batch.cluster import Cluster
from ctfast.errors import CTFastError, UsageError
from ctfast.files.formats import written
from ctfast.files.in_reach import nearest_folder, out_of_reach
from ctfast.runner.done import Done, process_and_encode
from ctfast.runner.settings import Settings
from ctfast.runner.several import QUICKLY_FROM
from ctfast.runner.task import Task, in_one_process


def connected(
    address: str | None, workers: int, settings: Settings, tasks: Sequence[Task]
) -> AbstractContextManager[Cluster | None]:
    """As ``ctfast.batch.cluster.connected``, with workers that can do such files.

    Raises:
        UsageError: see there; also for files that one process alone sees.
    """
    if address is not None and any(map(in_one_process, tasks[:1])):
        raise UsageError("cluster: memory:// is seen by one process alone; take paths or other URLs")
    paths = [path for task in tasks[:1] for path in task.files]
    folder = [nearest_folder(settings.out)] if settings.out else []
    return cluster.connected(address, workers, partial(problem_of, settings, [*folder, *paths]))


def done(
    workers: Cluster,
    tasks: Iterator[Task],
    files: int,
    settings: Settings,
    died: Callable[[Sequence[Task], Settings], Done],
) -> Iterator[Done]:
    """What groups of ``tasks``, about ``files``, gave, as they finish."""
    work = partial(_work, settings=settings, quickly=files >= QUICKLY_FROM)
    return workers.map(work, tasks, files, lambda some: died(some, settings))


def problem_of(settings: Settings, paths: Sequence[str]) -> str:
    """On a worker: why it can't do such files; empty where it can."""
    try:
        backend.select(settings.backend)
        output = written(settings.format)
        if not output.writer_alone:
            output.check_package()
    except CTFastError as error:
        return str(error)
    return out_of_reach(paths)


def _work(tasks: Sequence[Task], settings: Settings, quickly: bool) -> Done:
    return process_and_encode(tasks, replace(settings, max_bytes=cluster.share_of_memory()), quickly=quickly)
