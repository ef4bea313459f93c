"""Memory in chunks that is reserved and cancelled: every slot comes back, nobody waits for what never comes."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctfast.files import Image
from ctfast.runner.gpu.chunks import Chunk, ChunkBuffer, Entry, Key, Output, Stopped
from ctfast.runner.task import Task

SMALL, LARGE = Key(2, 3, np.dtype(np.int16)), Key(4, 5, np.dtype(np.int16))
CHAIN: Any = None


class Slot:
    def host(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        return np.zeros(shape, dtype)


class Setup:
    """A buffer, and what it would have put on a GPU."""

    def __init__(self, slots: int = 1, capacity: int = 3) -> None:
        self.launched: list[Chunk] = []
        self.buffer = ChunkBuffer([Slot() for _ in range(slots)], self.launched.append, lambda key, chain: capacity, 1)

    def reserve(self, key: Key = SMALL, count: int = 1) -> Chunk:
        """In a thread of its own, so that waiting for ever is a failure."""
        got: list[Chunk] = []

        def work() -> None:
            with contextlib.suppress(Stopped):
                got.append(self.buffer.reserve(key, CHAIN, count, self.write)[0])

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(30)
        if not got:
            self.buffer.stop()
        assert got, "waits for memory although no file holds any"
        return got[0]

    def commit(self, chunk: Chunk) -> None:
        image = Image(np.empty((0, 0)), "hu", Path("x"), "npy")
        self.buffer.commit(chunk, Entry(Task("x", "y"), {}, image, (2, 3), 0, 1, 0.0))  # type: ignore[typeddict-item]

    def write(self, output: Output) -> None:
        self.buffer.written(output[0])

    def finish(self, chunk: Chunk) -> None:
        self.buffer.computed(chunk)
        while (output := self.buffer.next_output()) is not None:
            self.write(output)


@pytest.mark.parametrize("order", ["failed first", "failed last"])
def test_a_chunk_goes_without_the_file_that_failed(order: str) -> None:
    setup = Setup()
    a, b, c = setup.reserve(), setup.reserve(), setup.reserve()
    assert a is b is c
    steps = [lambda: setup.buffer.cancel(a), lambda: setup.commit(a), lambda: setup.commit(a)]
    for step in steps if order == "failed first" else steps[::-1]:
        assert not setup.launched
        step()
    assert setup.launched == [a]
    assert (len(a.entries), a.unwritten, a.reserved) == (2, 2, 3)
    setup.finish(a)
    assert setup.reserve() is not a


def test_a_chunk_whose_files_all_failed_gives_its_slot_back() -> None:
    setup = Setup(capacity=2)
    for _ in range(5):
        a, b = setup.reserve(), setup.reserve()
        setup.buffer.cancel(a)
        setup.buffer.cancel(b)
    assert not setup.launched


def test_open_chunks_of_failed_files_alone_make_room_for_other_kinds() -> None:
    setup = Setup(slots=2)
    for number in range(6):
        setup.buffer.cancel(setup.reserve(Key(number + 1, 3, SMALL.dtype)))
    assert not setup.launched
    assert setup.reserve(LARGE).key == LARGE


def test_a_stack_for_which_the_rest_of_a_chunk_of_failed_files_is_too_small() -> None:
    setup = Setup()
    first = setup.reserve(count=2)
    setup.buffer.cancel(first)
    second = setup.reserve(count=2)
    assert second is not first
    setup.commit(second)
    setup.buffer.reader_finished()
    assert setup.launched == [second]


def test_the_last_thread_is_woken_by_a_file_that_failed() -> None:
    setup = Setup()
    chunk = setup.reserve()
    setup.buffer.reader_finished()
    assert chunk.closed
    thread = threading.Thread(target=lambda: list(setup.buffer.remaining_outputs()), daemon=True)
    thread.start()
    setup.buffer.cancel(chunk)
    thread.join(30)
    hung = thread.is_alive()
    setup.buffer.stop()
    assert not hung
    assert not setup.launched
