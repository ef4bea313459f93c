"""Files to the network's input for prediction: many at a time, results in order, a bad file as a reason.

Threads start at once. Processes cost about a second to start, are not held up by the interpreter lock, and survive a
decoder that crashes: the file that killed its process gets an error and the others go on.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from ctfast.analysis.scan.scan_set import in_order
from ctfast.batch.processes import DIED, new_pool
from ctfast.batch.reasons import reason
from ctfast.files import Limits, UnitsChoice
from ctfast.model.data.preprocessing import Preprocessing

_AHEAD: Final = 2
"""Files a worker in flight, so that memory does not grow with their number."""

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True)
class Reading:
    """How files are read."""

    preprocessing: Preprocessing
    units: UnitsChoice = "auto"
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, eq=False)
class Read:
    """What one file gave.

    Attributes:
        frames: ``(frames, H, W)`` uint16, or with a last axis of 3; none where there is an error.
        error: Why the file could not be read; empty otherwise.
        units: What its values mean: hu, stored, unknown.
        trusted: Whether the preprocessing makes sense for such values.
        several: Whether it holds a stack.
        size: Bytes.
        modified: Seconds since the epoch.
    """

    frames: NDArray[np.uint16]
    error: str = ""
    units: str = ""
    trusted: bool = True
    several: bool = False
    size: int = 0
    modified: float = 0.0


def read_all(paths: Iterable[str], reading: Reading, workers: int, *, processes: bool) -> Iterator[Read]:
    """What each file gave, in the order of ``paths``, which are drawn from only as workers become free."""
    work = partial(read_one, reading=reading)
    if processes:
        return in_processes(work, paths, workers, died=partial(_dead, reading=reading))
    return in_order(work, paths, workers)


def read_one(path: str, reading: Reading) -> Read:
    """Read and preprocess one file; never raises for a bad one."""
    size, modified = 0, 0.0
    try:
        status = os.stat(path)
        size, modified = status.st_size, status.st_mtime
        frames, image = reading.preprocessing.read(path, units=reading.units, limits=reading.limits)
        if not len(frames):
            return Read(no_frames(reading), "no frames", size=size, modified=modified)
    except Exception as error:  # one bad file never stops a batch, whatever a decoder raises
        told = reason(error).removeprefix(f"{path}: ")
        return Read(no_frames(reading), told, size=size, modified=modified)
    trusted = reading.preprocessing.trusts(image)
    return Read(frames, "", image.units, trusted, image.pixels.ndim == 3, size, modified)


def no_frames(reading: Reading) -> NDArray[np.uint16]:
    """What a file without a readable frame gives."""
    channels = (3,) if reading.preprocessing.channels == 3 else ()
    return np.empty((0, *reading.preprocessing.image_size, *channels), np.uint16)


def _dead(path: str, reading: Reading) -> Read:
    try:
        status = os.stat(path)
    except OSError:
        return Read(no_frames(reading), DIED)
    return Read(no_frames(reading), DIED, size=status.st_size, modified=status.st_mtime)


def in_processes(work: Callable[[A], B], items: Iterable[A], workers: int, *, died: Callable[[A], B]) -> Iterator[B]:
    """``map`` on processes, in order; where an item kills its process, ``died(item)`` stands for its result.

    ``work`` and items must be picklable; a calling script needs the ``if __name__ == "__main__"`` guard.
    """
    waiting = iter(items)
    while True:
        flight: deque[tuple[A, Future[B] | None]] = deque()
        pool = new_pool(workers, __name__)
        try:
            flight.extend((item, _submit(pool, work, item)) for item in islice(waiting, _AHEAD * workers))
            while flight:
                future = flight[0][1]
                if future is None:
                    raise BrokenProcessPool
                result = future.result()
                flight.popleft()
                flight.extend((item, _submit(pool, work, item)) for item in islice(waiting, 1))
                yield result
            return
        except BrokenProcessPool:
            suspects = [item for item, _ in flight]
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        yield from _one_by_one(work, suspects, died)


def _submit(pool: ProcessPoolExecutor, work: Callable[[A], B], item: A) -> Future[B] | None:
    try:
        return pool.submit(work, item)
    except BrokenProcessPool:
        return None  # an earlier item broke the pool; this one is tried again with the others in flight


def _one_by_one(work: Callable[[A], B], items: Iterable[A], died: Callable[[A], B]) -> Iterator[B]:
    """The same in a process of its own, so that the item that kills it is known."""
    pool = None
    try:
        for item in items:
            pool = pool or new_pool(1, __name__)
            try:
                result = pool.submit(work, item).result()
            except BrokenProcessPool:
                pool.shutdown()
                pool, result = None, died(item)
            yield result
    finally:
        if pool is not None:
            pool.shutdown()
