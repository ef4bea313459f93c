"""Files of one shape and dtype gathered into chunks for a GPU: who sits where, which chunk is where in its life.

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

from ctfast.dispatch.chain import Plan
from ctfast.files import Image
from ctfast.runner.manifest import Row
from ctfast.runner.planning import Task


class Stopped(Exception):
    """The run was given up while this thread waited for a place."""


class Key(NamedTuple):
    """What the images of a chunk have in common."""

    height: int
    width: int
    dtype: np.dtype[Any]


@dataclass(eq=False, slots=True)
class Seat:
    """One file's place in a chunk."""

    task: Task
    row: Row
    image: Image
    """What is known of it; the pixels are in the chunk."""
    shape: tuple[int, ...]
    start: int
    stop: int
    read_seconds: float


@dataclass(eq=False, slots=True)
class Chunk:
    """Images of one kind on their way through a GPU."""

    slot: Any
    key: Key
    plan: Plan
    source: NDArray[Any]
    """``(capacity, H, W)``, page-locked."""
    seats: list[Seat] = field(default_factory=list)
    taken: int = 0
    """Images that have a place."""
    expected: int = 0
    """Files that have a place and did not fail; those in ``seats`` have put their pixels there."""
    closed: bool = False
    left: int = 0
    """Files whose output is not written yet."""
    targets: list[NDArray[Any]] = field(default_factory=list)
    """Results, page-locked: the image first where the plan makes one, then the rows of each statistic."""
    seconds: float = 0.0
    """On the GPU."""


Job = tuple[Chunk, Seat]
"""An output to write."""


class Desk:
    """Gives files their places and chunks their next state; every method may be called from any thread."""

    def __init__(
        self, slots: Sequence[Any], launch: Callable[[Chunk], None], capacity: Callable[[Key, Plan], int], readers: int
    ) -> None:
        """Slots to use, what takes a chunk that is ready, how many images one may hold, threads that will read."""
        self._free = list(slots)
        self._slots = len(slots)
        self._launch = launch
        self._capacity = capacity
        self._readers = readers
        self._open: dict[Key, Chunk] = {}
        self._jobs: deque[Job] = deque()
        self._unwritten = 0
        self._stopped = False
        self._changed = threading.Condition()

    def take(self, key: Key, plan: Plan, count: int, meanwhile: Callable[[Job], None]) -> tuple[Chunk, int]:
        """An open chunk and the first of ``count`` places in it, the caller's until it calls ``sit`` or ``leave``.

        Where all slots are in use, the caller writes outputs until one is free.

        Raises:
            Stopped: the run was given up.
        """
        while True:
            with self._changed:
                if self._stopped:
                    raise Stopped
                chunk = self._with_room(key, plan, count)
                if chunk is not None:
                    start = chunk.taken
                    chunk.taken += count
                    chunk.expected += 1
                    self._unwritten += 1
                    return chunk, start
                if len(self._open) == self._slots:
                    # Every slot waits for files of another kind: the fullest goes as it is.
                    self._close(max(self._open.values(), key=lambda c: c.taken / len(c.source)))
                    continue  # its slot is free already where all its files have failed
                if not self._jobs:
                    self._changed.wait()
                    continue
                job = self._jobs.popleft()
            meanwhile(job)

    def sit(self, chunk: Chunk, seat: Seat) -> None:
        """The pixels of a file are in the place that ``take`` gave it."""
        with self._changed:
            chunk.seats.append(seat)
            self._settled(chunk)

    def leave(self, chunk: Chunk) -> None:
        """A file failed after ``take`` gave it a place: what it left there is computed, and nobody looks at it."""
        with self._changed:
            chunk.expected -= 1
            self._unwritten -= 1
            self._settled(chunk)

    def reader_done(self) -> None:
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
            self._jobs.extend((chunk, seat) for seat in chunk.seats)
            self._changed.notify_all()

    def written(self, chunk: Chunk) -> None:
        """One more file of the chunk is dealt with; its slot is free after the last."""
        with self._changed:
            self._unwritten -= 1
            chunk.left -= 1
            if chunk.left == 0:
                self._free.append(chunk.slot)
            if chunk.left == 0 or self._unwritten == 0:
                self._changed.notify_all()

    def job(self) -> Job | None:
        """An output to write, if there is one."""
        with self._changed:
            return self._jobs.popleft() if self._jobs else None

    def last_jobs(self) -> Iterator[Job]:
        """Outputs to write until all are written, for a thread that reads no more."""
        while True:
            with self._changed:
                while not self._jobs and not self._stopped and (self._unwritten or self._readers):
                    self._changed.wait()
                if self._stopped or not self._jobs:
                    return
                job = self._jobs.popleft()
            yield job

    @property
    def stopped(self) -> bool:
        """Whether the run was given up."""
        return self._stopped

    def stop(self) -> None:
        """Give up: nobody waits any longer."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _with_room(self, key: Key, plan: Plan, count: int) -> Chunk | None:
        chunk = self._open.get(key)
        if chunk is not None and chunk.taken + count > len(chunk.source):
            self._close(chunk)
            chunk = None
        if chunk is None and self._free:
            slot = self._free.pop()
            try:
                capacity = max(count, self._capacity(key, plan))
                source = slot.host("source", (capacity, key.height, key.width), key.dtype)
            except BaseException:
                self._free.append(slot)
                raise
            chunk = self._open[key] = Chunk(slot, key, plan, source)
        return chunk

    def _close(self, chunk: Chunk) -> None:
        chunk.closed = True
        del self._open[chunk.key]
        self._launch_if_whole(chunk)

    def _settled(self, chunk: Chunk) -> None:
        if chunk.taken == len(chunk.source) and not chunk.closed:
            self._close(chunk)
        else:
            self._launch_if_whole(chunk)

    def _launch_if_whole(self, chunk: Chunk) -> None:
        if not chunk.closed or len(chunk.seats) < chunk.expected:
            return
        if chunk.seats:
            chunk.left = chunk.expected
            self._launch(chunk)
        else:
            self._free.append(chunk.slot)
            self._changed.notify_all()
