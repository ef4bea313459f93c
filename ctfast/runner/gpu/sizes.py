"""How a run is cut for GPUs; tests make the pieces smaller, so that few small files fill them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Sizes:
    """Bounds of a run's pieces.

    Attributes:
        files_per_gpu: below this another GPU costs more to start than it gains.
        chunk_bytes: pixels of a chunk: enough for copies at full speed and for every multiprocessor; more only takes
            longer to fill.
    """

    files_per_gpu: int = 64
    chunk_bytes: int = 64 << 20


_sizes = Sizes()


def sizes() -> Sizes:
    """Those that hold now."""
    return _sizes


@contextmanager
def resized(**bounds: int) -> Iterator[None]:
    """Within it, fields of ``Sizes`` are others."""
    global _sizes
    before, _sizes = _sizes, replace(_sizes, **bounds)
    try:
        yield
    finally:
        _sizes = before
