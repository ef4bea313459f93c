"""Files to the network's input for prediction: many at a time, results in order, a bad file as a reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ctfast.batch.reasons import reason
from ctfast.batch.stamp import Stamp, stamp_of
from ctfast.batch.workers import DIED, bounded_map
from ctfast.files import Image, Limits
from ctfast.files.asked import LeftOutError, in_plane
from ctfast.files.values import Values
from ctfast.model.data.preprocessing import Preprocessing

_UNKNOWN_STAMP = Stamp(0, 0.0)
"""Of a file that is not there."""


@dataclass(frozen=True)
class Reading:
    """How files are read."""

    preprocessing: Preprocessing
    values: Values = field(default_factory=Values)
    limits: Limits = field(default_factory=Limits)
    modality: str = "CT"
    """Which DICOM images are asked for; see ``check_modality``."""

    def read(self, path: str | Path) -> tuple[NDArray[np.uint16], Image]:
        """``Preprocessing.read``, as this says.

        Raises:
            LeftOutError: For a file that is not asked for.
            OSError, FileFormatError: If it cannot be read.
        """
        return self.preprocessing.read(path, values=self.values, limits=self.limits, modality=self.modality)


@dataclass(frozen=True, eq=False)
class Read:
    """What one file gave.

    Attributes:
        frames: ``(frames, H, W)`` uint16, or with a last axis of 3; none where there is an error.
        error: Why the file could not be read; empty otherwise.
        left_out: Why it is not asked for; empty otherwise.
        units: What its values mean: hu, stored, unknown.
        trusted: Whether the preprocessing makes sense for such values.
        several: Whether it holds a stack.
        stamp: Of the file as it was read.
        in_plane: Letters that its columns and rows run to in the patient; see ``ctfast.files.asked.in_plane``.
    """

    frames: NDArray[np.uint16]
    error: str = ""
    left_out: str = ""
    units: str = ""
    trusted: bool = True
    several: bool = False
    stamp: Stamp = _UNKNOWN_STAMP
    in_plane: str = ""


def read_all(paths: Iterable[str], reading: Reading, workers: int, *, processes: bool) -> Iterator[Read]:
    """What each file gave, in the order of ``paths``, which are drawn from only as workers become free."""
    work = partial(read_one, reading=reading)
    return bounded_map(work, paths, workers, processes=processes, died=partial(_dead, reading=reading))


def read_one(path: str, reading: Reading) -> Read:
    """Read and preprocess one file; never raises for a bad one."""
    stamp = _UNKNOWN_STAMP
    try:
        stamp = stamp_of(path)
        frames, image = reading.read(path)
        if not len(frames):
            return Read(no_frames(reading), "no frames", stamp=stamp)
    except LeftOutError as error:
        return Read(no_frames(reading), left_out=str(error), stamp=stamp)
    except Exception as error:  # one bad file never stops a batch, whatever a decoder raises
        return Read(no_frames(reading), reason(error, path), stamp=stamp)
    return Read(
        frames,
        units=image.units,
        trusted=reading.preprocessing.trusts(image),
        several=image.pixels.ndim == 3,
        stamp=stamp,
        in_plane=in_plane(image.meta.get("orientation"), image.meta.get("turned")),
    )


def no_frames(reading: Reading) -> NDArray[np.uint16]:
    """What a file without a readable frame gives."""
    channels = (3,) if reading.preprocessing.channels == 3 else ()
    return np.empty((0, *reading.preprocessing.image_size, *channels), np.uint16)


def _dead(path: str, reading: Reading) -> Read:
    try:
        return Read(no_frames(reading), DIED, stamp=stamp_of(path))
    except OSError:
        return Read(no_frames(reading), DIED)
