"""Is this file the one that was read before? Size and modification time answer, in one way for every command, and the
hash of the contents where somebody asks for more."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from ctfast.batch import remote
from ctfast.batch.inside import on_disk
from ctfast.batch.machine import holding
from ctfast.batch.remote import Stamp as Stamp
from ctfast.batch.urls import is_url

_SECONDS = 1e-6
"""Times differ by less than this when only the way differs in which they were kept (a float, text of six digits)."""

_HELD_BYTES = 64 << 20


def stamp_of(*paths: str | Path) -> Stamp:
    """The stamp of a file; of several together, the sum of their sizes and the latest time.

    Raises:
        OSError: one is not there.
    """
    if is_url(paths[0]):
        return _remote_stamp(*paths)
    if len(paths) == 1:  # most are files, which are asked once
        status = os.stat(on_disk(paths[0]))
        if not stat.S_ISDIR(status.st_mode):
            return Stamp(status.st_size, status.st_mtime)
    every = [os.stat(file) for path in paths for file in _files(path)]
    size = sum(status.st_size for status in every if not stat.S_ISDIR(status.st_mode))
    return Stamp(size, max(status.st_mtime for status in every))


def _remote_stamp(*urls: str | Path) -> Stamp:
    stamps = [remote.stamp(url) for url in urls]
    return Stamp(sum(size for size, _ in stamps), max(modified for _, modified in stamps))


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
    return unchanged_since(lambda: stamp_of(*([paths] if isinstance(paths, str | Path) else paths)), size, modified)


def unchanged_since(look: Callable[[], Stamp], size: int | str, modified: float | str) -> bool:
    """The same of what ``look`` finds."""
    try:
        now = look()
        return now.size == int(size) and abs(now.modified - float(modified)) < _SECONDS
    except (OSError, ValueError):
        return False


class Contents(NamedTuple):
    """A file that was read.

    Attributes:
        size: in bytes.
        modified: seconds since the epoch.
        hash: SHA-256 in hexadecimal digits.
        data: all of it; None where it is too large to be held, or no regular file.
    """

    size: int
    modified: float
    hash: str
    data: bytes | memoryview | None


def read_once(path: str, seen: Stamp | None = None) -> Contents:
    """Stamp, hash and bytes of one file, of which every byte is fetched once where it is not large.

    ``seen``: the stamp of a URL, where somebody asked for it.

    Raises:
        OSError: it can't be read.
        MachineError: there is no memory for its bytes.
    """
    if is_url(path):
        return _read_remote(path, seen)
    where = on_disk(path)
    status = os.stat(where)
    if not stat.S_ISREG(status.st_mode) or status.st_size > _HELD_BYTES:
        if stat.S_ISDIR(status.st_mode):
            os.scandir(where).close()  # one that can't be listed says why
        return Contents(*stamp_of(path), sha256_of(path), None)
    file = os.open(where, os.O_RDONLY)
    with holding(status.st_size):
        try:
            data = os.read(file, status.st_size + 1)
        finally:
            os.close(file)
        if len(data) != status.st_size:  # it changes, or the system gives it in pieces
            data = Path(where).read_bytes()
    return Contents(status.st_size, status.st_mtime, hashlib.sha256(data).hexdigest(), data)


def _read_remote(url: str, seen: Stamp | None) -> Contents:
    data = remote.read(url)
    if seen is None or len(data) != seen.size:  # it changed
        seen = remote.stamp(url)
    return Contents(len(data), seen.modified, hashlib.sha256(data).hexdigest(), data)


def sha256_of(*paths: str | Path) -> str:
    """SHA-256 of a file's contents, or of several one after the other, in hexadecimal digits.

    Raises:
        OSError: one can't be read.
    """
    digest = hashlib.sha256()
    if is_url(paths[0]):
        for path in paths:
            digest.update(_read_remote(str(path), None).data or b"")
        return digest.hexdigest()
    for name in (name for path in paths for name in _files(path)):
        if os.path.isdir(name):
            continue
        with open(name, "rb") as file:
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()
