"""Some files as one task of a worker, so that what is set up for one serves its neighbours.

Rows, outputs and errors are those of ``work.process`` for each file.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Final

import numpy as np

from ctfast.batch.workers import bounded_map
from ctfast.errors import CTFastError
from ctfast.files import read_image, write_image
from ctfast.runner.outcome import Outcome
from ctfast.runner.quick import process_quickly, try_quickly
from ctfast.runner.settings import Settings
from ctfast.runner.task import AT_ONCE, Task, is_remote
from ctfast.runner.volume import process_any
from ctfast.runner.work import run_pipeline

_MOST_FILES: Final = 32
_MOST_BYTES: Final = 24 << 20
_SHARES: Final = 8
"""Tasks a worker at least, so that all end together; a run of few files goes file by file."""
_SMALLEST: Final = 16
QUICKLY_FROM: Final = 300
"""Files. Compiling the quick way costs a first run some 12 s of a core; a file that goes it saves some 3 ms."""


def chunks(tasks: Iterable[Task], files: int, workers: int) -> Iterator[tuple[Task, ...]]:
    """``tasks``, about ``files``, in groups of neighbours that are little enough to be waited for."""
    most, waiting = max(1, min(_MOST_FILES, files // (_SHARES * workers))), iter(tasks)
    while some := tuple(_some(waiting, most)):
        yield some


def alone(tasks: Sequence[Task]) -> list[tuple[Task, ...]]:
    """Each by itself."""
    return [(task,) for task in tasks]


def _some(waiting: Iterator[Task], most: int) -> Iterator[Task]:
    size = 0
    for task in islice(waiting, most):
        yield task
        size += _bytes_of(task)
        if size > _MOST_BYTES:
            return


def _bytes_of(task: Task) -> int:
    try:
        return task.stamp().size if task.series is None else _MOST_BYTES + 1
    except OSError:  # reading it will say so
        return 0


def process_some(tasks: Sequence[Task], settings: Settings, *, quickly: bool = True) -> list[Outcome]:
    """The outcomes of all, in their order; never raises for a bad file."""
    if len(tasks) > 1 and any(map(is_remote, tasks)):
        return list(bounded_map(partial(process_any, settings=settings), tasks, AT_ONCE))
    if quickly and len(tasks) > 1 and all(task.series is None for task in tasks):
        outcomes = process_quickly(tasks, settings)
        if outcomes is not None:
            return outcomes
    return [process_any(task, settings, quickly=quickly) for task in tasks]


def rehearse(settings: Settings, *, quickly: bool = True) -> None:
    """Do all that a file needs with one that is made up, so that what can't be loaded is no file's fault."""
    file = io.BytesIO()
    with suppress(CTFastError):  # not for such pixels
        write_image("made_up.tif", np.zeros((_SMALLEST, _SMALLEST), np.int16), into=file)
        pixels = read_image("made_up.tif", data=file.getvalue()).pixels
        if not quickly or settings.backend != "cpu" or not try_quickly(settings):
            run_pipeline(pixels, settings)
