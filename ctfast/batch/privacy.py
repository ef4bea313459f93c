"""Who may read what a command writes: nobody who may not read what it was made from."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from ctfast.batch.urls import is_url

_OTHERS = stat.S_IRWXO


def keep_private(inputs: Iterable[str | Path]) -> int | None:
    """Where other users can't get at one of these inputs (what lies in a storage needs credentials), take all their
    rights from what this process makes from now on; beyond that, the user's umask decides. For commands alone: a
    process has one umask.

    Returns:
        The umask before; None where it stays.
    """
    if all(not is_url(given) and _is_open_to_others(Path(given)) for given in inputs):
        return None
    before = os.umask(0o077)
    os.umask(before | _OTHERS)
    return before


def _is_open_to_others(path: Path) -> bool:
    """Whether other users can read a file, or look into a folder, where any one of its files speaks for all; of a
    pattern, the folder where it begins counts."""
    path = path.absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    try:
        if any(not folder.stat().st_mode & stat.S_IXOTH for folder in path.parents):
            return False
        if not path.is_dir():
            return bool(path.stat().st_mode & stat.S_IROTH)
        with os.scandir(path) as entries:
            first = next(entries, None)
        return bool(path.stat().st_mode & stat.S_IXOTH) and (first is None or _is_open_to_others(Path(first.path)))
    except OSError:  # we can't either
        return False
