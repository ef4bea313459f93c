"""Is this file the one that was read before? Size and modification time answer, in one way for every command, and the
hash of the contents where somebody asks for more."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

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


def stamp_of(path: str | Path) -> Stamp:
    """The stamp of a file.

    Raises:
        OSError: the file is not there.
    """
    status = os.stat(path)
    return Stamp(status.st_size, status.st_mtime)


def unchanged(path: str | Path, size: int | str, modified: float | str) -> bool:
    """Whether a file still has the size and time that were kept, as numbers or text; False where it is not there."""
    try:
        now = stamp_of(path)
        return now.size == int(size) and abs(now.modified - float(modified)) < _SECONDS
    except (OSError, ValueError):
        return False


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file's contents, in hexadecimal digits.

    Raises:
        OSError: it can't be read.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
