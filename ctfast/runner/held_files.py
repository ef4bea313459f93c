"""The bytes of some files at once, each read once, in memory that the next ones take."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ctfast.batch.stamp import Contents
from ctfast.files.hashes import hashes_of

LARGEST: Final = 8 << 20
"""Bytes of a file that is held."""
_STEP: Final = 1 << 16


class Held(NamedTuple):
    """A file: what ``read_once`` says of it, and its bytes, the first ``contents.size`` of ``data``."""

    contents: Contents
    data: NDArray[np.uint8]


class HeldFiles:
    """Memory for files.

    Args:
        behind: how many bytes behind a multiple of eight a file with these bytes is to lie.
    """

    def __init__(self, behind: Callable[[memoryview], int]) -> None:
        self._behind = behind
        self._rooms: list[NDArray[np.uint8]] = []
        self._last = 0

    def read(self, paths: Sequence[str]) -> list[Held | None]:
        """The files, in their order; None for what ``read_once`` has to look at."""
        self._rooms += [np.empty(0, np.uint8) for _ in paths[len(self._rooms) :]]
        found = [self._read(path, number) for number, path in enumerate(paths)]
        read = [number for number, one in enumerate(found) if one is not None]
        there = [found[number] or (0.0, np.empty(0, np.uint8)) for number in read]
        hashes = hashes_of([data for _, data in there])
        held: list[Held | None] = [None] * len(paths)
        for number, (modified, data), digits in zip(read, there, hashes, strict=True):
            held[number] = Held(Contents(data.size, modified, digits, data.data), data)
        return held

    def _read(self, path: str, number: int) -> tuple[float, NDArray[np.uint8]] | None:
        """Time and bytes of a file."""
        try:
            status = os.stat(path)
            if not stat.S_ISREG(status.st_mode) or not 0 < status.st_size < LARGEST:
                return None
            room = self._room(number, status.st_size + 16)
            with open(path, "rb", buffering=0) as file:
                there = file.readinto(room.data[self._last : self._last + status.st_size + 1])
        except (OSError, MemoryError):
            return None
        if there != status.st_size:
            return None
        data = room[self._last : self._last + there]
        behind = self._behind(data.data)
        if behind != self._last:  # the next one is likely to be like this one
            room[behind : behind + there] = data
            data, self._last = room[behind : behind + there], behind
        return status.st_mtime, data

    def _room(self, number: int, size: int) -> NDArray[np.uint8]:
        """From a multiple of eight on."""
        if self._rooms[number].size < size:
            room = np.empty(-size // _STEP * -_STEP + 8, np.uint8)
            self._rooms[number] = room[-room.ctypes.data % 8 :]
        return self._rooms[number]
