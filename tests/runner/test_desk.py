"""Places in chunks that are taken and given up: every slot comes back, and nobody waits for what never comes."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctfast.files import Image
from ctfast.runner.gpu.chunks import Chunk, Desk, Key, Seat, Stopped
from ctfast.runner.planning import Task

SMALL, LARGE = Key(2, 3, np.dtype(np.int16)), Key(4, 5, np.dtype(np.int16))
PLAN: Any = None


class Slot:
    def host(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        return np.zeros(shape, dtype)


class Bench:
    """A desk, and what it would have put on a GPU."""

    def __init__(self, slots: int = 1, capacity: int = 3) -> None:
        self.launched: list[Chunk] = []
        self.desk = Desk([Slot() for _ in range(slots)], self.launched.append, lambda key, plan: capacity, 1)

    def take(self, key: Key = SMALL, count: int = 1) -> Chunk:
        """In a thread of its own, so that waiting for ever is a failure."""
        got: list[Chunk] = []

        def work() -> None:
            with contextlib.suppress(Stopped):
                got.append(self.desk.take(key, PLAN, count, self.write)[0])

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(30)
        if not got:
            self.desk.stop()
        assert got, "waits for a place although no file has one"
        return got[0]

    def sit(self, chunk: Chunk) -> None:
        image = Image(np.empty((0, 0)), "hu", Path("x"), "npy")
        self.desk.sit(chunk, Seat(Task("x", "y"), {}, image, (2, 3), 0, 1, 0.0))  # type: ignore[typeddict-item]

    def write(self, job: tuple[Chunk, Seat]) -> None:
        self.desk.written(job[0])

    def finish(self, chunk: Chunk) -> None:
        self.desk.computed(chunk)
        while (job := self.desk.job()) is not None:
            self.write(job)


@pytest.mark.parametrize("order", ["failed first", "failed last"])
def test_a_chunk_goes_without_the_file_that_failed(order: str) -> None:
    bench = Bench()
    a, b, c = bench.take(), bench.take(), bench.take()
    assert a is b is c
    steps = [lambda: bench.desk.leave(a), lambda: bench.sit(a), lambda: bench.sit(a)]
    for step in steps if order == "failed first" else steps[::-1]:
        assert not bench.launched
        step()
    assert bench.launched == [a]
    assert (len(a.seats), a.left, a.taken) == (2, 2, 3)
    bench.finish(a)
    assert bench.take() is not a


def test_a_chunk_whose_files_all_failed_gives_its_slot_back() -> None:
    bench = Bench(capacity=2)
    for _ in range(5):
        a, b = bench.take(), bench.take()
        bench.desk.leave(a)
        bench.desk.leave(b)
    assert not bench.launched


def test_open_chunks_of_failed_files_alone_make_room_for_other_kinds() -> None:
    bench = Bench(slots=2)
    for number in range(6):
        bench.desk.leave(bench.take(Key(number + 1, 3, SMALL.dtype)))
    assert not bench.launched
    assert bench.take(LARGE).key == LARGE


def test_a_stack_for_which_the_rest_of_a_chunk_of_failed_files_is_too_small() -> None:
    bench = Bench()
    first = bench.take(count=2)
    bench.desk.leave(first)
    second = bench.take(count=2)
    assert second is not first
    bench.sit(second)
    bench.desk.reader_done()
    assert bench.launched == [second]


def test_the_last_thread_is_woken_by_a_file_that_failed() -> None:
    bench = Bench()
    chunk = bench.take()
    bench.desk.reader_done()
    assert chunk.closed
    thread = threading.Thread(target=lambda: list(bench.desk.last_jobs()), daemon=True)
    thread.start()
    bench.desk.leave(chunk)
    thread.join(30)
    hung = thread.is_alive()
    bench.desk.stop()
    assert not hung
    assert not bench.launched
