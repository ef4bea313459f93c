"""Putting the drop-ins in the place of their originals, for a while."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ctfast.errors import ArgumentError

_MODULES: Final = {"cv2": "cv2", "scipy.ndimage": "scipy_ndimage", "skimage": "skimage"}


@contextmanager
def patched(*libraries: str) -> Iterator[None]:
    """Within it, the functions of ``libraries`` are ours, in every thread; afterwards what they were before.

    What was imported by name before (``from scipy.ndimage import median_filter``) stays the original.

    Args:
        libraries: ``"scipy.ndimage"``, ``"skimage"``, ``"cv2"``.

    Raises:
        ArgumentError: Another library, or none.
    """
    unknown = [name for name in libraries if name not in _MODULES]
    if unknown or not libraries:
        raise ArgumentError(f"patched{libraries!r}: {', '.join(map(repr, _MODULES))} are allowed, one or several")
    before = []
    try:
        for library in libraries:
            module = importlib.import_module(f"ctfast.compat.{_MODULES[library]}")
            for name, home in module.HOMES.items():
                place = importlib.import_module(home)
                before.append((place, name, getattr(place, name)))
                setattr(place, name, getattr(module, name))
        yield
    finally:
        for place, name, original in reversed(before):
            setattr(place, name, original)
