"""One file: read, compute, write. Runs in a thread or a process of its own; never raises for a bad file."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ctfast.batch.machine import computing
from ctfast.batch.stamp import Contents, read_once
from ctfast.dispatch.arrays import known_axes
from ctfast.dispatch.padded import held_pixels
from ctfast.errors import FileFormatError
from ctfast.files import Allocate, Image, Limits, read_image
from ctfast.files.asked import LeftOutError, check_modality
from ctfast.files.formats import written
from ctfast.files.recognize import HEAD_BYTES, likeliest
from ctfast.files.units import check_display
from ctfast.results import PipelineResult
from ctfast.runner.manifest import Row
from ctfast.runner.outcome import Outcome, empty_row, failed, finished
from ctfast.runner.settings import Settings
from ctfast.runner.storing import store, store_streamed
from ctfast.runner.task import Task

Load = Callable[[Task, Settings, Row], Image]
Compute = Callable[[Image, Task, Settings], PipelineResult]
Store = Callable[[Task, Settings, Image, PipelineResult, Row], None]


class Loaded(NamedTuple):
    """A task whose input is read, and in how many seconds."""

    task: Task
    row: Row
    image: Image
    seconds: float


def process(task: Task, settings: Settings) -> Outcome:
    """Read, compute and write one file; failures become a row with ``status="failed"``."""
    return carry_out(task, settings, load, compute, store)


def carry_out(task: Task, settings: Settings, load: Load, compute: Compute, store: Store) -> Outcome:
    """Do the three stages of a task; failures become a row with ``status="failed"``."""
    row, start = empty_row(task, settings), time.perf_counter()
    try:
        image = load(task, settings, row)
    except Exception as error:  # one bad file never stops a batch, whatever a decoder raises
        return failed(task, row, error)
    return carry_on(Loaded(task, row, image, time.perf_counter() - start), settings, compute, store)


def carry_on(loaded: Loaded, settings: Settings, compute: Compute, store: Store, before: float = 0.0) -> Outcome:
    """Do the other two stages; ``before``: seconds of computing that were spent on this image already."""
    task, row, image, seconds = loaded
    clock = time.perf_counter
    try:
        start = clock()
        with computing(image.pixels.nbytes):
            result = compute(image, task, settings)
        computed = clock()
        (store_streamed if written(settings.format).folder else store)(task, settings, image, result, row)
        return finished(row, result, (seconds, computed - start + before, clock() - computed))
    except Exception as error:
        return failed(task, row, error, image.pixels.nbytes)


def load(
    task: Task, settings: Settings, row: Row, allocate: Allocate | None = None, contents: Contents | None = None
) -> Image:
    """Read the input, into what ``allocate`` gives where there is one, and note in ``row`` what it was.

    ``contents``: where it was read already.
    """
    row["input_bytes"], row["input_mtime"], row["input_hash"], data = contents or read_once(task.source, task.seen)
    limits = Limits(max_bytes=settings.max_bytes)
    if task.seen is not None and data is not None:
        _leave_out_without_pixels(bytes(data[:HEAD_BYTES]))
    try:
        image = read_image(
            task.source,
            units=settings.units,
            limits=limits,
            allocate=allocate,
            orient=settings.orient,
            axes=settings.axes,
            offset=settings.offset,
            dataset=settings.dataset,
            data=None if data is None else bytes(data),
        )
    except FileFormatError as error:
        if f"the limit is {settings.max_bytes}" in str(error):
            error.add_note("(fewer --workers leave each file more memory)")
        raise
    check_modality(image.meta.get("modality"), settings.modality)
    note(row, image, settings)
    return image


def _leave_out_without_pixels(head: bytes) -> None:
    """What a folder's search finds out of files on a disk, and not of URLs, where each look is a request."""
    kind = likeliest(head)
    why = None if kind is None or kind.without_pixels is None else kind.without_pixels(head)
    if why is not None:
        raise LeftOutError(why)


def note(row: Row, image: Image, settings: Settings) -> None:
    """What the input was; brightness is refused where the pipeline is about HU."""
    row["units"] = row["values"] = image.units
    check_display(image, settings.pipeline.expects_hu)
    row["notes"], row["orientation"] = str(image.meta.get("notes", "")), str(image.meta.get("orientation", ""))
    row["turned"] = str(image.meta.get("turned", ""))
    if image.geometry is not None:
        row["affine"] = [list(numbers) for numbers in image.geometry.affine]


def compute(image: Image, task: Task, settings: Settings) -> PipelineResult:
    """Run the pipeline over a file; its padding is left out of statistics and ranges."""
    return run_pipeline(image.pixels, settings, image.padding_range)


def minds_padding(image: Image, settings: Settings) -> bool:
    """Whether padding has to be kept from what the pipeline finds out, which a batch of files can't."""
    padding = image.padding_range
    return padding is not None and held_pixels(image.pixels, padding, settings.pipeline.steps) is not None


def run_pipeline(pixels: np.ndarray, settings: Settings, padding: tuple[float, float] | None = None) -> PipelineResult:
    """Run the pipeline over ``(H, W)`` or ``(frames, H, W)``, however narrow."""
    with known_axes():
        return settings.pipeline.run(pixels, backend=settings.backend, padding=padding)
