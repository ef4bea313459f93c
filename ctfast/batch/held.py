"""Is somebody still writing this file? A file is locked while it is written, and the system unlocks it when its writer
ends, however it ends; so whoever can lock it knows that it was left.

These are locks of open files (``flock``). They hold between processes, containers and, where the file system passes
them on (NFS since version 4, Lustre mounted with ``flock``, SMB, CephFS), between machines. Where a file system has
none, a file counts as left when nobody has written to it for a day.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from ctfast.batch.listing import matching
from ctfast.errors import UsageError

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows does not let open files be removed, which serves as well
    fcntl = None  # type: ignore[assignment]

_A_DAY: Final = 86_400.0
TEMPORARY: Final = ".ctfast-*.tmp"
"""Files that ``replacing`` writes until they are complete."""
CLAIM: Final = ".ctfast.lock"
"""Lies in folders that one command at a time works in, locked while it does."""


class OpenFolder:
    """A folder that can be held as an open file can."""

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDONLY)

    def fileno(self) -> int:
        """The system's number of it."""
        return self._handle

    def __enter__(self) -> OpenFolder:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)


def hold(file: IO[Any] | OpenFolder) -> bool:
    """Say that this open file is being written, until it is closed; False where somebody removed it meanwhile."""
    if fcntl is not None:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        except OSError:  # a file system without locks: its age tells
            return True
    return os.fstat(file.fileno()).st_nlink > 0


@contextmanager
def left_alone(path: Path) -> Iterator[bool]:
    """Whether nobody writes the file; nobody can begin to while the block runs."""
    try:
        file: IO[bytes] | OpenFolder = OpenFolder(path) if path.is_dir() else path.open("r+b")
    except OSError:
        yield False
        return
    with file:
        yield _can_lock(file)


@contextmanager
def claimed(folder: Path, work: str) -> Iterator[None]:
    """Nobody else does such work in ``folder``, made here if it is missing, while the block runs.

    Within a thread, blocks may lie in one another. A folder that the block leaves empty is removed again.

    Raises:
        UsageError: somebody is at it, in another process or thread; says so in terms of ``work``, such as "training".
    """
    from filelock import FileLock, Timeout  # takes a tenth of a short command

    fresh = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / CLAIM, timeout=0, is_singleton=True)
    try:
        lock.acquire()
    except Timeout:
        raise UsageError(f"another {work} is at work in {folder}: wait for its end, or give another folder") from None
    try:
        yield
    finally:
        if fresh and not contents(folder):
            (folder / CLAIM).unlink(missing_ok=True)
            folder.rmdir()
        lock.release()


def contents(folder: Path) -> list[Path]:
    """What lies in a folder, but for the file that claims it."""
    return [path for path in folder.iterdir() if path.name != CLAIM]


def remove_leftovers(folder: Path) -> int:
    """Remove the temporary files of killed processes; those of living ones stay. Returns how many there were."""
    count = 0
    for path in list(matching(folder, TEMPORARY)):
        with left_alone(path) as left:
            if left:
                remove(path)
                count += 1
    return count


def remove(path: str | Path) -> None:
    """Remove a file, or a folder with what is in it; there or not."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except OSError:  # systems differ in what they say of a folder
        if os.path.islink(path) or not os.path.isdir(path):
            raise
        shutil.rmtree(path)


def _can_lock(file: IO[bytes] | OpenFolder) -> bool:
    try:
        if fcntl is not None:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return time.time() - os.fstat(file.fileno()).st_mtime > _A_DAY
    return True
