"""A run on GPUs: threads read files straight into page-locked memory, chunks go over, results come back, are written.

The threads that read also write, outputs first, so that neither side waits for the other. Rows, errors, resuming and
statistics are those of a run on the CPU: one bad file never stops the others, and is listed with its reason.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import prod
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctfast.dispatch.arrays import Images, check_shape
from ctfast.dispatch.chain import Plan, found, naming, plan
from ctfast.dispatch.device_errors import device_errors
from ctfast.dispatch.transfer import gpu, streams
from ctfast.files import Image
from ctfast.results import PipelineResult
from ctfast.runner.gpu.chunks import Chunk, Desk, Job, Key, Seat, Stopped
from ctfast.runner.gpu.device import Lane
from ctfast.runner.manifest import Row
from ctfast.runner.planning import Settings, Task
from ctfast.runner.work import Outcome, empty_row, failed, finished, load, store

_FILES_A_GPU = 64
"""Below which another GPU costs more to start than it gains."""
_NO_PIXELS = np.empty((0, 0), np.uint8)


def run_on_gpus(tasks: Iterator[Task], settings: Settings, workers: int, files: int) -> Iterator[Outcome]:
    """Outcomes in the order they finish; ``tasks`` is drawn from as places become free.

    Args:
        tasks: the files.
        settings: what to do; its pipeline must be one that the backend takes as a chain.
        workers: threads that read and write.
        files: how many tasks there are, about.
    """
    run = _Run(tasks, settings, workers, files)
    try:
        yield from run.outcomes()
    finally:
        run.close()


class _Run:
    def __init__(self, tasks: Iterator[Task], settings: Settings, workers: int, files: int) -> None:
        self._tasks, self._settings = tasks, settings
        self._drawing = threading.Lock()
        self._alone = threading.Lock()
        self._plans: dict[np.dtype, Plan] = {}
        self._outcomes: SimpleQueue[Outcome | BaseException | None] = SimpleQueue()
        with device_errors():
            devices: list[int] = streams().usable_devices()
        self._lanes: dict[int, Lane] = {}
        try:
            for device in devices[: max(1, files // _FILES_A_GPU)]:
                self._lanes[device] = Lane(device, self._computed, self._failed)
        except BaseException:
            self._close_lanes()
            raise
        slots = [slot for group in zip(*(lane.slots for lane in self._lanes.values()), strict=True) for slot in group]
        self._images_a_slot = max(1, -(-files // len(slots)))
        self._desk = Desk(slots, self._launch, self._capacity, workers)
        self._working = workers
        self._threads = [
            threading.Thread(target=self._work, name=f"ctfast-run-{i}", daemon=True) for i in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def outcomes(self) -> Iterator[Outcome]:
        while (item := self._outcomes.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    def close(self) -> None:
        """After the last outcome, or when nobody wants more of them."""
        self._desk.stop()
        for thread in self._threads:
            thread.join()
        self._close_lanes()

    def _close_lanes(self) -> None:
        for lane in self._lanes.values():
            lane.close()

    # What the reading and writing threads do.

    def _work(self) -> None:
        try:
            self._read_and_write()
        except Stopped:
            pass
        except BaseException as error:
            self._outcomes.put(error)
        finally:
            with self._drawing:
                self._working -= 1
                if self._working == 0:
                    self._outcomes.put(None)

    def _read_and_write(self) -> None:
        while True:
            if (job := self._desk.job()) is not None:
                self._write(job)
                continue
            with self._drawing:
                task = None if self._desk.stopped else next(self._tasks, None)
            if task is None:
                break
            self._read(task)
        self._desk.reader_done()
        for job in self._desk.last_jobs():
            self._write(job)

    def _read(self, task: Task) -> None:
        row = empty_row(task, self._settings)
        allocate = _Place(self._take)
        try:
            start = time.perf_counter()
            image = load(task, self._settings, row, allocate)
            seconds = time.perf_counter() - start - allocate.waited
            if allocate.error is not None:
                raise allocate.error
            if allocate.chunk is None:
                self._outcomes.put(self._by_itself(task, row, image, seconds))
                return
        except Stopped:
            raise
        except Exception as error:  # whatever a decoder raises
            self._outcomes.put(failed(task, row, error))
            if allocate.chunk is not None:
                self._desk.leave(allocate.chunk)
            return
        shape, image = image.pixels.shape, replace(image, pixels=_NO_PIXELS)
        self._desk.sit(allocate.chunk, Seat(task, row, image, shape, allocate.start, allocate.stop, seconds))

    def _take(self, shape: tuple[int, ...], dtype: np.dtype) -> tuple[Chunk, int] | None:
        """A chunk with places for these images, and the first of them; None for more images than a chunk holds."""
        with naming(1, self._settings.pipeline.steps[0]):
            check_shape(shape)
        key, the_plan, count = Key(shape[-2], shape[-1], dtype), self._plan(dtype), prod(shape[:-2])
        if count > self._most(key, the_plan):
            return None
        return self._desk.take(key, the_plan, count, self._write)

    def _by_itself(self, task: Task, row: Row, image: Image, read_seconds: float) -> Outcome:
        """A stack with more images than a chunk holds."""
        with self._alone, gpu().current(next(iter(self._lanes))):
            start = time.perf_counter()
            result = self._settings.pipeline.run(image.pixels, backend="gpu")
            computed = time.perf_counter()
        store(task, self._settings, image, result)
        return finished(row, result, (read_seconds, computed - start, time.perf_counter() - computed))

    def _write(self, job: Job) -> None:
        chunk, seat = job
        try:
            start = time.perf_counter()
            images = chunk.targets[0] if chunk.plan.makes_image else chunk.source
            rows = chunk.targets[1:] if chunk.plan.makes_image else chunk.targets
            own = slice(seat.start, seat.stop)
            statistics = found(chunk.plan, [r[own] for r in rows], Images(None, seat.shape, "numpy"))
            result = PipelineResult(images[own].reshape(seat.shape), **statistics)
            store(seat.task, self._settings, seat.image, result)
            seconds = (seat.read_seconds, chunk.seconds / len(chunk.seats), time.perf_counter() - start)
            outcome = finished(seat.row, result, seconds)
        except Exception as error:  # a full disk, a folder without permission
            outcome = failed(seat.task, seat.row, error)
        self._outcomes.put(outcome)
        self._desk.written(chunk)

    def _plan(self, dtype: np.dtype) -> Plan:
        known = self._plans.get(dtype)
        if known is None:
            known = self._plans[dtype] = plan(dtype, self._settings.pipeline.steps, "gpu")
        return known

    # What the GPUs' threads ask for and tell.

    def _most(self, key: Key, the_plan: Plan) -> int:
        return min(lane.capacity(key, the_plan) for lane in self._lanes.values())

    def _capacity(self, key: Key, the_plan: Plan) -> int:
        # No more than its share of the run, so that all slots have work from the start.
        return min(self._images_a_slot, self._most(key, the_plan))

    def _launch(self, chunk: Chunk) -> None:
        self._lanes[chunk.slot.device].launch(chunk)

    def _computed(self, chunk: Chunk) -> None:
        self._desk.computed(chunk)

    def _failed(self, chunk: Chunk, error: Exception) -> None:
        for seat in chunk.seats:
            self._outcomes.put(failed(seat.task, seat.row, error))
        for _ in chunk.seats:
            self._desk.written(chunk)


class _Place:
    """Memory for one file's pixels, for ``read_image``: in a chunk, or of its own where it can't go into one."""

    def __init__(self, take: Callable[[tuple[int, ...], np.dtype], tuple[Chunk, int] | None]) -> None:
        self._take = take
        self.chunk: Chunk | None = None
        self.start = self.stop = 0
        self.error: Exception | None = None
        """Why these pixels can't be computed, which is told when they are read: as on a CPU."""
        self.waited = 0.0
        """Seconds until there was room, in which outputs were written."""

    def __call__(self, shape: tuple[int, ...], dtype: np.dtype) -> NDArray[Any]:
        begin = time.perf_counter()
        try:
            taken = self._take(shape, dtype)
        except Stopped:
            raise
        except Exception as error:
            self.error, taken = error, None
        self.waited = time.perf_counter() - begin
        if taken is None:
            return np.empty(shape, dtype)
        self.chunk, self.start = taken
        self.stop = self.start + prod(shape[:-2])
        return self.chunk.source[self.start : self.stop].reshape(shape)
