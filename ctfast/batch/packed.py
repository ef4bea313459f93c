"""A long list in little memory: a run may be of a million files.

Items are pickled and compressed in blocks, which names of files, that resemble their neighbours, take to some ten bytes
each; going through the list unpacks one block at a time.
"""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, TypeVar, overload

T = TypeVar("T")

_BLOCK: Final = 512
"""Items. Fewer are kept as they are."""
_FASTEST: Final = 1


class Packed(Sequence[T]):
    """A sequence that can be appended to, of items that can be pickled; equal to any sequence of equal items."""

    def __init__(self, items: Iterable[T] = ()) -> None:
        self._blocks: list[bytes] = []
        self._last: list[T] = []
        self.extend(items)

    def append(self, item: T) -> None:
        """Add an item."""
        self._last.append(item)
        if len(self._last) == _BLOCK:
            self._blocks.append(zlib.compress(pickle.dumps(self._last, pickle.HIGHEST_PROTOCOL), _FASTEST))
            self._last = []

    def extend(self, items: Iterable[T]) -> None:
        """Add some."""
        for item in items:
            self.append(item)

    def __len__(self) -> int:
        return len(self._blocks) * _BLOCK + len(self._last)

    def __iter__(self) -> Iterator[T]:
        for number in range(len(self._blocks)):
            yield from self._block(number)
        yield from self._last

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> Packed[T]: ...

    def __getitem__(self, index: int | slice) -> T | Packed[T]:
        where = range(len(self))[index]
        if isinstance(where, int):
            return self._block(where // _BLOCK)[where % _BLOCK]
        if where.step < 0:
            raise ValueError("packed lists are gone through from their beginning")
        return Packed(islice(self, where.start, where.stop, where.step))

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str | bytes):
            return NotImplemented
        return len(self) == len(other) and all(one == another for one, another in zip(self, other))

    def __repr__(self) -> str:
        return f"Packed({[*self[:4]]}{', ...' if len(self) > 4 else ''})"

    def _block(self, number: int) -> list[T]:
        if number == len(self._blocks):
            return self._last
        return pickle.loads(zlib.decompress(self._blocks[number]))  # of this process's own making
