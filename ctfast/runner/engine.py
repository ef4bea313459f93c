"""Many files at once: a bounded number in flight, in threads or in processes, results as they finish.

Threads start at once and share one Numba; reading DICOM and TIFF holds the interpreter lock, so that some four threads
are fed at most. Processes cost half a second to start, scale to all cores, and survive a decoder that crashes: the file
that killed its process is named and the run goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from itertools import islice

from ctfast.batch.processes import DIED, new_pool
from ctfast.dispatch.chain import fits
from ctfast.runner.gpu.run import run_on_gpus
from ctfast.runner.planning import Settings, Task
from ctfast.runner.work import Outcome, empty_row, process

Flight = dict["Future[Outcome]", Task]

_settings: Settings | None = None


def _take_settings(settings: Settings) -> None:
    global _settings
    _settings = settings


def _process_here(task: Task) -> Outcome:
    assert _settings is not None
    return process(task, _settings)


def run_tasks(
    tasks: Iterable[Task], settings: Settings, workers: int, *, processes: bool, files: int = 1
) -> Iterator[Outcome]:
    """Outcomes in the order they finish; ``tasks``, about ``files``, is drawn from only as workers become free."""
    if processes:
        yield from _in_processes(iter(tasks), settings, workers)
        return
    if settings.backend == "gpu" and fits(settings.pipeline.steps, "gpu"):
        yield from run_on_gpus(iter(tasks), settings, workers, files)
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="ctfast-run") as threads:
        yield from _bounded(threads, partial(process, settings=settings), iter(tasks), workers, {})


def _bounded(
    executor: Executor, work: Callable[[Task], Outcome], tasks: Iterator[Task], workers: int, flight: Flight
) -> Iterator[Outcome]:
    """Keep two files a worker in flight, no more, so that memory does not grow with the number of files."""
    try:
        for task in islice(tasks, 2 * workers):
            flight[executor.submit(work, task)] = task
        while flight:
            finished, _ = wait(flight, return_when=FIRST_COMPLETED)
            for future in finished:
                outcome = future.result()
                del flight[future]
                yield outcome
                for task in islice(tasks, 1):
                    flight[executor.submit(work, task)] = task
    finally:
        for future in flight:
            future.cancel()


def _in_processes(tasks: Iterator[Task], settings: Settings, workers: int) -> Iterator[Outcome]:
    """As long as the pool breaks: run the suspects one by one, name the killer, go on with a new pool."""
    while True:
        flight: Flight = {}
        executor = _new_pool(settings, workers)
        try:
            yield from _bounded(executor, _process_here, tasks, workers, flight)
            return
        except BrokenProcessPool:
            suspects = list(flight.values())
        finally:
            executor.shutdown(wait=True, cancel_futures=True)
        for task in suspects:
            yield _alone(task, settings)


def _alone(task: Task, settings: Settings) -> Outcome:
    with _new_pool(settings, 1) as executor:
        try:
            return executor.submit(_process_here, task).result()
        except BrokenProcessPool:
            row = empty_row(task, settings)
            row["status"] = "failed"
            row["error"] = DIED
            return Outcome(row, None)


def _new_pool(settings: Settings, workers: int) -> ProcessPoolExecutor:
    return new_pool(workers, "ctfast.runner.work", _take_settings, settings)
