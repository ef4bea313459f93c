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

from ctfast.dispatch.arrays import Images, check_shape, known_axes
from ctfast.dispatch.chain import CheckedChain, check_chain, check_steps
from ctfast.dispatch.device_errors import device_errors
from ctfast.dispatch.steps import naming_step
from ctfast.dispatch.transfer import gpu, streams
from ctfast.files import Image
from ctfast.results import PipelineResult
from ctfast.runner.gpu.chunks import Chunk, ChunkBuffer, Entry, Key, Output, Stopped
from ctfast.runner.gpu.device import DeviceWorker
from ctfast.runner.gpu.sizes import sizes
from ctfast.runner.manifest import Row
from ctfast.runner.outcome import Outcome, empty_row, failed, finished
from ctfast.runner.settings import Settings
from ctfast.runner.storing import store
from ctfast.runner.task import Task
from ctfast.runner.work import load, minds_padding, run_pipeline

_NO_PIXELS = np.empty((0, 0), np.uint8)


def run_on_gpus(tasks: Iterator[Task], settings: Settings, workers: int, files: int) -> Iterator[Outcome]:
    """Outcomes in the order they finish; ``tasks`` is drawn from as memory in chunks becomes free.

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
        self._tasks_lock = threading.Lock()
        self._large_stack_lock = threading.Lock()
        self._chains: dict[np.dtype, CheckedChain] = {}
        self._outcomes: SimpleQueue[Outcome | BaseException | None] = SimpleQueue()
        with device_errors():
            devices: list[int] = streams().usable_devices()
        self._devices: dict[int, DeviceWorker] = {}
        try:
            for device in devices[: max(1, files // sizes().files_per_gpu)]:
                self._devices[device] = DeviceWorker(device, self._computed, self._failed)
        except BaseException:
            self._close_devices()
            raise
        in_turn = zip(*(worker.slots for worker in self._devices.values()), strict=True)
        slots = [slot for group in in_turn for slot in group]
        self._images_a_slot = max(1, -(-files // len(slots)))
        self._buffer = ChunkBuffer(slots, self._launch, self._capacity, workers)
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
        self._buffer.stop()
        for thread in self._threads:
            thread.join()
        self._close_devices()

    def _close_devices(self) -> None:
        for worker in self._devices.values():
            worker.close()

    # What the reading and writing threads do.

    def _work(self) -> None:
        try:
            with known_axes():
                self._read_and_write()
        except Stopped:
            pass
        except BaseException as error:
            self._outcomes.put(error)
        finally:
            with self._tasks_lock:
                self._working -= 1
                if self._working == 0:
                    self._outcomes.put(None)

    def _read_and_write(self) -> None:
        while True:
            if (output := self._buffer.next_output()) is not None:
                self._write(output)
                continue
            with self._tasks_lock:
                task = None if self._buffer.stopped else next(self._tasks, None)
            if task is None:
                break
            self._read(task)
        self._buffer.reader_finished()
        for output in self._buffer.remaining_outputs():
            self._write(output)

    def _read(self, task: Task) -> None:
        row = empty_row(task, self._settings)
        allocate = _Allocation(self._reserve)
        try:
            start = time.perf_counter()
            image = load(task, self._settings, row, allocate)
            seconds = time.perf_counter() - start - allocate.waited
            if allocate.error is not None:
                raise allocate.error
            if allocate.chunk is not None and minds_padding(image, self._settings):
                image = replace(image, pixels=image.pixels.copy())
                self._buffer.cancel(allocate.chunk)
                allocate.chunk = None
            if allocate.chunk is None:
                self._outcomes.put(self._run_large_stack(task, row, image, seconds))
                return
        except Stopped:
            raise
        except Exception as error:  # whatever a decoder raises
            self._outcomes.put(failed(task, row, error))
            if allocate.chunk is not None:
                self._buffer.cancel(allocate.chunk)
            return
        shape, image = image.pixels.shape, replace(image, pixels=_NO_PIXELS)
        self._buffer.commit(allocate.chunk, Entry(task, row, image, shape, allocate.start, allocate.stop, seconds))

    def _reserve(self, shape: tuple[int, ...], dtype: np.dtype) -> tuple[Chunk, int] | None:
        """A chunk with room for these images and their first index; None for more images than a chunk holds."""
        with naming_step(1, self._settings.pipeline.steps[0]):
            check_shape(shape)
        check_steps(self._settings.pipeline.steps, shape)
        key, chain, count = Key(shape[-2], shape[-1], dtype), self._chain(dtype), prod(shape[:-2])
        if count > self._fitting(key, chain):
            return None
        return self._buffer.reserve(key, chain, count, self._write)

    def _run_large_stack(self, task: Task, row: Row, image: Image, read_seconds: float) -> Outcome:
        """A stack with more images than a chunk holds, or an image whose padding must not count."""
        with self._large_stack_lock, gpu().current(next(iter(self._devices))):
            start = time.perf_counter()
            result = run_pipeline(image.pixels, self._settings, image.padding_range)
            computed = time.perf_counter()
        store(task, self._settings, image, result, row)
        return finished(row, result, (read_seconds, computed - start, time.perf_counter() - computed))

    def _write(self, output: Output) -> None:
        chunk, entry = output
        try:
            start = time.perf_counter()
            images = chunk.results[0] if chunk.chain.makes_image else chunk.source
            rows = chunk.results[1:] if chunk.chain.makes_image else chunk.results
            own = slice(entry.start, entry.stop)
            statistics = chunk.chain.results([r[own] for r in rows], Images(None, entry.shape, "numpy"))
            result = PipelineResult(images[own].reshape(entry.shape), **statistics)
            store(entry.task, self._settings, entry.image, result, entry.row)
            seconds = (entry.read_seconds, chunk.seconds / len(chunk.entries), time.perf_counter() - start)
            outcome = finished(entry.row, result, seconds)
        except Exception as error:  # a full disk, a folder without permission
            outcome = failed(entry.task, entry.row, error)
        self._outcomes.put(outcome)
        self._buffer.written(chunk)

    def _chain(self, dtype: np.dtype) -> CheckedChain:
        known = self._chains.get(dtype)
        if known is None:
            known = self._chains[dtype] = check_chain(dtype, self._settings.pipeline.steps, "gpu")
        return known

    # What the buffer and the threads of the GPUs call.

    def _fitting(self, key: Key, chain: CheckedChain) -> int:
        return min(worker.capacity(key, chain) for worker in self._devices.values())

    def _capacity(self, key: Key, chain: CheckedChain) -> int:
        # No more than its share of the run, so that all slots have work from the start.
        return min(self._images_a_slot, self._fitting(key, chain))

    def _launch(self, chunk: Chunk) -> None:
        self._devices[chunk.slot.device].launch(chunk)

    def _computed(self, chunk: Chunk) -> None:
        self._buffer.computed(chunk)

    def _failed(self, chunk: Chunk, error: Exception) -> None:
        for entry in chunk.entries:
            self._outcomes.put(failed(entry.task, entry.row, error))
        for _ in chunk.entries:
            self._buffer.written(chunk)


class _Allocation:
    """Memory for one file's pixels, for ``read_image``: in a chunk, or of its own where it can't go into one."""

    def __init__(self, reserve: Callable[[tuple[int, ...], np.dtype], tuple[Chunk, int] | None]) -> None:
        self._reserve = reserve
        self.chunk: Chunk | None = None
        self.start = self.stop = 0
        # Why these pixels can't be computed; raised after they are read, as on a CPU.
        self.error: Exception | None = None
        # Seconds until there was room, in which outputs were written.
        self.waited = 0.0

    def __call__(self, shape: tuple[int, ...], dtype: np.dtype) -> NDArray[Any]:
        begin = time.perf_counter()
        try:
            reserved = self._reserve(shape, dtype)
        except Stopped:
            raise
        except Exception as error:
            self.error, reserved = error, None
        self.waited = time.perf_counter() - begin
        if reserved is None:
            return np.empty(shape, dtype)
        self.chunk, self.start = reserved
        self.stop = self.start + prod(shape[:-2])
        return self.chunk.source[self.start : self.stop].reshape(shape)
