"""The words that options of several commands allow, once; the API checks them, the command line only parses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, get_args

from ctfast.errors import CTFastError, UsageError, one_of

UnitsChoice = Literal["auto", "hu", "stored"]
"""What the values of files are: as each file says, HU, or numbers as they are stored."""
Pool = Literal["threads", "processes", "auto"]
"""What works on several files at once; ``"auto"``: processes where there are enough files."""
OnError = Literal["skip", "stop"]
"""What follows a bad file: it is listed and the others are done, or no further file is started."""

Orient = Literal["display", "keep"]
"""How volumes are turned: axial frames with columns to the patient's left and rows to the back, or as stored."""
Axes = Literal["auto", "first", "last"]
"""Where slices lie in arrays of three axes: as is likely, ``(frames, H, W)`` or ``(H, W, frames)``."""
Dataset = Literal["none", "deeplesion"]
"""A public set whose files do not say what their values are: see ``ctfast.files.datasets``."""

UNITS: Final = get_args(UnitsChoice)
POOLS: Final = get_args(Pool)
ON_ERROR: Final = get_args(OnError)
ORIENT: Final = get_args(Orient)
AXES: Final = get_args(Axes)
DATASETS: Final = get_args(Dataset)


def check_choice(name: str, value: object, allowed: Iterable[object], error: type[CTFastError] = UsageError) -> None:
    """Refuse a value that is not allowed for the option ``name``.

    Raises:
        UsageError: or ``error``; says what came in and what is allowed.
    """
    words = tuple(allowed)
    if value not in words:
        raise error(f"{name}={value!r}: {one_of(value, words)}")
