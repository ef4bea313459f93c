"""``read_series``: the volumes that files make up, by their headers; pixels are read later, slice by slice.

A series here is one volume: DICOM slices (or frames) that lie on one even grid, or a file that is a volume by itself
(NIfTI, TIFF stacks, ``.npy``, multi-frame DICOM without a place for each frame). Its docstring's rules of order,
copies, phases, gaps and tilt are those of ``ctfast.files._series_order``. A series that cannot be one volume stays in
the list and says why (``Series.problem``); reading it raises that.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from ctfast.batch.choices import AXES, ORIENT, UNITS, Axes, Orient, UnitsChoice, check_choice
from ctfast.errors import ArgumentError, FileFormatError
from ctfast.files._dicom_geometry import BY_PLACE
from ctfast.files._dicom_planes import Plane, planes
from ctfast.files._series_filling import Filling, fitting
from ctfast.files._series_order import Volume, same_bytes, volumes
from ctfast.files.find import find_images
from ctfast.files.geometry import Geometry
from ctfast.files.image import Allocate, Image, Limits
from ctfast.files.next_steps import COPY_AGAIN
from ctfast.files.reading import read_image
from ctfast.files.recognize import detect, read_head

_DEFAULT_LIMITS: Final = Limits()


class SliceSource(NamedTuple):
    """Where a slice comes from: a file and the index of the frame in it."""

    path: Path
    frame: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One volume on disk.

    Attributes:
        sources: The slices by position along the normal; empty for a file that is a volume by itself.
        files: The files, each once, in that order.
        uid: SeriesInstanceUID; empty where there is none, as for the further facts of DICOM.
        description: Series Description.
        number: Series Number.
        modality: Such as ``"CT"``.
        shape: ``(slices, H, W)``; None for a file that is a volume by itself, until it is read.
        geometry: From (slice, row, column) to the patient's millimetres, by all headers; None where it is not known,
            and for a file that is a volume by itself, until it is read.
        notes: What was found and is no reason to refuse the series: tilt, copies, phases, rounded positions.
        problem: Why it cannot be read as one volume; empty where it can.
        copies: Files left out because they are copies, each with the one that is kept.
        key: Eight letters that stand for this volume, the same wherever its files lie.
    """

    sources: tuple[SliceSource, ...]
    files: tuple[Path, ...]
    uid: str = ""
    description: str = ""
    number: str = ""
    modality: str = ""
    shape: tuple[int, int, int] | None = None
    geometry: Geometry | None = None
    notes: tuple[str, ...] = ()
    problem: str = ""
    copies: tuple[tuple[Path, Path], ...] = ()
    key: str = ""
    units: UnitsChoice = "auto"
    limits: Limits = _DEFAULT_LIMITS
    orient: Orient = "display"
    axes: Axes = "auto"

    @property
    def folder(self) -> Path:
        """The folder that all files lie below; the file itself where there is one."""
        return Path(os.path.commonpath(list(map(str, self.files)))) if len(self.files) > 1 else self.files[0]

    def slices(self, read: Callable[[Path], Image | None] | None = None) -> Iterator[Image]:
        """The slices ``(H, W)`` in order, one at a time; each has its own units, dtype and place in the patient.

        Args:
            read: Gives a file's image as ``read_image`` does, in memory that the next one may take; None for files
                that it leaves to that.

        Raises:
            FileFormatError: With ``problem``, or for a file that cannot be read.
        """
        if self.problem:
            name = " ".join(filter(None, ("series", self.number, self.description))) + ": " if self.sources else ""
            raise FileFormatError(f"{self.folder}: {name}{self.problem}")
        if not self.sources:
            yield from _frames_of(self._image(self.files[0]))
            return
        held: Image | None = None
        for k, (path, frame) in enumerate(self.sources):
            if held is None or held.source != path:  # frames of one file follow each other: it is decoded once
                held = _by_its_places((read and read(path)) or self._image(path))
            pixels = held.pixels.reshape(-1, *held.pixels.shape[-2:])[frame]
            if self.shape is not None and pixels.shape != self.shape[1:]:
                raise FileFormatError(f"{path}: {pixels.shape}, its header said {self.shape[1:]}", COPY_AGAIN)
            place = None if self.geometry is None else _moved(self.geometry, k)
            size = held.spacing if place is None else place.spacing[1:]
            yield replace(held, pixels=pixels, spacing=size, geometry=place)

    def read(
        self,
        out: np.ndarray | None = None,
        *,
        allocate: Allocate | None = None,
        read: Callable[[Path], Image | None] | None = None,
    ) -> Image:
        """Read the volume slice by slice, each by its own rescale, into one array.

        Its dtype is the first that holds all slices: that of them all where they agree; float32 for int16 with uint16
        and for integers with float32; float64 beyond. Where a later slice needs a wider one, the array is made again.

        Args:
            out: Takes the pixels: ``(slices, H, W)`` of a dtype that holds all of them.
            allocate: Gives the array, as for ``read_image``; it may be called again for a wider dtype.
            read: As for ``slices``.

        Returns:
            The volume. Its units are those of all slices, ``"unknown"`` where they differ; ``meta`` has the facts that
            all slices share, and their notes.

        Raises:
            FileFormatError: With ``problem``, or for a file that cannot be read.
            ShapeError, DTypeError: ``out`` does not fit.
        """
        if not self.sources and not self.problem:
            image = self._image(self.files[0], allocate)
            if out is None:
                return image
            np.copyto(fitting(out, image.pixels.shape, image.pixels.dtype), image.pixels)
            return replace(image, pixels=out)
        volume = Filling(self.shape or (0, 0, 0), out, allocate)
        for image in self.slices(read):
            volume.add(image)
        return volume.image(self.files[0], self.geometry, self.notes)

    def _image(self, path: Path, allocate: Allocate | None = None) -> Image:
        return read_image(
            path, units=self.units, limits=self.limits, allocate=allocate, orient=self.orient, axes=self.axes
        )


def read_series(
    inputs: str | Path | Sequence[str | Path],
    *,
    units: UnitsChoice = "auto",
    limits: Limits = _DEFAULT_LIMITS,
    orient: Orient = "display",
    axes: Axes = "auto",
) -> tuple[Series, ...]:
    """Find the volumes in folders, patterns and files by their headers; no pixels are kept.

    Args:
        inputs: As for ``find_images``; one, or a sequence.
        units: As for ``read_image``, when pixels are read.
        limits: The same, of each file; a series may hold any number of them.
        orient: As for ``read_image``, for files that are volumes by themselves. DICOM slices stay as they are.
        axes: As for ``read_image``.

    Returns:
        Every image file that was found is in one of these (or is a copy that one of them names), in the order of the
        files. A file that is no DICOM, or cannot be read, is a series by itself.

    Raises:
        UsageError: If there is nothing to read.
        ArgumentError: For other words than are allowed.
        MissingDependencyError: If pydicom is needed and not there.
    """
    for name, value, allowed in (("units", units, UNITS), ("orient", orient, ORIENT), ("axes", axes, AXES)):
        check_choice(name, value, allowed, ArgumentError)
    common = Series(sources=(), files=(), units=units, limits=limits, orient=orient, axes=axes)
    slices: list[Plane] = []
    result: list[Series] = []
    paths = [item.path for item in find_images([inputs] if isinstance(inputs, str | Path) else inputs).items]
    for path in paths:
        try:
            own = _planes(path, limits)
        except (OSError, FileFormatError) as error:
            result.append(replace(common, files=(path,), problem=str(error).removeprefix(f"{path}: ")))
            continue
        slices.extend(own)
        if not own:
            result.append(replace(common, files=(path,)))
    result.extend(_series(volume, common) for volume in volumes(slices, _Comparison(common)))
    order = {path: k for k, path in enumerate(paths)}
    return tuple(sorted(result, key=lambda series: min(order[path] for path in series.files)))


def _planes(path: Path, limits: Limits) -> list[Plane]:
    head = read_head(path)
    kinds = detect(head)
    return planes(path, head, limits) if kinds and kinds[0].name == "dicom" else []


def _series(volume: Volume, common: Series) -> Series:
    first = volume.planes[0]
    group = first.group
    identity = replace(group, folder=""), [round(c, 3) + 0.0 for c in first.orientation], volume.phase
    return replace(
        common,
        sources=tuple(SliceSource(plane.path, plane.frame) for plane in volume.planes),
        files=tuple(dict.fromkeys(plane.path for plane in volume.planes)),
        uid=group.series,
        description=group.description,
        number=group.number,
        modality=group.modality,
        shape=(len(volume.planes), *group.shape),
        geometry=volume.geometry,
        notes=tuple(volume.notes),
        problem=volume.problem,
        copies=tuple(volume.copies),
        key=hashlib.sha256(repr(identity).encode()).hexdigest()[:8],
    )


@dataclass(frozen=True)
class _Comparison:
    """Whether the pixels of two planes are equal; files of equal bytes are not decoded."""

    series: Series

    def __call__(self, a: Plane, b: Plane) -> bool:
        if same_bytes(a, b):
            return True
        try:
            first, second = (
                next(replace(self.series, sources=(SliceSource(p.path, p.frame),), files=(p.path,)).slices())
                for p in (a, b)
            )
        except (OSError, FileFormatError):
            return False
        return first.units == second.units and np.array_equal(first.pixels, second.pixels)


def _by_its_places(image: Image) -> Image:
    """Without the note that its frames are not taken so."""
    notes = str(image.meta.get("notes", "")).split("; ")
    kept = "; ".join(note for note in notes if not note.endswith(BY_PLACE))
    others = {name: value for name, value in image.meta.items() if name != "notes"}
    return replace(image, meta={**others, "notes": kept} if kept else others)


def _frames_of(image: Image) -> Iterator[Image]:
    for k, frame in enumerate(image.pixels.reshape(-1, *image.pixels.shape[-2:])):
        yield replace(image, pixels=frame, geometry=None if image.geometry is None else _moved(image.geometry, k))


def _moved(geometry: Geometry, frames: int) -> Geometry:
    """The geometry of what begins some frames further on."""
    matrix = geometry.matrix
    matrix[:3, 3] += frames * matrix[:3, 0]
    return replace(geometry, affine=tuple(tuple(map(float, row)) for row in matrix[:3]))
