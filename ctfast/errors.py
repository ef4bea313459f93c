"""Every error that ctfast raises by itself: what came in, what is allowed, what to do.

Each is also the built-in exception that a caller would expect (``ShapeError`` is a ``ValueError``), so code that does
not know ctfast still catches the right thing.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CTFastError(Exception):
    """Base of all errors of ctfast."""


class DTypeError(CTFastError, TypeError):
    """An array (or ``out``) of a dtype that the operation does not take."""


class ShapeError(CTFastError, ValueError):
    """An array that is no image or batch of images: wrong rank, empty, or colour."""


class ArgumentError(CTFastError, ValueError):
    """A parameter outside what is allowed."""


class ValueRangeError(CTFastError, ValueError):
    """Pixel values that an operation cannot work with, such as NaN where a range must be found."""


class BackendUnavailableError(CTFastError, RuntimeError):
    """A backend that cannot run here; says why and which command fixes it."""


class DeviceError(CTFastError, RuntimeError):
    """A GPU that failed while it worked: says what CUDA says and what to do."""


class DeviceMemoryError(DeviceError, MemoryError):
    """A GPU whose memory is too small for what was asked; nothing is left behind, smaller calls still work."""


class FileFormatError(CTFastError, ValueError):
    """A file that cannot be read as what it claims to be: truncated, foreign, malicious or unsupported.

    Args:
        problem: What is wrong: the field and its value.
        then: What to do about it.
    """

    def __init__(self, problem: str, then: str = "") -> None:
        super().__init__(f"{problem}; {then}" if then else problem)


class MissingDependencyError(CTFastError, ImportError):
    """An optional package is needed; says which command installs it."""


def one_of(word: object, allowed: Iterable[object]) -> str:
    """What is allowed in place of a word that is not, and which of it was probably meant."""
    words = [str(each) for each in allowed]
    close = difflib.get_close_matches(str(word), words, n=1)
    return f"one of {', '.join(words)} is allowed" + (f"; did you mean {close[0]}?" if close else "")


def missing_extra(need: str, extra: str) -> MissingDependencyError:
    """The error for an optional package that is not installed.

    Args:
        need: what needs which package, such as ``"NIfTI files need nibabel"``.
        extra: the extra of ctfast that installs it.
    """
    return MissingDependencyError(f'{need}: pip install "ctfast[{extra}]"')


class UsageError(CTFastError, ValueError):
    """A command or run that is refused before any work."""


class MachineError(CTFastError, OSError):
    """The computer, and no file's contents: a full disk, no memory, too few open files, a folder that can't be written.

    Says what happened, what is safe and what to do.
    """


class DivergedError(CTFastError, ArithmeticError):
    """A training whose loss became NaN or infinite: says where, and what is left."""
