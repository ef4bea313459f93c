"""What a run compiles before its first file, where it is not on the disk yet: each kernel once, some at a time.

Whoever does the files looks what the first one takes, and has it compiled: steps that make images side by side, by
themselves, and then all that the file needs. Files of another kind compile what they lack by themselves.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Final

import numpy as np

from ctfast.backend import is_compiled
from ctfast.batch.compiling import Part, Telling, in_turn
from ctfast.batch.processes import process_pool
from ctfast.dispatch.chain import axes_of, run_steps
from ctfast.dispatch.prepared import prepare
from ctfast.errors import CTFastError
from ctfast.files import Limits
from ctfast.runner.ahead import ahead_of, is_loaded
from ctfast.runner.outcome import empty_row
from ctfast.runner.quick import Quick
from ctfast.runner.settings import Settings
from ctfast.runner.slices import SliceReader
from ctfast.runner.task import Task, is_remote
from ctfast.runner.work import compute, load, run_pipeline

_SIDE: Final = 64
_MOST: Final = "int16"
"""What most slices hold."""
_LARGEST: Final = 4 << 20
"""Bytes of a first file that is read, and computed, before its turn."""


def compile_first(
    pool: Executor,
    tasks: Sequence[Task],
    *,
    settings: Settings,
    quickly: bool,
    workers: int,
    may_start: bool,
    tell: Telling,
    stopped: Callable[[], bool],
) -> None:
    """Have compiled what files like the first of ``tasks`` take, by the workers of ``pool``, before they begin.

    Args:
        pool: of threads, of which one compiles at a time, or of processes.
        tasks: the first files.
        settings, quickly: of the run.
        workers: how many there are.
        may_start: whether processes may be started where there are only threads.
        tell: how far it is.
        stopped: whether to compile no more.
    """
    try:
        dtype, titles = pool.submit(look, tasks[0], settings, quickly=quickly).result()
    except (CTFastError, OSError, MemoryError):  # who does the files says it
        return
    if not titles or stopped():
        return
    do = partial(compile_part, task=tasks[0], dtype=dtype, settings=settings, quickly=quickly)
    if isinstance(pool, ProcessPoolExecutor):
        in_turn(pool, workers, titles, do, tell, stopped)
    elif may_start and workers > 1 and sys.platform != "win32":
        with process_pool(workers, compile_part, ahead_of(settings, quickly=quickly)) as processes:
            in_turn(processes, workers, titles, do, tell, stopped)
    else:
        in_turn(pool, 1, titles, do, tell, stopped)


def look(task: Task, settings: Settings, *, quickly: bool) -> tuple[str, list[str]]:
    """The type of a file's pixels, and the titles of what is to be compiled for it; none where all of it is there."""
    *_, last = parts(task, _MOST, settings, quickly=quickly)
    # Else the first file is read, whose decoders may take half a second to import, for which other workers would wait.
    if is_loaded(settings, quickly=quickly) or all(map(is_compiled, last.calls)):
        return _MOST, []
    dtype = _MOST
    with suppress(Exception):  # whatever a decoder raises, the file's row will say it
        if _is_slice(task):
            dtype = load(task, settings, empty_row(task, settings)).pixels.dtype.name
    return dtype, [part.title for part in parts(task, dtype, settings, quickly=quickly)]


def compile_part(number: int, task: Task, dtype: str, settings: Settings, *, quickly: bool) -> None:
    """Compile one of ``parts``."""
    for call in parts(task, dtype, settings, quickly=quickly)[number].calls:
        call()


def parts(task: Task, dtype: str, settings: Settings, *, quickly: bool) -> list[Part]:
    """All that is compiled for a file whose pixels are of a type; the last takes the others.

    Statistics belong to that: what they are compiled from depends on the steps before them, and on padding.
    """
    steps, now, made = settings.pipeline.steps, np.dtype(dtype), dict[tuple[str, str], Part]()
    for step in steps:
        if not step.is_statistic:
            calls = tuple(partial(_try, run_steps, image, [step], "cpu") for image in _images(now, axes_of([step])))
            known = made.get((step.operation, now.name), Part(step.operation, ()))
            made[step.operation, now.name] = Part(step.operation, known.calls + calls)
            now = prepare(step.operation, now, step.params, chosen="cpu", dtype=step.dtype).dtype
    reading = [Part("plain files", (partial(_try, _read, task, settings),))] if quickly else []
    whole = Part("all steps together", (partial(_try, _all_of, task, settings, quickly),))
    return [*reversed(made.values()), *reading, whole]  # what comes last in presets takes longest


def _images(dtype: np.dtype, axes: int) -> list[np.ndarray]:
    """Some that are made up; floats that are whole numbers and others take different code."""
    pixels = np.random.default_rng(0).integers(0, 256, (4, _SIDE, _SIDE)[3 - axes :])
    whole = pixels.astype(dtype)
    return [whole, (pixels + 0.3).astype(dtype)] if dtype.kind == "f" else [whole]


def _is_slice(task: Task) -> bool:
    try:
        return task.series is None and not is_remote(task) and task.stamp().size <= _LARGEST
    except OSError:
        return False


def _read(task: Task, settings: Settings) -> None:
    if _is_slice(task):
        Quick(settings).read(task)
    elif task.series is not None:
        SliceReader(task.series.units, Limits()).read(task.series.files[0])


def _all_of(task: Task, settings: Settings, quickly: bool) -> None:
    """All but writing of a file; of a stack that is made up, where that would take long."""
    if not _is_slice(task):
        if quickly:
            _read(task, settings)
        for image in _images(np.dtype(_MOST), 3):
            run_pipeline(image, settings)
    elif quickly:
        Quick(settings).try_out(task)
    else:
        compute(load(task, settings, empty_row(task, settings)), task, settings)


def _try(call: Callable[..., object], *arguments: object) -> None:
    with suppress(Exception):  # whatever a decoder raises, the file's row will say it
        call(*arguments)
