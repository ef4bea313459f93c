"""Files to the network's input for prediction: many at a time, results in order, a bad file as a reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ctfast.batch.reasons import reason
from ctfast.batch.stamp import Stamp, stamp_of
from ctfast.batch.workers import DIED, bounded_map
from ctfast.files import Image, Limits
from ctfast.files.asked import LeftOutError, in_plane
from ctfast.files.values import Values
from ctfast.model.data._area import area_resize
from ctfast.model.data.preprocessing import Preprocessing

AIR_HU: Final = -900.0
"""Lung that holds much air is at -700 to -900 HU, air at -1000."""
_LOWEST_HU: Final = -1024.0
_HIGHEST_HU: Final = 3071.0
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
    with_air: bool = False
    """Whether to find the air in each image, for explanations."""

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
        notes: What was done to it or is doubtful, joined by ``; ``.
        pixel_mm: Height and width of a pixel of ``frames``, None where the file does not tell.
        air: ``(frames, H, W)``: where there is nothing but air; None where that was not asked for, or is not known.
    """

    frames: NDArray[np.uint16]
    error: str = ""
    left_out: str = ""
    units: str = ""
    trusted: bool = True
    several: bool = False
    stamp: Stamp = _UNKNOWN_STAMP
    in_plane: str = ""
    notes: str = ""
    pixel_mm: tuple[float, float] | None = None
    air: NDArray[np.bool_] | None = None


def read_all(paths: Iterable[str], reading: Reading, workers: int, *, processes: bool) -> Iterator[Read]:
    """What each file gave, in the order of ``paths``, which are drawn from only as workers become free."""
    work = partial(read_one, reading=reading)
    return bounded_map(work, paths, workers, processes=processes, died=partial(dead, reading=reading))


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
        notes="; ".join(filter(None, [str(image.meta.get("notes", "")), _stretched(image, reading.preprocessing)])),
        pixel_mm=_pixel_mm(image, reading.preprocessing.image_size),
        air=find_air(image, reading.preprocessing.image_size) if reading.with_air else None,
    )


def _stretched(image: Image, preprocessing: Preprocessing) -> str:
    (height, width), (rows, columns) = image.pixels.shape[-2:], preprocessing.image_size
    return "" if height * columns == width * rows else f"another aspect ratio than {rows} x {columns}: stretched"


def _pixel_mm(image: Image, size: tuple[int, int]) -> tuple[float, float] | None:
    if image.spacing is None:
        return None
    rows, columns = image.pixels.shape[-2:]
    return image.spacing[0] * rows / size[0], image.spacing[1] * columns / size[1]


def find_air(image: Image, size: tuple[int, int]) -> NDArray[np.bool_] | None:
    """Where an image of HU, resized to ``size``, is below -900 HU: air, but not lung; None for other units."""
    if image.units != "hu":
        return None
    hu = np.clip(np.nan_to_num(image.pixels.astype(np.float32), nan=_LOWEST_HU), _LOWEST_HU, _HIGHEST_HU)
    resized = area_resize((hu - _LOWEST_HU).astype(np.uint16), size) < AIR_HU - _LOWEST_HU
    return resized if resized.ndim == 3 else resized[np.newaxis]


def no_frames(reading: Reading) -> NDArray[np.uint16]:
    """What a file without a readable frame gives."""
    channels = (3,) if reading.preprocessing.channels == 3 else ()
    return np.empty((0, *reading.preprocessing.image_size, *channels), np.uint16)


def dead(path: str, reading: Reading) -> Read:
    """What stands for a file that killed the process that read it."""
    try:
        return Read(no_frames(reading), DIED, stamp=stamp_of(path))
    except OSError:
        return Read(no_frames(reading), DIED)
