"""Is this file the one that was read before? Size and modification time answer, in one way for every command, and the
hash of the contents where somebody asks for more."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ctfast.batch.inside import on_disk

_SECONDS = 1e-6
"""Times differ by less than this when only the way differs in which they were kept (a float, text of six digits)."""


class Stamp(NamedTuple):
    """What a file looked like from outside.

    Attributes:
        size: in bytes.
        modified: seconds since the epoch.
    """

    size: int
    modified: float


def stamp_of(*paths: str | Path) -> Stamp:
    """The stamp of a file; of several together, the sum of their sizes and the latest time.

    Raises:
        OSError: one is not there.
    """
    every = [os.stat(file) for path in paths for file in _files(path)]
    return Stamp(sum(status.st_size for status in every), max(status.st_mtime for status in every))


def _files(path: str | Path) -> list[str]:
    """What lies on the disk: a file, or a folder (a Zarr store) and the files below it."""
    file = on_disk(path)
    if not os.path.isdir(file):
        return [file]
    return [file, *sorted(os.path.join(here, name) for here, _, names in os.walk(file) for name in names)]


def unchanged(paths: str | Path | Sequence[str], size: int | str, modified: float | str) -> bool:
    """Whether a file, or several together, still have the size and time that were kept, as numbers or text.

    False where one is not there.
    """
    try:
        now = stamp_of(*([paths] if isinstance(paths, str | Path) else paths))
        return now.size == int(size) and abs(now.modified - float(modified)) < _SECONDS
    except (OSError, ValueError):
        return False


def sha256_of(*paths: str | Path) -> str:
    """SHA-256 of a file's contents, or of several one after the other, in hexadecimal digits.

    Raises:
        OSError: one can't be read.
    """
    digest = hashlib.sha256()
    for name in (name for path in paths for name in _files(path)):
        if os.path.isdir(name):
            continue
        with open(name, "rb") as file:
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()
