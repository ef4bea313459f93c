"""One file after the other of a kind that many are of: what does not depend on the file is done once.

Plain files are read by ``files.plain``, images of a known kind go through a chain that is set up
(``dispatch.one_kind``), all of it in memory that the next file takes. Rows, outputs and errors are those of
``work.process``, which does whatever is unusual.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from itertools import repeat
from math import prod
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ctfast.dispatch.arrays import known_axes
from ctfast.dispatch.chain import fits
from ctfast.dispatch.one_kind import OneKind, one_kind
from ctfast.errors import CTFastError
from ctfast.files import Image, Limits
from ctfast.files.asked import check_modality
from ctfast.files.hashes import compile_hashes, hashes_of
from ctfast.files.plain import PlainReader, PlainSlice, made_up_slice
from ctfast.files.plain_writer import PlainWriter
from ctfast.results import PipelineResult
from ctfast.runner.held_files import Held, HeldFiles
from ctfast.runner.manifest import Row
from ctfast.runner.settings import Settings
from ctfast.runner.task import Task
from ctfast.runner.work import (
    Loaded,
    Outcome,
    carry_on,
    compute,
    description_of,
    empty_row,
    failed,
    load,
    note,
    put,
    store,
    units_after,
)

_SMALLEST: Final = 16
_TOGETHER: Final = 16
"""Files that are read before the first is computed, and written after the last: hashes are found side by side."""
_LARGEST: Final = 8 << 20
"""Rows and columns, and bytes, of images that go through a chain; a short last axis would be taken for colours."""
_MOST_KINDS: Final = 64
_HEAD: Final = 1 << 10
"""Bytes in front of an image's pixels, for the head of its file."""


class _Waiting(NamedTuple):
    """An output that is not written yet.

    Attributes:
        number: of its outcome.
        task, row: of that.
        before: the row as it was before it said that all is done.
        data: the output.
    """

    number: int
    task: Task
    row: Row
    before: Row
    data: NDArray[np.uint8]


class Quick:
    """Does files for the thread that makes it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        as_stored = not settings.offset and settings.dataset == "none"
        self._reader = PlainReader(settings.units, Limits(max_bytes=settings.max_bytes)) if as_stored else None
        self._chains: dict[Any, OneKind | None] = {}
        self._writer = PlainWriter(description_of(settings)) if settings.format == "tif" else None
        self._files = HeldFiles((lambda view: 0) if self._reader is None else self._reader.behind)
        self._pixels = np.empty(0, np.uint8)
        self._rooms = [np.empty(0, np.uint8) for _ in range(_TOGETHER)]
        self._waiting: list[_Waiting] = []

    def process(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        """As ``work.process`` for each."""
        for first in range(0, len(tasks), _TOGETHER):
            some, start = tasks[first : first + _TOGETHER], time.perf_counter()
            files = self._files.read([task.source for task in some])
            seconds = (time.perf_counter() - start) / len(some)
            self._waiting.clear()
            outcomes = list(map(self._process, some, files, range(len(some)), repeat(seconds)))
            self._write(outcomes)
            yield from outcomes

    def _process(self, task: Task, held: Held | None, number: int, seconds: float) -> Outcome:
        """All but writing what can wait for its neighbours; ``seconds`` were spent on reading it."""
        row, start = empty_row(task, self.settings), time.perf_counter() - seconds
        try:
            plain = None if held is None else self._plain(task, row, held)
            contents = None if held is None else held.contents
            image = plain.image if plain is not None else load(task, self.settings, row, self._allocate, contents)
        except Exception as error:  # one bad file never stops a batch, whatever a decoder raises
            return failed(task, row, error)
        chain, padding = self._chain(image, plain), None if plain is None else plain.padding
        loaded = Loaded(task, row, image, time.perf_counter() - start)
        if chain is None:
            return carry_on(loaded, self.settings, compute, store)
        room = self._room(number, *chain.kind)

        def run(image: Image, task: Task, settings: Settings) -> PipelineResult:
            return chain.run(image.pixels, padding, room[_HEAD:].view(chain.kind[1]).reshape(chain.kind[0]))

        def keep(task: Task, settings: Settings, image: Image, result: PipelineResult, row: Row) -> None:
            head = self._head(image, result)
            if head is None:
                store(task, settings, image, result, row)
                return
            room[_HEAD - len(head) : _HEAD] = np.frombuffer(head, np.uint8)
            self._waiting.append(_Waiting(number, task, row, row.copy(), room[_HEAD - len(head) :]))

        return carry_on(loaded, self.settings, run, keep)

    def _room(self, number: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[np.uint8]:
        """For a head and an image behind it."""
        size = _HEAD + prod(shape) * dtype.itemsize
        if self._rooms[number].size != size:
            self._rooms[number] = np.empty(size, np.uint8)
        return self._rooms[number]

    def _head(self, image: Image, result: PipelineResult) -> bytes | None:
        """What stands in front of a result's pixels; None where ``work.store`` has to write it."""
        if self._writer is None or self.settings.compression != "none":
            return None
        head = self._writer.head(result.image, units_after(image, self.settings), image.spacing, image.geometry)
        return None if head is None or len(head) > _HEAD else head

    def _write(self, outcomes: list[Outcome]) -> None:
        """Outputs that wait, whose hashes are found side by side."""
        start = time.perf_counter()
        hashes = hashes_of([one.data for one in self._waiting])
        hashing = (time.perf_counter() - start) / max(len(hashes), 1)
        for one, digits in zip(self._waiting, hashes, strict=True):
            start = time.perf_counter()
            try:
                put(one.task, self.settings, [one.data.data], one.row, digits)
                spent = one.row["write_seconds"] + hashing + time.perf_counter() - start
                one.row["write_seconds"] = round(spent, 6)
            except Exception as error:
                outcomes[one.number] = failed(one.task, one.before, error)

    def _plain(self, task: Task, row: Row, held: Held) -> PlainSlice | None:
        if self._reader is None:
            return None
        plain = self._reader.read(task.source, held.data, held.contents.size)
        if plain is None:
            return None
        row["input_bytes"], row["input_mtime"], row["input_hash"], _ = held.contents
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

    def _chain(self, image: Image, plain: PlainSlice | None) -> OneKind | None:
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
        return self._chains[kind]


def _chain_of(settings: Settings, pixels: NDArray[Any]) -> OneKind | None:
    try:
        with known_axes():
            return one_kind(settings.pipeline.steps, pixels.shape, pixels.dtype)
    except CTFastError:  # for each file by itself, which says it
        return None


def try_quickly(settings: Settings) -> bool:
    """Load all that plain slices need, with one that is made up; False where they are not done so."""
    if not fits(settings.pipeline.steps, "cpu"):
        return False
    compile_hashes()
    data = np.frombuffer(bytearray(made_up_slice(_SMALLEST)), np.uint8)
    plain = PlainReader("auto", Limits()).read("made_up.dcm", data, data.size)
    assert plain is not None
    chain = _chain_of(settings, plain.image.pixels)
    if chain is None:
        return False
    chain.run(plain.image.pixels, plain.padding)
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
    return list(_kept.quick.process(tasks))
