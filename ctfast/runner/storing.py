"""Writing one file's output: whole or not at all, with the hash of what was meant to be written."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ctfast.batch.atomic import replacing, replacing_folder
from ctfast.batch.held import remove
from ctfast.batch.machine import writing
from ctfast.batch.stamp import sha256_of, stamp_of
from ctfast.batch.urls import is_url
from ctfast.errors import MachineError
from ctfast.files import Image, write_image
from ctfast.files.formats import written
from ctfast.files.image import MetaValue
from ctfast.files.writing import slice_spacing_of
from ctfast.results import PipelineResult
from ctfast.runner.manifest import STALE, Row
from ctfast.runner.settings import Settings
from ctfast.runner.task import Task

FAST_LEVEL = 1
"""CT hardly gets smaller at higher levels (0.51 of its size at zlib's 1 and 6) but takes three times as long."""


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
