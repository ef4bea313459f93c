"""Some files as one task of a worker: pixels of one kind go through the chain as one batch, in memory that is kept.

The interpreter touches a batch, not a file, and no page of memory is new to the system. Rows, outputs and errors are
those of ``work.process`` for each file; whatever is unusual (another shape or dtype than its neighbours', a volume, a
batch that fails) is done by itself.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from functools import partial
from itertools import islice
from math import prod
from typing import Final

import numpy as np

from ctfast.batch.stamp import stamp_of
from ctfast.dispatch.chain import fits
from ctfast.errors import CTFastError
from ctfast.files import read_image, write_image
from ctfast.results import Histogram, PipelineResult, Summary
from ctfast.runner.planning import Settings, Task
from ctfast.runner.volume import process_any
from ctfast.runner.work import (
    Loaded,
    Outcome,
    carry_on,
    compute,
    empty_row,
    failed,
    load,
    minds_padding,
    run_pipeline,
    store,
)

_MOST_FILES: Final = 32
_MOST_BYTES: Final = 24 << 20
_SHARES: Final = 8
"""Tasks a worker at least, so that all end together; a run of few files goes file by file."""
_IMAGES: Final = 8
"""Images of a batch: enough for the interpreter's part to be small, few enough for a last-level cache."""
_SMALLEST: Final = 16
_LARGEST: Final = 8 << 20
"""Rows and columns, and bytes, of the images that batches are made of; a short last axis would be taken for colours."""


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
        return stamp_of(task.source).size if task.series is None else _MOST_BYTES
    except OSError:  # reading it will say so
        return 0


def process_some(tasks: Sequence[Task], settings: Settings) -> list[Outcome]:
    """The outcomes of all, in their order; never raises for a bad file."""
    batches = len(tasks) > 1 and settings.backend == "cpu" and fits(settings.pipeline.steps, settings.backend)
    if not batches or any(task.series is not None for task in tasks):
        return [process_any(task, settings) for task in tasks]
    return [
        outcome
        for start in range(0, len(tasks), _IMAGES)
        for outcome in _process_batch(tasks[start : start + _IMAGES], settings)
    ]


def rehearse(settings: Settings) -> None:
    """Do all that a file needs with one that is made up, so that what can't be loaded is no file's fault."""
    file = io.BytesIO()
    with suppress(CTFastError):  # not for such pixels
        write_image("made_up.tif", np.zeros((_SMALLEST, _SMALLEST), np.int16), into=file)
        run_pipeline(read_image("made_up.tif", data=file.getvalue()).pixels, settings)


def _process_batch(tasks: Sequence[Task], settings: Settings) -> Iterator[Outcome]:
    room = _Room()
    loaded: list[tuple[Loaded, int | None]] = []
    for task in tasks:
        row, start = empty_row(task, settings), time.perf_counter()
        try:
            image = load(task, settings, row, room.allocate)
        except Exception as error:  # one bad file never stops a batch, whatever a decoder raises
            yield failed(task, row, error)
            continue
        if minds_padding(image, settings):
            image, place = replace(image, pixels=image.pixels.copy()), None  # its place is the next one's
        else:
            place = room.take(image.pixels)
        loaded.append((Loaded(task, row, image, time.perf_counter() - start), place))
    start = time.perf_counter()
    results = _results(room.batch, settings) if room.taken > 1 else None
    seconds = (time.perf_counter() - start) / max(room.taken, 1)
    for one, place in loaded:
        if results is None or place is None:
            yield carry_on(one, settings, compute, store)
        else:
            yield carry_on(one, settings, partial(_of_batch, results, place), store, seconds)


def _results(batch: np.ndarray, settings: Settings) -> PipelineResult | None:
    """What the pipeline gives for the batch; None where it fails: each image by itself then says what is wrong."""
    try:
        return run_pipeline(batch, settings)
    except Exception:
        return None


def _of_batch(results: PipelineResult, place: int, *_: object) -> PipelineResult:
    """The part of one image, in place of computing it."""
    histogram, summary = results.histogram, results.summary
    return PipelineResult(
        results.image[place],
        None if histogram is None else Histogram(histogram.counts[place], histogram.edges),
        None if summary is None else replace(summary, **{name: getattr(summary, name)[place] for name in _COLUMNS}),
    )


_COLUMNS: Final = [field.name for field in fields(Summary) if field.name != "levels"]


class _Room:
    """Memory for the images of a batch, all of the first one's kind, one behind the other."""

    def __init__(self) -> None:
        self.taken = 0
        self._kind: tuple[tuple[int, ...], np.dtype] | None = None
        self._given: np.ndarray | None = None

    @property
    def batch(self) -> np.ndarray:
        """The images that are there, one at least."""
        return self._images()[: self.taken]

    def allocate(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """The next place, free again unless ``take`` follows; memory of its own for an image of another kind."""
        self._given = None
        if len(shape) != 2 or min(shape) < _SMALLEST or prod(shape) * dtype.itemsize > _LARGEST:
            return np.empty(shape, dtype)
        if self._kind is None:
            self._kind = shape, dtype
        if self._kind != (shape, dtype):
            return np.empty(shape, dtype)
        self._given = self._images()[self.taken]
        return self._given

    def take(self, pixels: np.ndarray) -> int | None:
        """The index of an image that was read into the place that was given last; None for others."""
        given, self._given = self._given, None
        if given is None or not np.may_share_memory(pixels, given):
            return None
        self.taken += 1
        return self.taken - 1 if pixels is given else None

    def _images(self) -> np.ndarray:
        assert self._kind is not None
        shape, dtype = self._kind
        size = _IMAGES * prod(shape) * dtype.itemsize
        if len(_kept.memory) < size:
            _kept.memory = np.empty(size, np.uint8)
        return _kept.memory[:size].view(dtype).reshape(_IMAGES, *shape)


class _Kept(threading.local):
    memory = np.empty(0, np.uint8)


_kept = _Kept()
