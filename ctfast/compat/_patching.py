"""Putting the drop-ins in the place of their originals, for a while."""

from __future__ import annotations

import importlib
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from ctfast.errors import ArgumentError

_MODULES: Final = {
    "cucim.skimage": "cucim",
    "cupyx.scipy.ndimage": "cupyx",
    "cv2": "cv2",
    "scipy.ndimage": "scipy_ndimage",
    "skimage": "skimage",
}
_lock = threading.Lock()
_inside: Counter[str] = Counter()
"""How many blocks are open for each library: threads may enter and leave in any order."""
_before: dict[str, list[tuple[Any, str, Any]]] = {}
"""What stood in each place before the first block was entered."""


@contextmanager
def patched(*libraries: str) -> Iterator[None]:
    """Within it, the functions of ``libraries`` are ours, in every thread; afterwards what they were before.

    What was imported by name before (``from scipy.ndimage import median_filter``) stays the original. Where several
    blocks are open at once, in one thread or in several, the originals are back when the last of them ends.

    Args:
        libraries: ``"scipy.ndimage"``, ``"skimage"``, ``"cv2"``, ``"cupyx.scipy.ndimage"``, ``"cucim.skimage"``.

    Raises:
        ArgumentError: Another library, or none.
    """
    unknown = [name for name in libraries if name not in _MODULES]
    if unknown or not libraries:
        raise ArgumentError(f"patched{libraries!r}: {', '.join(map(repr, _MODULES))} are allowed, one or several")
    entered = []
    try:
        for library in libraries:
            _enter(library)
            entered.append(library)
        yield
    finally:
        for library in reversed(entered):
            _leave(library)


def _enter(library: str) -> None:
    module = importlib.import_module(f"ctfast.compat.{_MODULES[library]}")
    places = [(importlib.import_module(home), name) for name, home in module.HOMES.items()]
    with _lock:
        if not _inside[library]:
            _before[library] = [(place, name, getattr(place, name)) for place, name in places]
            for place, name in places:
                setattr(place, name, getattr(module, name))
        _inside[library] += 1


def _leave(library: str) -> None:
    with _lock:
        _inside[library] -= 1
        if not _inside[library]:
            for place, name, original in _before.pop(library):
                setattr(place, name, original)
