"""Memory of results that is used again once nobody holds the result any more.

A result that is made in fresh memory costs more than most kernels: the system clears every page at its first touch
(512 x 512 float32: some .1 to .5 ms, a Gaussian takes .2). So the memory of large results is kept when the last array
that shows it is gone, views, memoryviews, tensors of other libraries and DLPack capsules included, and becomes the next
result of the same size. It never has two owners: what hands it back is the end of the one object that all of them hold.
"""

from __future__ import annotations

import os
from collections import deque
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
        for kind in tuple(self.sizes.values()):
            total += kind.size * len(kind.free)
        return total

    def of_size(self, size: int) -> _Size:
        if len(self.sizes) >= _MOST_SIZES:
            self.sizes = {}  # results of these sizes that are still held let go of their memory at their end
        kind = self.sizes[size] = _Size(size, self)
        return kind


class _Memory(np.ndarray[Any, Any]):
    """Bytes of a result; of a type of its own, so that no view of NumPy's passes its guard over."""


class _Size:
    """Memory of one size."""

    __slots__ = ("free", "guard", "size")

    def __init__(self, size: int, store: _Store) -> None:
        self.size = size
        self.free: deque[_Memory] = deque()
        self.guard = _guard_type(self, store)


def _has_room(store: _Store, size: int) -> bool:
    limit = store.limit  # asked for when the block was made
    if limit is None or store.kept() + size <= limit:
        return limit is not None
    for other, kind in list(store.sizes.items()):
        if other != size:  # what was asked for last is most likely asked for next
            kind.free.clear()
    return store.kept() + size <= limit


def _guard_type(kind: _Size, store: _Store) -> type[Any]:
    free, size = kind.free, kind.size

    class Guard(np.ndarray[Any, Any]):
        """What the arrays that show a result hold; at its end the memory is free.

        A view of NumPy's, because these are made and end in half the time of anything else that owns memory.
        """

        def __del__(self) -> None:
            memory = self.base
            # Of another type is the base of what somebody made out of a guard.
            if type(memory) is _Memory and store.sizes.get(size) is kind and _has_room(store, size):
                free.append(memory)

    return Guard


_store = _Store()


def empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """As ``numpy.empty``, C-contiguous, in memory of an earlier result where there is one of this size."""
    store = _store
    size = prod(shape) * dtype.itemsize
    if not _LEAST_BYTES <= size <= (store.limit or store.most()):
        return np.empty(shape, dtype)
    store.taken += 1
    kind = store.sizes.get(size) or store.of_size(size)
    try:
        memory = kind.free.pop()
        store.recycled += 1
    except IndexError:
        memory = _aligned(size)
    return np.ndarray(shape, dtype, memory.view(kind.guard))


def _aligned(size: int) -> _Memory:
    memory = np.empty(size + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + size].view(_Memory)


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
