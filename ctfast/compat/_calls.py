"""Who served a drop-in's calls, counted: our kernels, or the library that it stands for."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

_OURS: Counter[str] = Counter()
_THEIRS: Counter[str] = Counter()
_lock = threading.Lock()


class Calls(NamedTuple):
    """Calls of one drop-in."""

    ctfast: int
    original: int


def calls() -> dict[str, Calls]:
    """How many calls of each drop-in ctfast computed, and how many the original library did, in this process."""
    with _lock:
        return {name: Calls(_OURS[name], _THEIRS[name]) for name in sorted(_OURS | _THEIRS)}


def ours(name: str) -> None:
    """Count a call that our kernel served."""
    with _lock:
        _OURS[name] += 1


def theirs(name: str, original: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Count a call and let the original library serve it, errors included."""
    with _lock:
        _THEIRS[name] += 1
    return original(*args, **options)
