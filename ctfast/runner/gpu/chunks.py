"""Files of one shape and dtype gathered into chunks for a GPU.

A chunk uses a slot of page-locked memory: open (threads that read files put their pixels straight into it), closed
(full, or its slot is needed), on the GPU, being written to files, and then its slot is free again.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ctfast.dispatch.chain import CheckedChain
from ctfast.files import Image
from ctfast.runner.manifest import Row
from ctfast.runner.task import Task


class Stopped(Exception):
    """The run was given up while this thread waited for room in a chunk."""


class Key(NamedTuple):
    """What the images of a chunk have in common."""

    height: int
    width: int
    dtype: np.dtype[Any]


@dataclass(eq=False, slots=True)
class Entry:
    """One file in a chunk.

    Attributes:
        image: what is known of it; the pixels are in the chunk.
        start: its first image in the chunk, and ``stop`` behind its last.
    """

    task: Task
    row: Row
    image: Image
    shape: tuple[int, ...]
    start: int
    stop: int
    read_seconds: float


@dataclass(eq=False, slots=True)
class Chunk:
    """Images of one kind on their way through a GPU.

    Attributes:
        source: ``(capacity, H, W)``, page-locked.
        entries: files whose pixels are there.
        reserved: images that have memory in ``source``.
        expected: files that reserved memory and did not fail; those in ``entries`` are among them.
        closed: whether no more files are taken in.
        unwritten: files whose output is not written yet.
        results: page-locked: the image first where the chain makes one, then the rows of each statistic.
        seconds: on the GPU.
    """

    slot: Any
    key: Key
    chain: CheckedChain
    source: NDArray[Any]
    entries: list[Entry] = field(default_factory=list)
    reserved: int = 0
    expected: int = 0
    closed: bool = False
    unwritten: int = 0
    results: list[NDArray[Any]] = field(default_factory=list)
    seconds: float = 0.0


Output = tuple[Chunk, Entry]
"""An output to write."""


class ChunkBuffer:
    """Gives files memory in chunks and chunks their next state; every method may be called from any thread."""

    def __init__(
        self,
        slots: Sequence[Any],
        launch: Callable[[Chunk], None],
        capacity: Callable[[Key, CheckedChain], int],
        readers: int,
    ) -> None:
        """Slots to use, what takes a chunk that is ready, how many images one may hold, threads that will read."""
        self._free = list(slots)
        self._slots = len(slots)
        self._launch = launch
        self._capacity = capacity
        self._readers = readers
        self._open: dict[Key, Chunk] = {}
        self._outputs: deque[Output] = deque()
        self._unwritten = 0
        self._stopped = False
        self._changed = threading.Condition()

    def reserve(self, key: Key, chain: CheckedChain, count: int, write: Callable[[Output], None]) -> tuple[Chunk, int]:
        """Memory for ``count`` images: an open chunk and the first index in it, until ``commit`` or ``cancel``.

        Where all slots are in use, the caller writes outputs until one is free.

        Raises:
            Stopped: the run was given up.
        """
        while True:
            with self._changed:
                if self._stopped:
                    raise Stopped
                chunk = self._with_room(key, chain, count)
                if chunk is not None:
                    start = chunk.reserved
                    chunk.reserved += count
                    chunk.expected += 1
                    self._unwritten += 1
                    return chunk, start
                if len(self._open) == self._slots:
                    # Every slot waits for files of another kind: the fullest goes as it is.
                    self._close(max(self._open.values(), key=lambda c: c.reserved / len(c.source)))
                    continue  # its slot is free already where all its files have failed
                if not self._outputs:
                    self._changed.wait()
                    continue
                output = self._outputs.popleft()
            write(output)

    def commit(self, chunk: Chunk, entry: Entry) -> None:
        """The pixels of a file are in the memory that ``reserve`` gave it."""
        with self._changed:
            chunk.entries.append(entry)
            self._entered(chunk)

    def cancel(self, chunk: Chunk) -> None:
        """A file failed after ``reserve``: what it left in its memory is computed, and nobody looks at it."""
        with self._changed:
            chunk.expected -= 1
            self._unwritten -= 1
            self._entered(chunk)

    def reader_finished(self) -> None:
        """A thread reads no more files; after the last one, chunks go as full as they are."""
        with self._changed:
            self._readers -= 1
            if self._readers == 0:
                for chunk in list(self._open.values()):
                    self._close(chunk)
                self._changed.notify_all()

    def computed(self, chunk: Chunk) -> None:
        """The results of a chunk are there."""
        with self._changed:
            self._outputs.extend((chunk, entry) for entry in chunk.entries)
            self._changed.notify_all()

    def written(self, chunk: Chunk) -> None:
        """One more file of the chunk is written or has failed; its slot is free after the last."""
        with self._changed:
            self._unwritten -= 1
            chunk.unwritten -= 1
            if chunk.unwritten == 0:
                self._free.append(chunk.slot)
            if chunk.unwritten == 0 or self._unwritten == 0:
                self._changed.notify_all()

    def next_output(self) -> Output | None:
        """An output to write, if there is one."""
        with self._changed:
            return self._outputs.popleft() if self._outputs else None

    def remaining_outputs(self) -> Iterator[Output]:
        """Outputs to write until all are written, for a thread that reads no more."""
        while True:
            with self._changed:
                while not self._outputs and not self._stopped and (self._unwritten or self._readers):
                    self._changed.wait()
                if self._stopped or not self._outputs:
                    return
                output = self._outputs.popleft()
            yield output

    @property
    def stopped(self) -> bool:
        """Whether the run was given up."""
        return self._stopped

    def stop(self) -> None:
        """Give up: nobody waits any longer."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _with_room(self, key: Key, chain: CheckedChain, count: int) -> Chunk | None:
        chunk = self._open.get(key)
        if chunk is not None and chunk.reserved + count > len(chunk.source):
            self._close(chunk)
            chunk = None
        if chunk is None and self._free:
            slot = self._free.pop()
            try:
                capacity = max(count, self._capacity(key, chain))
                source = slot.host("source", (capacity, key.height, key.width), key.dtype)
            except BaseException:
                self._free.append(slot)
                raise
            chunk = self._open[key] = Chunk(slot, key, chain, source)
        return chunk

    def _close(self, chunk: Chunk) -> None:
        chunk.closed = True
        del self._open[chunk.key]
        self._launch_if_complete(chunk)

    def _entered(self, chunk: Chunk) -> None:
        if chunk.reserved == len(chunk.source) and not chunk.closed:
            self._close(chunk)
        else:
            self._launch_if_complete(chunk)

    def _launch_if_complete(self, chunk: Chunk) -> None:
        if not chunk.closed or len(chunk.entries) < chunk.expected:
            return
        if chunk.entries:
            chunk.unwritten = chunk.expected
            self._launch(chunk)
        else:
            self._free.append(chunk.slot)
            self._changed.notify_all()
