"""Which peers are here, and when a peer's result is the same work."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np


def installed(**modules: str) -> tuple[dict[str, bool], tuple[str, ...]]:
    """Which of ``name=module`` can be imported, and the names that can't."""
    present = {name: importlib.util.find_spec(module) is not None for name, module in modules.items()}
    return present, tuple(name for name, there in present.items() if not there)


def interior_equal(reach: int, most: float = 0.0) -> Callable[[Any, Any], bool]:
    """Equal away from the border (peers extend it in their own ways), up to ``most``."""

    def same(theirs: Any, ours: Any) -> bool:
        inside = (slice(reach, -reach or None),) * 2
        a, b = np.asarray(theirs, np.float64)[inside], np.asarray(ours, np.float64)[inside]
        return bool(np.abs(a - b).max() <= most)

    return same
