"""Memory of results that is used again once nobody holds the result any more.

A result that is made in fresh memory costs more than most kernels: the system clears every page at its first touch
(512 x 512 float32: some .1 to .5 ms, a Gaussian takes .2). So the memory of large results is kept when the last array
that shows it is gone, views, memoryviews, tensors of other libraries and DLPack capsules included, and becomes the next
result of the same size. It never has two owners: what hands it back is the end of the one object that all of them hold.
"""

from __future__ import annotations

import ctypes
import os
from collections import deque
from collections.abc import Callable
from math import prod
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ctfast.errors import ArgumentError

VARIABLE: Final = "CTFAST_RECYCLED_MEMORY"
DEFAULT_BYTES: Final = 256 << 20
_LEAST_BYTES: Final = 128 << 10
"""Below this the C library's own memory is as fast."""
_ALIGNMENT: Final = 64
_MOST_SIZES: Final = 16
"""Sizes of which memory is kept; a set of files has one or two."""


class RecycledMemory(NamedTuple):
    """What ``recycled_memory`` tells; numbers since the process began."""

    limit: int
    """Most bytes that are kept, 0 for none."""
    kept: int
    """Bytes that wait for the next result."""
    taken: int
    """Results that asked for memory of a kind that can be kept."""
    recycled: int
    """Of these, results that were made in memory of an earlier one."""


class _Store:
    """Only operations that the interpreter does in one piece: blocks may come back in the middle of anything."""

    def __init__(self) -> None:
        self.limit: int | None = None
        self.sizes: dict[int, _Size] = {}
        self.taken = self.recycled = 0

    def most(self) -> int:
        """The limit; the environment is asked at the first result."""
        if self.limit is None:
            self.limit = _limit_from_environment()
        return self.limit

    def kept(self) -> int:
        total = 0
        for size, kind in tuple(self.sizes.items()):
            total += size * len(kind.free)
        return total

    def size(self, size: int) -> _Size:
        kind = self.sizes.get(size)
        if kind is None:
            if len(self.sizes) >= _MOST_SIZES:
                self.sizes = {}  # results of these sizes that are still held let go of their memory at their end
            kind = self.sizes[size] = _Size(size, self)
        return kind


class _Size:
    """Blocks of one size."""

    def __init__(self, size: int, store: _Store) -> None:
        self.free: deque[NDArray[np.uint8]] = deque()
        self.block = _block_type(size, self.free, lambda: store.sizes.get(size) is self and _has_room(store, size))


def _has_room(store: _Store, size: int) -> bool:
    limit = store.limit  # asked for when the block was made
    if limit is None or store.kept() + size <= limit:
        return limit is not None
    for other, kind in list(store.sizes.items()):
        if other != size:  # what was asked for last is most likely asked for next
            kind.free.clear()
    return store.kept() + size <= limit


def _block_type(size: int, free: deque[NDArray[np.uint8]], is_kept: Callable[[], bool]) -> type[Any]:
    class Block(ctypes.c_char * size):  # type: ignore[misc]
        """What the arrays that show a result hold; at its end the memory is free."""

        def __del__(self) -> None:
            if is_kept():
                free.append(self.memory)

    return Block


_store = _Store()


def empty(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """As ``numpy.empty``, C-contiguous, in memory of an earlier result where there is one of this size."""
    kind = np.dtype(dtype)
    size = prod(shape) * kind.itemsize
    store = _store
    if not _LEAST_BYTES <= size <= store.most():
        return np.empty(shape, kind)
    store.taken += 1
    blocks = store.sizes.get(size) or store.size(size)
    try:
        memory = blocks.free.pop()
        store.recycled += 1
    except IndexError:
        memory = _aligned(size)
    block = blocks.block.from_buffer(memory)
    block.memory = memory
    return np.ndarray(shape, kind, block)


def _aligned(size: int) -> NDArray[np.uint8]:
    memory = np.empty(size + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + size]


def set_recycled_memory(limit: int) -> None:
    """Keep at most ``limit`` bytes of results that nobody holds any more, for results to come; 0 keeps none.

    The default is ``CTFAST_RECYCLED_MEMORY`` (bytes), else 256 MB. What is kept already is given back. Only results
    made on the host without ``out=`` are meant, and only those of at least 128 KB.

    Raises:
        ArgumentError: no whole number of at least 0.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise ArgumentError(f"limit={limit!r}: a whole number of bytes of at least 0 is allowed")
    _store.limit, _store.sizes = limit, {}


def recycled_memory() -> RecycledMemory:
    """How much memory of results is kept, and how often it was used again."""
    return RecycledMemory(_store.most(), _store.kept(), _store.taken, _store.recycled)


def _limit_from_environment() -> int:
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return DEFAULT_BYTES
    if not text.isdigit():
        raise ArgumentError(f"{VARIABLE}={text!r}: a whole number of bytes is allowed; 0 keeps none")
    return int(text)
