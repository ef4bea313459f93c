"""One file after the other of a kind that many are of: what does not depend on the file is done once.

Plain files are read by ``files.plain``, images of a known kind go through a chain that is set up
(``dispatch.one_kind``), all of it in memory that the next file takes. Rows, outputs and errors are those of
``work.process``, which does whatever is unusual.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
import time
from collections.abc import Sequence
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ctfast.batch.stamp import Contents
from ctfast.dispatch.arrays import known_axes
from ctfast.dispatch.chain import fits
from ctfast.dispatch.one_kind import OneKind, one_kind
from ctfast.errors import CTFastError
from ctfast.files import Image, Limits
from ctfast.files.asked import check_modality
from ctfast.files.plain import PlainReader, PlainSlice, made_up_slice
from ctfast.files.plain_writer import PlainWriter
from ctfast.results import PipelineResult
from ctfast.runner.manifest import Row
from ctfast.runner.outcome import Outcome, empty_row, failed
from ctfast.runner.settings import Settings
from ctfast.runner.storing import description_of, padding_after, put, store, units_after
from ctfast.runner.task import Task
from ctfast.runner.work import Compute, Loaded, carry_on, compute, load, note

_SMALLEST: Final = 16
_LARGEST: Final = 8 << 20
"""Rows and columns, and bytes, of images that go through a chain; a short last axis would be taken for colours."""
_MOST_KINDS: Final = 64


class Quick:
    """Does files for the thread that makes it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        as_stored = not settings.offset and settings.dataset == "none"
        self._reader = PlainReader(settings.units, Limits(max_bytes=settings.max_bytes)) if as_stored else None
        self._chains: dict[Any, OneKind | None] = {}
        self._writer = PlainWriter(description_of(settings)) if settings.format == "tif" else None
        self._bytes = np.empty(1 << 20, np.uint8)
        self._data = self._bytes
        self._pixels = np.empty(0, np.uint8)

    def process(self, task: Task) -> Outcome:
        """As ``work.process``."""
        row, start = empty_row(task, self.settings), time.perf_counter()
        try:
            image, plain = self._load(task, row)
        except Exception as error:  # one bad file never stops a batch, whatever a decoder raises
            return failed(task, row, error)
        do = self._chain(image, plain) or compute
        loaded = Loaded(task, row, image, time.perf_counter() - start)
        return carry_on(loaded, self.settings, do, store if self._writer is None else self._store)

    def try_out(self, task: Task) -> None:
        """Do all but write, for the code that this takes.

        Raises:
            Exception: whatever reading or computing does.
        """
        image, plain = self._load(task, empty_row(task, self.settings))
        (self._chain(image, plain) or compute)(image, task, self.settings)

    def read(self, task: Task) -> None:
        """Only read."""
        self._load(task, empty_row(task, self.settings))

    def _load(self, task: Task, row: Row) -> tuple[Image, PlainSlice | None]:
        """A file's image, and the plain slice that it is of."""
        contents = self._contents(task)
        plain = None if contents is None else self._plain(task, row, contents)
        image = plain.image if plain is not None else load(task, self.settings, row, self._allocate, contents)
        return image, plain

    def _contents(self, task: Task) -> Contents | None:
        """A file's bytes in memory that is kept, with their hash; None for what ``read_once`` has to look at."""
        try:
            status = os.stat(task.source)
            if not stat.S_ISREG(status.st_mode) or not 0 < status.st_size < _LARGEST:
                return None
            if self._bytes.size <= status.st_size + 8:
                self._bytes = np.empty(2 * status.st_size + 8, np.uint8)
            self._data = self._bytes if self._reader is None else self._bytes[self._reader.before :]
            with open(task.source, "rb", buffering=0) as file:
                there = file.readinto(self._data.data[: status.st_size + 1])
        except OSError:
            return None
        if there != status.st_size:
            return None
        data = self._data.data[:there]
        return Contents(there, status.st_mtime, hashlib.sha256(data).hexdigest(), data)

    def _plain(self, task: Task, row: Row, contents: Contents) -> PlainSlice | None:
        if self._reader is None:
            return None
        plain = self._reader.read(task.source, self._data, contents.size)
        if plain is None:
            return None
        row["input_bytes"], row["input_mtime"], row["input_hash"], _ = contents
        check_modality(plain.image.meta.get("modality"), self.settings.modality)
        note(row, plain.image, self.settings)
        return plain

    def _allocate(self, shape: tuple[int, ...], dtype: np.dtype) -> NDArray[Any]:
        size = prod(shape) * dtype.itemsize
        if size > _LARGEST:
            return np.empty(shape, dtype)
        if self._pixels.size < size:
            self._pixels = np.empty(size, np.uint8)
        return self._pixels[:size].view(dtype).reshape(shape)

    def _chain(self, image: Image, plain: PlainSlice | None) -> Compute | None:
        """What computes in place of ``work.compute``; None where that has to."""
        pixels = image.pixels
        if pixels.ndim != 2 or min(pixels.shape) < _SMALLEST or pixels.nbytes > _LARGEST:
            return None
        padding = None if plain is None else plain.padding
        if (plain is None and image.padding is not None) or (
            padding is not None and plain is not None and not plain.dark
        ):
            return None
        kind = pixels.shape, pixels.dtype
        if kind not in self._chains:
            if len(self._chains) >= _MOST_KINDS:
                self._chains.clear()
            self._chains[kind] = _chain_of(self.settings, pixels)
        chain = self._chains[kind]
        if chain is None:
            return None

        def run(image: Image, task: Task, settings: Settings) -> PipelineResult:
            return chain.run(pixels, padding)

        return run

    def _store(self, task: Task, settings: Settings, image: Image, result: PipelineResult, row: Row) -> None:
        """As ``storing.store``."""
        assert self._writer is not None
        pixels, head = result.image, None
        if settings.compression == "none" and pixels.flags.c_contiguous:
            padding = padding_after(image, settings)
            head = self._writer.head(pixels, units_after(image, settings), image.spacing, image.geometry, padding)
        if head is None:
            store(task, settings, image, result, row)
        else:
            put(task, settings, [head, pixels.reshape(-1).view(np.uint8).data], row)


def _chain_of(settings: Settings, pixels: NDArray[Any]) -> OneKind | None:
    try:
        with known_axes():
            return one_kind(settings.pipeline.steps, pixels.shape, pixels.dtype)
    except CTFastError:  # for each file by itself, which says it
        return None


def try_quickly(settings: Settings) -> bool:
    """Load all that plain slices need, with one that is made up; False where they are not done so."""
    pixels = np.zeros((_SMALLEST, _SMALLEST), np.int16)
    if not fits(settings.pipeline.steps, "cpu"):
        return False
    chain = _chain_of(settings, pixels)
    if chain is None:
        return False
    chain.run(pixels)
    data = np.frombuffer(bytearray(made_up_slice(_SMALLEST)), np.uint8)
    plain = PlainReader("auto", Limits()).read("made_up.dcm", data, data.size)
    assert plain is not None
    return True


class _Kept(threading.local):
    quick: Quick | None = None


_kept = _Kept()


def process_quickly(tasks: Sequence[Task], settings: Settings) -> list[Outcome] | None:
    """The outcomes of all, in their order; None where nothing is gained."""
    if settings.backend != "cpu" or not fits(settings.pipeline.steps, "cpu"):
        return None
    if _kept.quick is None or _kept.quick.settings != settings:
        _kept.quick = Quick(settings)
    return [_kept.quick.process(task) for task in tasks]
