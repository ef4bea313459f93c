"""Many files at once: a bounded number in flight, in threads or in processes, results as they finish.

Threads start at once and share one Numba; reading DICOM and TIFF holds the interpreter lock, so that some four threads
are fed at most. Processes cost half a second to start, scale to all cores, and survive a decoder that crashes: the file
that killed its process is named and the run goes on.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from itertools import islice

from ctfast._chain import fits
from ctfast.runner.gpu import run_on_gpus
from ctfast.runner.plan import Settings, Task
from ctfast.runner.work import Outcome, empty_row, process

_PROCESSES_PAY_FROM = 150
"""Files a worker, below which starting processes costs more than it gains."""

Flight = dict["Future[Outcome]", Task]

_settings: Settings | None = None


def _start_worker(settings: Settings) -> None:
    global _settings
    _settings = settings
    from ctfast.threads import set_num_threads

    set_num_threads(1)  # the cores are taken by the other workers
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    """A worker must not outlive a run that was killed; nobody else would tell it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _process_here(task: Task) -> Outcome:
    assert _settings is not None
    return process(task, _settings)


def use_processes(files: int, workers: int, pool: str, backend: str = "cpu") -> bool:
    """Whether workers are processes: as asked for, or where they pay; a GPU is fed by the threads of one process."""
    if pool == "auto":
        return backend != "gpu" and workers > 1 and files >= _PROCESSES_PAY_FROM * workers
    return pool == "processes"


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
            row["error"] = "the process that read this file died: out of memory, or a crash inside a decoder"
            return Outcome(row, None)


def _new_pool(settings: Settings, workers: int) -> ProcessPoolExecutor:
    # Not fork: it copies locks that our threads hold. The fork server imports the kernels once for all workers.
    method = "spawn" if sys.platform == "win32" else "forkserver"
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(["ctfast.runner.work"])
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(settings,))
