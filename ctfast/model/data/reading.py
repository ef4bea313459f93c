"""Files to the network's input for prediction: many at a time, results in order, a bad file as a reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ctfast.batch.choices import UnitsChoice
from ctfast.batch.reasons import reason
from ctfast.batch.stamp import Stamp, stamp_of
from ctfast.batch.workers import DIED, bounded_map
from ctfast.files import Limits
from ctfast.model.data.preprocessing import Preprocessing

_UNKNOWN_STAMP = Stamp(0, 0.0)
"""Of a file that is not there."""


@dataclass(frozen=True)
class Reading:
    """How files are read."""

    preprocessing: Preprocessing
    units: UnitsChoice = "auto"
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, eq=False)
class Read:
    """What one file gave.

    Attributes:
        frames: ``(frames, H, W)`` uint16, or with a last axis of 3; none where there is an error.
        error: Why the file could not be read; empty otherwise.
        units: What its values mean: hu, stored, unknown.
        trusted: Whether the preprocessing makes sense for such values.
        several: Whether it holds a stack.
        stamp: Of the file as it was read.
    """

    frames: NDArray[np.uint16]
    error: str = ""
    units: str = ""
    trusted: bool = True
    several: bool = False
    stamp: Stamp = _UNKNOWN_STAMP


def read_all(paths: Iterable[str], reading: Reading, workers: int, *, processes: bool) -> Iterator[Read]:
    """What each file gave, in the order of ``paths``, which are drawn from only as workers become free."""
    work = partial(read_one, reading=reading)
    return bounded_map(work, paths, workers, processes=processes, died=partial(_dead, reading=reading))


def read_one(path: str, reading: Reading) -> Read:
    """Read and preprocess one file; never raises for a bad one."""
    stamp = _UNKNOWN_STAMP
    try:
        stamp = stamp_of(path)
        frames, image = reading.preprocessing.read(path, units=reading.units, limits=reading.limits)
        if not len(frames):
            return Read(no_frames(reading), "no frames", stamp=stamp)
    except Exception as error:  # one bad file never stops a batch, whatever a decoder raises
        return Read(no_frames(reading), reason(error, path), stamp=stamp)
    trusted = reading.preprocessing.trusts(image)
    return Read(frames, "", image.units, trusted, image.pixels.ndim == 3, stamp)


def no_frames(reading: Reading) -> NDArray[np.uint16]:
    """What a file without a readable frame gives."""
    channels = (3,) if reading.preprocessing.channels == 3 else ()
    return np.empty((0, *reading.preprocessing.image_size, *channels), np.uint16)


def _dead(path: str, reading: Reading) -> Read:
    try:
        return Read(no_frames(reading), DIED, stamp=stamp_of(path))
    except OSError:
        return Read(no_frames(reading), DIED)
