"""One file: read, compute, write. Runs in a thread or a process of its own; never raises for a bad file."""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from ctfast import __version__
from ctfast.batch.atomic import replacing, replacing_folder
from ctfast.batch.held import remove
from ctfast.batch.machine import computing, machine_error, writing
from ctfast.batch.reasons import reason
from ctfast.batch.stamp import Contents, read_once, sha256_of, stamp_of
from ctfast.batch.urls import is_url
from ctfast.batch.workers import DIED
from ctfast.dispatch.arrays import known_axes
from ctfast.dispatch.padded import held_pixels
from ctfast.errors import FileFormatError, MachineError
from ctfast.files import Allocate, Image, Limits, read_image, write_image
from ctfast.files.asked import LeftOutError, check_modality
from ctfast.files.formats import written
from ctfast.files.image import MetaValue
from ctfast.files.recognize import HEAD_BYTES, likeliest
from ctfast.files.units import check_display
from ctfast.files.writing import slice_spacing_of
from ctfast.results import Histogram, PipelineResult, Summary
from ctfast.runner.manifest import STALE, Row, set_aside
from ctfast.runner.settings import Settings
from ctfast.runner.task import Task

FAST_LEVEL = 1
"""CT hardly gets smaller at higher levels (0.51 of its size at zlib's 1 and 6) but takes three times as long."""


Load = Callable[[Task, Settings, Row], Image]
Compute = Callable[[Image, Task, Settings], PipelineResult]
Store = Callable[[Task, Settings, Image, PipelineResult, Row], None]


class Outcome(NamedTuple):
    """What one file gave: its line for the manifest, and its statistics where the pipeline takes some; or why the
    machine, and not the file, failed."""

    row: Row
    statistics: dict[str, Any] | None
    machine: str = ""


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


def died(task: Task, settings: Settings) -> Outcome:
    """What a file gave that killed the process that read it."""
    return failed(task, empty_row(task, settings), FileFormatError(DIED, "fewer --workers leave each more memory"))


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


def store(task: Task, settings: Settings, image: Image, result: PipelineResult, row: Row) -> None:
    """Write the output and note in ``row`` what it is; ``image`` knows its units and spacing.

    The bytes are made in memory, so that their hash is that of what was meant to be written, without a second read.
    """
    buffer = io.BytesIO()
    _write(buffer, task, settings, image, result)
    with buffer.getbuffer() as data:  # given back before the buffer goes, in whatever order an error lets things go
        put(task, settings, [data], row)


def put(task: Task, settings: Settings, parts: Sequence[bytes | memoryview], row: Row) -> None:
    """Write an output that consists of these bytes, and note in ``row`` what it is."""
    with writing():
        try:
            _replace(task, settings, parts)
        except (FileNotFoundError, NotADirectoryError):  # asked only now, as most outputs share a folder
            make_folder(task, settings)
            _replace(task, settings, parts)
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    row["output_bytes"], row["output_hash"] = sum(map(len, parts)), digest.hexdigest()
    _remove_stale(task)


def _replace(task: Task, settings: Settings, parts: Sequence[bytes | memoryview]) -> None:
    with replacing(task.output, "wb", durable=settings.durable) as file:
        file.writelines(parts)


def store_streamed(task: Task, settings: Settings, image: Image, result: PipelineResult, row: Row) -> None:
    """The same for folders, and what may be larger than memory: the hash is that of what can be read again."""
    folder = written(settings.format).folder
    with (
        _filling(task, settings),
        replacing_folder(task.output, durable=settings.durable)
        if folder
        else replacing(task.output, "w+b", durable=settings.durable) as file,
    ):
        _write(file, task, settings, image, result)
    row["output_bytes"], row["output_hash"] = stamp_of(task.output).size, sha256_of(task.output)
    _remove_stale(task)


def _remove_stale(task: Task) -> None:
    if not is_url(task.output):  # there it would be a request for each; the run does it when it closes
        remove(task.output + STALE)


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


def _write(file: IO[bytes] | Path, task: Task, settings: Settings, image: Image, result: PipelineResult) -> None:
    write_image(
        task.output,
        result.image,
        compression=settings.compression,
        level=FAST_LEVEL if settings.compression in ("zlib", "zstd") else None,
        units=units_after(image, settings),
        spacing=image.spacing,
        slice_spacing=slice_spacing_of(image),
        padding=padding_after(image, settings),
        geometry=image.geometry,
        description=description_of(settings),
        into=file,
    )


def units_after(image: Image, settings: Settings) -> str:
    """What the values of an output are."""
    return image.units if settings.pipeline.keeps_units else "unknown"


def padding_after(image: Image, settings: Settings) -> tuple[float, float] | None:
    """The padding that is still in an output, as filters that keep the units leave it."""
    return image.padding_range if settings.pipeline.keeps_units else None


def description_of(settings: Settings) -> dict[str, MetaValue]:
    """What outputs say of how they were made."""
    return {"pipeline": settings.pipeline.hash, "backend": settings.backend}


@contextmanager
def _filling(task: Task, settings: Settings) -> Iterator[None]:
    with writing():
        make_folder(task, settings)
        try:
            yield
        except FileNotFoundError:
            make_folder(task, settings)  # moved since: that is what has to be said
            raise


def make_folder(task: Task, settings: Settings) -> None:
    """The folder of an output, in the output folder that was there when the run began.

    Raises:
        MachineError: that one is gone.
    """
    if is_url(task.output):
        return
    out, folder = settings.out, os.path.dirname(task.output)
    if out and not os.path.isdir(out):  # made anew it would hold a part, and nobody would know of the others
        raise MachineError(f"{out} was moved or removed while it was being filled: put it back")
    if folder != out:
        os.makedirs(folder, exist_ok=True)


def finished(row: Row, result: PipelineResult, seconds: tuple[float, float, float]) -> Outcome:
    """What a file gave whose output is written; ``seconds`` of reading, computing and writing."""
    row["shape"], row["dtype"] = list(result.image.shape), str(result.image.dtype)
    row["read_seconds"], row["compute_seconds"], row["write_seconds"] = (round(s, 6) for s in seconds)
    row["status"] = "ok"
    return Outcome(row, _statistics(row, result))


def failed(task: Task, row: Row, error: BaseException, *image_bytes: int) -> Outcome:
    """What a file gave that could not be done, or is not to be; ``image_bytes``, where it was read."""
    if (trouble := machine_error(error, *image_bytes)) is not None:
        return Outcome(row, None, str(trouble))
    row["status"] = "skipped" if isinstance(error, LeftOutError) else "failed"
    row["error"] = reason(error, task.source)
    if set_aside(task.output):
        row["error"] += f"; its earlier output is now {os.path.basename(task.output)}{STALE}"
    return Outcome(row, None)


def left_out(path: Path, why: str, settings: Settings) -> Row:
    """The line of a path that was seen and is no image."""
    row = empty_row(Task(str(path) if is_url(path) else os.path.abspath(path), ""), settings)
    row["error"] = why
    return row


def empty_row(task: Task, settings: Settings) -> Row:
    """A line with nothing found out yet."""
    return Row(
        input=task.source,
        output=task.output,
        status="skipped",
        error="",
        started=time.time(),
        input_bytes=0,
        input_mtime=0.0,
        input_hash="",
        inputs=task.inputs,
        output_bytes=0,
        output_hash="",
        shape=[],
        dtype="",
        units="unknown",
        values="unknown",
        notes="",
        orientation="",
        turned="",
        affine=[],
        pipeline=settings.pipeline.hash,
        version=__version__,
        backend=settings.backend,
        read_seconds=0.0,
        compute_seconds=0.0,
        write_seconds=0.0,
    )


def _statistics(row: Row, result: PipelineResult) -> dict[str, Any] | None:
    if result.histogram is None and result.summary is None:
        return None
    line: dict[str, Any] = {"output": row["output"], "started": row["started"]}
    if result.histogram is not None:
        line["histogram"] = _histogram_lists(result.histogram)
    if result.summary is not None:
        line["summary"] = _summary_lists(result.summary)
    return line


def _histogram_lists(histogram: Histogram) -> dict[str, Any]:
    counts = np.asarray(histogram.counts)
    return {"edges": histogram.edges.tolist(), "counts": counts.reshape(-1, counts.shape[-1]).tolist()}


def _summary_lists(summary: Summary) -> dict[str, Any]:
    columns = {name: getattr(summary, name) for name in ("count", "mean", "std", "min", "max")}
    for i, level in enumerate(summary.levels):
        columns[f"p{level:g}"] = summary.percentiles[..., i]
    return {name: _listed(column.tolist()) for name, column in columns.items()}


def _listed(values: Any) -> list[Any]:
    return values if isinstance(values, list) else [values]
