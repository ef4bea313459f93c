"""What readers and writers are asked for, what readers give back, and the limits that they keep."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Final

import numpy as np

from ctfast.batch.choices import Axes, Orient
from ctfast.batch.choices import UnitsChoice as UnitsChoice
from ctfast.files.geometry import Geometry

Units = str
MetaValue = str | int | float | bool | None
Allocate = Callable[[tuple[int, ...], np.dtype], np.ndarray]
"""Gives the array that a reader puts pixels of this shape and dtype into."""

KEPT_DTYPES = ("uint8", "int16", "uint16", "float32")  # whatever the values; float64 may become int16
PIXEL_DTYPES = (*KEPT_DTYPES, "float64")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a file may ask for before anything of it is decoded.

    A few kilobytes can declare (or inflate to) many gigabytes, so the declared size is checked first.

    Attributes:
        max_bytes: Largest decoded size of all frames together, in bytes.
        max_frames: Most pages or frames of one file.
        max_ratio: Most decoded bytes per compressed byte, once the decoded size passes ``ratio_from_bytes``. CT slices
            reach 2 to 20; blank ones more, which is why small images are exempt.
        ratio_from_bytes: Decoded size from which ``max_ratio`` counts.
    """

    max_bytes: int = 2 << 30
    max_frames: int = 100_000
    max_ratio: float = 300.0
    ratio_from_bytes: int = 64 << 20


@dataclass(frozen=True, slots=True)
class Request:
    """What a reader is asked for.

    Attributes:
        path: The file.
        head: Its first bytes.
        units: ``"auto"``; ``"hu"`` to take rescaled values as HU; ``"stored"`` for the numbers as stored.
        limits: Sizes beyond which nothing is decoded.
        allocate: Gives the array for the pixels, where the caller has one.
        orient: Whether volumes are turned for display.
        axes: Where slices lie in plain arrays.
        inside: The path of a data set inside of the file; empty where none is named.
        data: All bytes of the file, where somebody has read them.
        apart: Whether these bytes are all there is: ``path`` names them, and nothing lies there.
    """

    path: Path
    head: bytes
    units: UnitsChoice
    limits: Limits
    allocate: Allocate | None
    orient: Orient = "display"
    axes: Axes = "auto"
    inside: str = ""
    data: bytes | None = None
    apart: bool = False

    def whole(self) -> bytes:
        """All bytes of the file."""
        return self.path.read_bytes() if self.data is None else self.data

    def size(self) -> int:
        """Their number."""
        return self.path.stat().st_size if self.data is None else len(self.data)

    def open(self) -> IO[bytes]:
        """The file, opened."""
        return self.path.open("rb") if self.data is None else io.BytesIO(self.data)

    def source(self) -> Path | IO[bytes]:
        """What a library takes that reads names and open files."""
        return self.open() if self.apart else self.path

    @contextmanager
    def on_disk(self) -> Iterator[Request]:
        """The same of a file on the disk, for libraries that read nothing else."""
        if not self.apart:
            yield self
            return
        with tempfile.NamedTemporaryFile(prefix="ctfast-", suffix=self.path.suffix) as file:
            file.write(self.whole())
            file.flush()
            yield replace(self, path=Path(file.name), data=None, apart=False)


ITK_LEVEL: Final = 2
"""Of zlib in MetaImage and NRRD, as ITK has it: three times as fast as zlib's own level for a fiftieth of the size."""


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """What a writer is asked for; each format keeps what it can hold.

    Attributes:
        path: The file that is written, under a temporary name for now.
        compression: One of the format's.
        level: Of the compression; the library's own when None.
        units: What the values are.
        spacing: Row and column spacing in mm.
        slice_spacing: Distance of frames in mm, where no geometry tells it.
        geometry: From indices to the patient's millimetres.
        facts: All of this and the caller's facts, flat and JSON-able.
    """

    path: Path
    compression: str
    level: int | None
    units: Units
    spacing: tuple[float, float] | None
    geometry: Geometry | None
    facts: Mapping[str, MetaValue]
    slice_spacing: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """One image file in memory.

    Attributes:
        pixels: ``(H, W)`` or ``(frames, H, W)``; native byte order, C-contiguous; uint8, int16, uint16, float32 or
            float64.
        units: ``"hu"`` (Hounsfield units), ``"stored"`` (the numbers in the file, no unit known), ``"display"``
            (brightness of a picture), ``"unknown"``, or
            another DICOM Rescale Type by its name: see ``ctfast.files.units``.
        source: The file.
        format: name of its row in ``ctfast.files.formats``, such as ``"tiff"`` or ``"dicom"``, by content.
        padding: Value of padding pixels in the units of ``pixels``, where the file says so.
        spacing: Row and column spacing in mm, where the file says so.
        meta: Further facts, flat and JSON-able; ``"notes"`` is what the reader did or doubts, ``"; "`` between two.
        geometry: From indices to the patient's millimetres, where the file says so.
    """

    pixels: np.ndarray
    units: Units
    source: Path
    format: str
    padding: float | None = None
    spacing: tuple[float, float] | None = None
    meta: dict[str, MetaValue] = field(default_factory=dict)
    geometry: Geometry | None = None

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        """The pixels: an image is taken where an array is."""
        if copy is None:  # as far as it needs one; NumPy 1.26 does not know None
            return np.asarray(self.pixels, dtype)
        return np.array(self.pixels, dtype, copy=copy)

    @property
    def padding_range(self) -> tuple[float, float] | None:
        """Lowest and highest value of padding pixels, where the file says so (DICOM may declare a range)."""
        if self.padding is None:
            return None
        limit = self.meta.get("padding_range_limit")
        other = limit if isinstance(limit, int | float) else self.padding
        return min(self.padding, other), max(self.padding, other)

    def noted(self, note: str) -> dict[str, MetaValue]:
        """``meta`` with one more note."""
        before = self.meta.get("notes")
        return {**self.meta, "notes": f"{before}; {note}" if before else note}

    @property
    def meaning(self) -> Units:
        """The former name of ``units``, for scripts that hold it."""
        return self.units
