"""Errors of the computer, which are no file's fault: told once, with what to do, and never noted as broken files."""

from __future__ import annotations

import errno
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ctfast.errors import CTFastError, DeviceMemoryError, MachineError

_FILES: Final = "allow more open files (ulimit -n) or take fewer --workers"
_MEMORY: Final = "leave it more memory (ulimit -v, other programs) or take fewer --workers"
_ADVICE: Final = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room, or ask for a larger quota",
    errno.EFBIG: "allow larger files (ulimit -f)",
    errno.EMFILE: _FILES,
    errno.ENFILE: _FILES,
    errno.ENOMEM: _MEMORY,
    errno.EAGAIN: "allow more processes and threads (ulimit -u) or take fewer --workers",
    errno.EROFS: "choose a folder that can be written",
    errno.EACCES: "allow writing there, or choose another folder",
    errno.EPERM: "allow writing there, or choose another folder",
    errno.EIO: "look after the disk",
}
_ALWAYS: Final = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE}
"""What no damaged input can cause."""
_OF_A_NAME: Final = {errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.EINVAL, errno.EILSEQ}
"""What is wrong with the name of one output, and with no other."""
_SMALL: Final = 64 << 20
"""Bytes of an image for which every computer has the memory to compute on it."""


def machine_error(error: BaseException | None, image_bytes: int = _SMALL + 1) -> MachineError | None:
    """The machine's error that stands behind one of a file, of ``image_bytes``; None where the file may be the reason.

    That is so where memory for a large image was missing, which must not end the run for the others.
    """
    while error is not None:
        if isinstance(error, MachineError):
            return error
        if isinstance(error, DeviceMemoryError):  # of a GPU
            return None
        if isinstance(error, MemoryError) and min(image_bytes, _bytes_wanted(error)) <= _SMALL:
            return described(error)
        if isinstance(error, OSError) and error.errno in _ALWAYS:
            return described(error)
        error = error.__cause__ or error.__context__
    return None


def _bytes_wanted(error: MemoryError) -> int:
    """As far as the error says, as NumPy's do."""
    shape, dtype = getattr(error, "shape", None), getattr(error, "dtype", None)
    return _SMALL + 1 if shape is None or dtype is None else math.prod(shape) * int(dtype.itemsize)


def described(error: BaseException) -> MachineError:
    """What happened and what to do, on one line."""
    if isinstance(error, MachineError):
        return error
    if isinstance(error, MemoryError):
        return MachineError(f"there is not enough memory: {_MEMORY}")
    if isinstance(error, OSError) and error.errno is not None:
        where = f"{error.filename2 or error.filename}: " if error.filename else ""
        return MachineError(f"{where}{error.strerror}: {_ADVICE.get(error.errno, 'mend this')}")
    text = " ".join(str(error).split())[:300]
    return MachineError(f"{type(error).__name__}: {text}: {_MEMORY}")


@contextmanager
def writing() -> Iterator[None]:
    """Whatever keeps an output from being written is the machine's error, but for a name that is not allowed.

    Raises:
        MachineError: says what happened and what to do.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _OF_A_NAME:
            raise
        raise described(error) from error


@contextmanager
def computing(image_bytes: int) -> Iterator[None]:
    """Compiled code that can't be loaded, threads that can't start, no memory for a small image: the machine's.

    Raises:
        MachineError: says what happened and what to do.
    """
    try:
        yield
    except CTFastError:
        raise
    except MemoryError as error:
        if image_bytes > _SMALL:
            raise
        raise described(error) from error
    except (OSError, ImportError) as error:
        raise described(error) from error
    except RuntimeError as error:
        if not is_no_thread(error):
            raise
        raise described(error) from error


@contextmanager
def holding(file_bytes: int) -> Iterator[None]:
    """No memory for a small file's own bytes is the machine's error; Python's doesn't say how many were wanted.

    Raises:
        MachineError: says what to do.
    """
    try:
        yield
    except MemoryError as error:
        if file_bytes > _SMALL:
            raise
        raise described(error) from error


def is_no_thread(error: BaseException) -> bool:
    """Whether this is how Python says that the system allows no further thread."""
    return "start new thread" in str(error)
