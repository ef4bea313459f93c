"""A volume that slices are read into, one dtype and one padding value for all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ctfast.errors import DTypeError, ShapeError
from ctfast.files._convert import room
from ctfast.files.geometry import Geometry
from ctfast.files.image import PIXEL_DTYPES, Allocate, Image, MetaValue, Units


class Filling:
    """A volume that slices are added to."""

    def __init__(self, shape: tuple[int, ...], out: np.ndarray | None, allocate: Allocate | None) -> None:
        self.shape, self.out, self.allocate = shape, out, allocate
        self.pixels: np.ndarray | None = None
        self.count = 0
        self.units: Counter[Units] = Counter()
        self.notes: dict[str, None] = {}
        self.padding: float | None = None
        self.declared: tuple[float, float] | None = None
        self.limit: MetaValue = None
        self.meta: dict[str, MetaValue] = {}

    def add(self, image: Image) -> None:
        """Take in the next slice."""
        dtype = image.pixels.dtype if self.pixels is None else wider(self.pixels.dtype, image.pixels.dtype)
        if self.pixels is None or self.pixels.dtype != dtype:
            self._widen(dtype)
        assert self.pixels is not None
        here = self.pixels[self.count]
        np.copyto(here, image.pixels)
        declared = image.padding_range
        if declared is not None and self.declared is None:
            self.padding, self.declared = image.padding, declared
            self.limit = image.meta.get("padding_range_limit")
            self._check_data(self.pixels[: self.count])
        elif self.declared is not None and declared != self.declared:  # rescaled apart, and one value for the volume
            own = np.zeros(image.pixels.shape, bool) if declared is None else _within(image.pixels, declared)
            self._check_data(image.pixels[~own])
            here[own] = self.padding
        self.units[image.units] += 1
        self.notes.update(dict.fromkeys(filter(None, str(image.meta.get("notes", "")).split("; "))))
        self.meta = image.meta if not self.count else {k: v for k, v in self.meta.items() if image.meta.get(k) == v}
        self.count += 1

    def _check_data(self, pixels: np.ndarray) -> None:
        """Tell of pixels that are data in their file, and padding in the volume."""
        assert self.declared is not None
        if _within(pixels, self.declared).any():
            self.notes["slices that declare no padding, or another, hold the value that is padding in the others"] = (
                None
            )

    def _widen(self, dtype: np.dtype) -> None:
        before = self.pixels
        if self.out is not None:
            self.pixels = fitting(self.out, self.shape, dtype)
            return
        self.pixels = room(self.shape, dtype, self.allocate)
        if before is not None:
            np.copyto(self.pixels[: self.count], before[: self.count])

    def image(self, source: Path, place: Geometry | None, found: Sequence[str]) -> Image:
        """The volume; ``found`` are the notes that are no slice's."""
        assert self.pixels is not None
        units = next(iter(self.units)) if len(self.units) == 1 else "unknown"
        notes = [*found, *self.notes]
        if len(self.units) > 1:
            listed = ", ".join(f"{name} in {number}" for name, number in self.units.most_common())
            notes.append(f"units differ: {listed} slices")
        meta = {**self.meta, "notes": "; ".join(notes)} if notes else self.meta
        if self.declared is not None:
            meta = {**meta, "padding_range_limit": self.limit}
        size = None if place is None else place.spacing[1:]
        if place is not None:
            meta = {**meta, "orientation": place.orientation, "slice_spacing": place.spacing[0]}
        return Image(self.pixels, units, source, "dicom", self.padding, size, meta, place)


def _within(pixels: np.ndarray, ends: tuple[float, float]) -> np.ndarray:
    inside: np.ndarray = (pixels >= ends[0]) & (pixels <= ends[1])
    return inside


def wider(a: np.dtype, b: np.dtype) -> np.dtype:
    """The supported dtype that holds the values of two."""
    both = np.result_type(a, b)
    return both if both.name in PIXEL_DTYPES else np.dtype(np.float32)  # int16 and uint16: exact to 24 bits


def fitting(out: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """``out`` if it can hold such pixels.

    Raises:
        ShapeError, DTypeError: if not.
    """
    if out.shape != shape:
        raise ShapeError(f"out has shape {out.shape}; {shape} is needed")
    if not np.can_cast(dtype, out.dtype, "safe"):
        raise DTypeError(f"out is {out.dtype}; {dtype} or one that holds its values is needed")
    return out
