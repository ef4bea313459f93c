"""Turns whatever a decoder raises into ``FileFormatError``, and keeps decoders from warning on stderr.

Decoders of broken files raise nearly everything: ``struct.error``, ``ZeroDivisionError``, ``AttributeError``,
``MemoryError``, ``RecursionError``, ``zlib.error``, errors of imagecodecs. A list of types would miss the next one,
so everything derived from ``Exception`` counts as "this file cannot be read".
"""

from __future__ import annotations

import logging
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

from ctfast.errors import CTFastError, FileFormatError
from ctfast.files.next_steps import COPY_AGAIN, MORE_MEMORY, WRITE_AGAIN

# Without any handler, Python prints a library's log records of level WARNING to stderr. A user's own handlers on the
# root logger still get them.
for _name in ("tifffile", "pydicom", "nibabel", "imagecodecs"):
    logging.getLogger(_name).addHandler(logging.NullHandler())


class _Quiet:
    """Warnings off while at least one reader is at work.

    ``warnings.catch_warnings`` restores the filters of the moment it was entered, so two threads that enter and leave
    in turn can leave the filters switched off for good. Only the first in and the last out touch them here.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._lock = threading.Lock()
        self._readers = 0
        self._catch = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._readers == 0:
                self._catch = warnings.catch_warnings()
                self._catch.__enter__()
                warnings.simplefilter("ignore")
            self._readers += 1

    def __exit__(self, *exc: object) -> None:
        with self._lock:
            self._readers -= 1
            if self._readers == 0:
                self._catch.__exit__(None, None, None)


_QUIET = _Quiet()
os.register_at_fork(after_in_child=_QUIET.reset)


class _CallersError(Exception):
    """Carries what a function of the caller raised."""


P = ParamSpec("P")
R = TypeVar("R")


def callers(function: Callable[P, R]) -> Callable[P, R]:
    """A function that is no part of a decoder: what it raises leaves ``decoding`` as it is."""

    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            raise _CallersError from error

    return called


@contextmanager
def decoding(path: Path, what: str) -> Iterator[None]:
    """Run a decoder: no warnings out, and any failure as a ``FileFormatError`` that names the file.

    Args:
        path: The file, for the message.
        what: The format as the user knows it, such as ``"TIFF"``.

    Raises:
        FileFormatError: For any exception but those of ctfast itself, which keep their type.
    """
    outside: BaseException | None = None
    try:
        with _QUIET:
            yield
    except _CallersError as carrier:
        outside = carrier.__cause__
    except CTFastError as error:
        raise type(error)(f"{path}: {error}") from error
    except Exception as error:
        detail = " ".join(str(error).split())[:300]
        raise FileFormatError(
            f"{path}: cannot be read as {what} ({type(error).__name__}{': ' + detail if detail else ''})",
            MORE_MEMORY if isinstance(error, MemoryError) else f"{COPY_AGAIN}, or {WRITE_AGAIN}",
        ) from error
    if outside is not None:
        raise outside
