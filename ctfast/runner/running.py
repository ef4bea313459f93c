"""The main job: a folder of slices in, a folder of processed slices out, nothing lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from threading import Event
from typing import Any, Final, TypeVar

from ctfast.batch.address_space import limits
from ctfast.batch.cluster import Cluster
from ctfast.batch.compiling import Telling
from ctfast.batch.interrupts import finishing
from ctfast.batch.machine import described, is_no_thread
from ctfast.batch.packed import Packed
from ctfast.batch.progress import Progress, no_progress, telling_of
from ctfast.batch.urls import place
from ctfast.batch.workers import bounded_map, use_processes
from ctfast.dispatch.chain import fits
from ctfast.errors import MachineError
from ctfast.pipeline import Pipeline
from ctfast.runner import cluster as on_cluster
from ctfast.runner.ahead import ahead_of, get_ready
from ctfast.runner.compiling import compile_first
from ctfast.runner.done import Done, line_of_row, process_and_encode
from ctfast.runner.gpu.run import run_on_gpus
from ctfast.runner.options import RunOptions
from ctfast.runner.outcome import Outcome, died, empty_row, left_out
from ctfast.runner.planning import Plan, make_plan
from ctfast.runner.records import close_run, open_records
from ctfast.runner.report import Report
from ctfast.runner.settings import Settings
from ctfast.runner.several import QUICKLY_FROM, alone, chunks, process_some, rehearse
from ctfast.runner.task import AT_ONCE, Task, in_one_process, is_remote
from ctfast.threads import get_num_threads

Some = TypeVar("Some")
_LINES_AT_ONCE: Final = 1024


def plan(
    inputs: str | Path | Sequence[str | Path],
    out: str | Path,
    pipeline: Pipeline,
    options: RunOptions | None = None,
    **changes: Any,
) -> Plan:
    """Decide and check what ``run`` would do, without doing it; see ``run`` for the parameters."""
    options = replace(options or RunOptions(), **changes)
    listed = [inputs] if isinstance(inputs, (str, Path)) else list(inputs)
    return make_plan(listed, place(out), Settings.of(pipeline, options), options)


def execute(the_plan: Plan, *, progress: Progress = no_progress, **changes: Any) -> Report:
    """Do what a plan says.

    Args:
        the_plan: what ``plan`` gave.
        progress: called after each file, or after some.
        changes: ``workers``, ``pool`` or ``on_error``, where they are not to be those of the plan.

    Raises:
        UsageError: a value that is not allowed, or another pipeline came into the folder since the plan was made.
        MachineError: the disk is full, the folder can't be written, there are too few open files or too little memory;
            what was done is recorded.
        KeyboardInterrupt: after Ctrl-C or SIGTERM, when the files in flight are finished and recorded: how many
            are done.
    """
    start = time.perf_counter()
    options, settings, out = replace(the_plan.options, **changes), the_plan.settings, the_plan.out
    if any(map(in_one_process, the_plan.tasks[:1])):
        options = replace(options, pool="threads")
    report = Report(
        out=out,
        pipeline=settings.pipeline.hash,
        backend=settings.backend,
        done_before=the_plan.done,
        left_out=Packed(the_plan.ignored),
        gone=the_plan.gone,
    )
    report.statistics = any(step.is_statistic for step in settings.pipeline.steps)
    stop, interrupted, waiting, done = Event(), Event(), iter(the_plan.tasks), 0

    def interrupt() -> None:
        interrupted.set()
        stop.set()

    def recorded() -> int:
        return report.ok if the_plan.mirror is None else the_plan.mirror.recorded

    def said() -> str:
        before = the_plan.done
        return f"{before + recorded():,} of {before + len(the_plan.tasks):,} files are done"

    with (
        finishing(interrupt, said),
        on_cluster.connected(options.cluster, _workers(options), settings, the_plan.tasks) as cluster,
        _telling_what_is_safe(recorded),
        open_records(the_plan) as (append_row, append_statistics),
    ):
        ahead = chain((left_out(it.path, it.reason, settings) for it in the_plan.ignored), the_plan.moved)
        while lines := b"".join(line_of_row(row, settings.out) for row in islice(ahead, _LINES_AT_ONCE)):
            append_row(lines)
        trouble = ""
        tell = telling_of(progress)
        files = len(the_plan.tasks)
        if settings.series:
            files = sum(len(task.files) for task in the_plan.tasks)
        for some in _done(_until(stop, waiting), files, settings, options, interrupted, cluster, tell):
            if some.machine:
                trouble = trouble or some.machine
                stop.set()  # files in flight are finished and recorded
            # Statistics first: a line in the manifest says that everything of that file is there.
            if some.statistics:
                append_statistics(some.statistics)
            if some.rows:
                append_row(some.rows)
            report.add(some.tally)
            done += some.files
            progress(done=done, failed=report.failed)
            if report.failed and options.on_error == "stop":
                stop.set()
        if trouble:
            raise MachineError(trouble)
        if report.failed and options.on_error == "stop":
            for task in waiting:
                append_row(line_of_row(empty_row(task, settings), settings.out))
                report.skipped += 1
    worked = time.perf_counter()
    with _telling_what_is_safe(recorded):
        close_run(the_plan, progress)
    report.seconds, report.closing_seconds = time.perf_counter() - start, time.perf_counter() - worked
    at_once = AT_ONCE if any(map(is_remote, the_plan.tasks[:1])) else 1
    report.workers = (_workers(options) if cluster is None else cluster.threads) * at_once
    return report


@contextmanager
def _telling_what_is_safe(recorded: Callable[[], int]) -> Iterator[None]:
    """Errors of the machine say what is done; its records lie in a part, which the next run takes in."""
    try:
        yield
    except NotADirectoryError:
        raise
    except (OSError, MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not is_no_thread(error):
            raise
        raise MachineError(
            f"{described(error)}. {recorded()} files of this run are done and recorded; "
            "then run the same command again to continue"
        ) from error


def _done(
    tasks: Iterator[Task],
    files: int,
    settings: Settings,
    options: RunOptions,
    interrupted: Event,
    cluster: Cluster | None,
    tell: Telling,
) -> Iterator[Done]:
    workers = _workers(options)
    processes = use_processes(files, workers, options.pool, settings.backend)
    together = 1 if options.on_error == "stop" else files  # then nothing is begun after a file that fails
    if cluster is not None:
        return on_cluster.done(cluster, tasks, together, settings, _died_and_encoded)
    if _on_gpus(settings, processes):
        outcomes = run_on_gpus(tasks, settings, workers, together)
        return (Done.of([outcome], settings) for outcome in outcomes)
    first = partial(
        compile_first,
        settings=settings,
        quickly=together >= QUICKLY_FROM,
        workers=workers,
        may_start=options.pool != "threads",
        tell=tell,
        stopped=interrupted.is_set,
    )
    return _mapped(
        process_and_encode, _died_and_encoded, tasks, settings, workers, processes, together, interrupted.is_set,
        first if settings.backend == "cpu" and not limits() else None,
    )  # fmt: skip


def _workers(options: RunOptions) -> int:
    return options.workers or get_num_threads()


def run_tasks(
    tasks: Iterable[Task], settings: Settings, workers: int, *, processes: bool, files: int = 1
) -> Iterator[Outcome]:
    """Outcomes in the order they finish; ``tasks``, about ``files``, is drawn from only as workers become free."""
    if _on_gpus(settings, processes):
        return run_on_gpus(iter(tasks), settings, workers, files)
    return chain.from_iterable(_mapped(process_some, _died, tasks, settings, workers, processes, files))


def _on_gpus(settings: Settings, processes: bool) -> bool:
    return settings.backend == "gpu" and not processes and not settings.series and fits(settings.pipeline.steps, "gpu")


def _mapped(
    work: Callable[..., Some],
    died: Callable[..., Some],
    tasks: Iterable[Task],
    settings: Settings,
    workers: int,
    processes: bool,
    files: int,
    stopped: Callable[[], bool] = lambda: False,
    begin: Callable[[Executor, Sequence[Task]], object] | None = None,
) -> Iterator[Some]:
    quickly = files >= QUICKLY_FROM
    do, waiting = partial(work, settings=settings, quickly=quickly), chunks(tasks, files, workers)
    first: Iterable[Some] = ()
    if limits() and not processes:
        # Images of others must not take the room of code that is compiled or loaded, which is asked for just before.
        rehearse(settings, quickly=quickly)
        first = map(do, islice(waiting, 1))
    rest = bounded_map(
        do,
        waiting,
        workers,
        processes=processes,
        ordered=False,
        died=partial(died, settings=settings),
        split=alone,
        rehearse=partial(rehearse, settings, quickly=quickly),
        stopped=stopped,
        ahead=ahead_of(settings, quickly=quickly),
        first=begin,
    )
    return chain(first, rest)


def _died(tasks: Sequence[Task], settings: Settings) -> list[Outcome]:
    return [died(task, settings) for task in tasks]


def _died_and_encoded(tasks: Sequence[Task], settings: Settings) -> Done:
    return Done.of(_died(tasks, settings), settings)


def _until(stop: Event, tasks: Iterator[Task]) -> Iterator[Task]:
    while not stop.is_set():
        task = next(tasks, None)
        if task is None:
            return
        yield task


def run(
    inputs: str | Path | Sequence[str | Path],
    out: str | Path,
    pipeline: Pipeline,
    options: RunOptions | None = None,
    *,
    progress: Progress = no_progress,
    **changes: Any,
) -> Report:
    """Run ``pipeline`` over files, folders or globs and write one output an input under ``out``.

    Args:
        inputs: a folder (searched recursively), a glob, a file, or several of these.
        out: folder for the outputs, ``manifest.jsonl``, ``failures.csv``, ``statistics.npz`` and ``summary.csv``.
        pipeline: what to do with each image.
        options: how; the defaults where there is none.
        progress: called after each file, or after some.
        changes: single options by name, such as ``format="npy"`` or ``workers=4``: see ``RunOptions`` for them all
            (``backend``, ``workers``, ``pool``, ``format``, ``compression``, ``units``, ``series``, ``shard``,
            ``resume``, ``overwrite``, ``verify``, ``durable``, ``on_error``).

    Raises:
        UsageError: refused before any work, with the reason.
        MachineError: the computer failed and no file; see ``execute``.
    """
    options = replace(options or RunOptions(), **changes)
    listed = [inputs] if isinstance(inputs, (str, Path)) else list(inputs)
    get_ready(listed, out, pipeline, options)
    return execute(plan(listed, out, pipeline, options), progress=progress)
