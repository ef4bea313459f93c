"""Files of a training set to 16-bit images, many at a time; a bad file becomes a reason and never stops the others."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ctfast.batch.reasons import reason
from ctfast.batch.workers import DIED, bounded_map, use_processes
from ctfast.dispatch.arrays import known_axes
from ctfast.errors import CTFastError
from ctfast.files import Image, Limits, read_image
from ctfast.files.asked import LeftOutError, in_plane
from ctfast.model.data.labels import Sample
from ctfast.model.data.reading import Reading, no_frames
from ctfast.pipeline import Pipeline, Step

HU_RANGE: Final = (-1000, 1000)
HU_BINS: Final = 200
"""Of 10 HU each."""
_HISTOGRAM: Final = Pipeline([Step("histogram", bins=HU_BINS, value_range=HU_RANGE)])


@dataclass(frozen=True)
class Decoded:
    """What one sample gave, without its pixels.

    Attributes:
        hashes: Of each frame's 16-bit image.
        error: Why it could not be read; empty otherwise.
        left_out: Why it is not asked for; empty otherwise.
        shape: Rows and columns in the file.
        trusted: Whether the values are what the pipeline expects.
        several: Whether the file holds a stack.
        in_plane: Letters that columns and rows run to in the patient.
        notes: What the reader did or doubts, joined by ``; ``.
        hu_shares: ``(frames, HU_BINS)``, None where values are not HU.
    """

    hashes: tuple[str, ...] = ()
    error: str = ""
    left_out: str = ""
    patient: str = ""
    study: str = ""
    shape: tuple[int, int] = (0, 0)
    trusted: bool = True
    several: bool = False
    in_plane: str = ""
    notes: str = ""
    hu_shares: NDArray[np.float32] | None = field(default=None, compare=False)

    @classmethod
    def of_array(cls, image: NDArray[np.uint16]) -> Decoded:
        """Of an image that comes from no file."""
        return cls((hash_of(image),), shape=(image.shape[0], image.shape[1]))

    def names(self, name: str) -> list[str]:
        """The names of the frames of a file called ``name``."""
        return [f"{name}[{k}]" for k in range(len(self.hashes))] if self.several else [name]


def hash_of(image: NDArray[np.uint16]) -> str:
    """Of one slice as the network sees it: slices that differ only outside the window are the same to it."""
    return hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).hexdigest()


Frames = tuple[NDArray[np.uint16], Decoded]


def decode_all(samples: Sequence[Sample], reading: Reading, workers: int, pool: str) -> Iterator[Frames]:
    """The frames ``(frames, ...)`` of each sample and what is known of them, in order."""
    work = partial(decode, reading=reading)
    processes = use_processes(len(samples), workers, pool)
    return bounded_map(work, samples, workers, processes=processes, died=partial(_dead, reading=reading))


def decode(sample: Sample, reading: Reading) -> Frames:
    """Read one sample: pixels from its first readable file, the patient from the first that tells."""
    preprocessing, limits = reading.preprocessing, reading.limits
    reasons = []
    for path in sample.paths:
        try:
            frames, image = reading.read(path)
            meta = _identity(image)
            for other in sample.paths:
                if other != path and "patient_id" not in meta:
                    meta |= _identity_of(other, limits)
            height, width = image.pixels.shape[-2:]
            decoded = Decoded(
                hashes=tuple(hash_of(frame) for frame in frames),
                patient=meta.get("patient_id", ""),
                study=meta.get("study", ""),
                shape=(height, width),
                trusted=preprocessing.trusts(image),
                several=image.pixels.ndim == 3,
                in_plane=in_plane(image.meta.get("orientation"), image.meta.get("turned")),
                notes=str(image.meta.get("notes", "")),
                hu_shares=hu_shares(image.pixels, image.padding_range) if image.units == "hu" else None,
            )
            return frames, decoded
        except LeftOutError as error:
            return no_frames(reading), Decoded(left_out=str(error))
        except Exception as error:  # whatever a decoder raises; the next file of the same slice may be whole
            reasons.append(reason(error, path))
    return no_frames(reading), Decoded(error="; ".join(reasons))


def _dead(sample: Sample, reading: Reading) -> Frames:
    return no_frames(reading), Decoded(error=DIED)


def _identity(image: Image) -> dict[str, str]:
    return {key: str(image.meta[key]) for key in ("patient_id", "study") if image.meta.get(key)}


def _identity_of(path: Path, limits: Limits) -> dict[str, str]:
    try:
        return _identity(read_image(path, limits=limits))
    except (CTFastError, OSError):
        return {}  # the pixels come from elsewhere; without it the patient is not known, and a warning says so


def hu_shares(pixels: NDArray[Any], padding: tuple[float, float] | None = None) -> NDArray[np.float32]:
    """Share of all pixels in each 10 HU from -1000 to 1000: ``(frames, 200)`` for ``(H, W)`` or ``(frames, H, W)``."""
    with known_axes():
        histogram = _HISTOGRAM.run(pixels, padding=padding).histogram
    assert histogram is not None
    counts = histogram.counts
    size = pixels.shape[-2] * pixels.shape[-1]
    return np.asarray(counts, np.float32).reshape(-1, HU_BINS) / np.float32(size)
