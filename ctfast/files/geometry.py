"""Where pixels lie in the patient, and the order in which volumes are shown.

One affine leads from an index (frame, row, column) to millimetres of the patient in DICOM's axes: x to the left (L), y
to the back (P), z to the head (S). Directions of index axes are named by the letter they run to, in the order columns,
rows, frames: ``"LPS"`` is an axial volume as a radiologist sees it, seen from the feet, frames upwards.

Source: DICOM PS3.3 C.7.6.2.1.1 (equation C.7.6.2.1-1); letters as in nibabel's ``aff2axcodes``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations
from typing import Final

import numpy as np

_LETTERS: Final = ("LR", "PA", "SI")
_PLANES: Final = {"L": "PIL", "P": "LIP", "S": "LPS"}
"""How frames are shown whose normal runs along an axis: sagittal, coronal, axial."""
_CLEARLY_THICKER: Final = 1.5
_INEXACT: Final = 0.01
"""By which direction cosines, which are decimal text, may miss a unit vector and a right angle."""
_ORDERS: Final = tuple(permutations(range(3)))


@dataclass(frozen=True, slots=True)
class Turn:
    """How an array ``(frames, H, W)`` is put in another order: axes are exchanged, then some are reversed."""

    axes: tuple[int, ...]
    reversed: tuple[bool, ...]

    def of(self, pixels: np.ndarray) -> np.ndarray:
        """A view of ``pixels``; a single image ``(H, W)`` counts as one frame and stays one."""
        volume = pixels.reshape(-1, *pixels.shape[-2:]).transpose(self.axes)
        turned = volume[tuple(slice(None, None, -1 if back else 1) for back in self.reversed)]
        return turned[0] if pixels.ndim == 2 else turned


@dataclass(frozen=True, slots=True)
class Geometry:
    """The place of an image or stack in the patient.

    Attributes:
        affine: three rows (x, y, z) of four numbers: mm per frame, row and column, and the centre of the first pixel.
        stored: directions of the axes in the file, where the pixels were turned after reading; volumes are written
            in this order again.
    """

    affine: tuple[tuple[float, ...], ...]
    stored: str = ""

    @classmethod
    def of(cls, rows: Sequence[Sequence[float]] | np.ndarray, stored: str = "") -> Geometry | None:
        """From the three rows of an affine (a fourth is left out); None where it is none (not finite, or flat)."""
        affine = tuple(tuple(map(float, row)) for row in rows[:3])
        (a, b, c, _), (d, e, f, _), (g, h, i, _) = affine
        volume = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
        flat = not math.isfinite(volume) or abs(volume) < 1e-12
        return None if flat or not all(math.isfinite(row[3]) for row in affine) else cls(affine, stored)

    @property
    def matrix(self) -> np.ndarray:
        """The affine as a 4 x 4 matrix of float64."""
        return np.array([*self.affine, (0.0, 0.0, 0.0, 1.0)])

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance of frames, rows and columns in mm."""
        x, y, z = self.affine
        return math.hypot(x[0], y[0], z[0]), math.hypot(x[1], y[1], z[1]), math.hypot(x[2], y[2], z[2])

    @property
    def directions(self) -> tuple[str, str, str]:
        """Letters that columns, rows and frames run to, the nearest ones where the axes are oblique."""
        return _directions(tuple(row[:3] for row in self.affine))

    @property
    def orientation(self) -> str:
        """The same as one word, such as ``"LPS"``."""
        return "".join(self.directions)

    def display(self, frames: int) -> str:
        """The orientation in which this volume is shown.

        Axial where it can be; frames of another plane stay frames where they are single or clearly further apart than
        their pixels, because then they are slices and not the order in which a program stores a volume.
        """
        frame, row, column = self.spacing
        plane = next(pair[0] for pair in _LETTERS if self.directions[2] in pair)
        keep = frames == 1 or frame > _CLEARLY_THICKER * max(row, column)
        return _PLANES[plane if keep else "S"]

    def turn_to(self, orientation: str, frames: int) -> Turn:
        """What brings an array of this geometry into another orientation; a single frame is never reversed."""
        axis_of = {self._axis(letter): 2 - k for k, letter in enumerate(self.directions)}
        wanted = tuple(reversed(orientation))  # frames, rows, columns
        axes = tuple(axis_of[self._axis(letter)] for letter in wanted)
        back = tuple(letter not in self.directions for letter in wanted)
        return Turn(axes, tuple(b and not (frames == 1 and axis == 0) for b, axis in zip(back, axes)))

    def turned(self, turn: Turn, shape: tuple[int, ...]) -> Geometry:
        """The geometry of ``turn.of(pixels)`` for pixels of ``shape``."""
        sizes = (1, *shape)[-3:]
        old, new = self.matrix, self.matrix
        for k, (axis, back) in enumerate(zip(turn.axes, turn.reversed)):
            new[:3, k] = -old[:3, axis] if back else old[:3, axis]
            if back:
                new[:3, 3] += (sizes[axis] - 1) * old[:3, axis]
        geometry = Geometry.of(new, self.stored or self.orientation)
        assert geometry is not None
        return geometry

    @staticmethod
    def _axis(letter: str) -> str:
        return next(pair for pair in _LETTERS if letter in pair)

    def text(self) -> str:
        """The affine as twelve numbers, row by row, for formats that hold text."""
        return " ".join(repr(number) for row in self.affine for number in row)

    @classmethod
    def parse(cls, text: str) -> Geometry | None:
        """The reverse of ``text``; None for anything else."""
        try:
            numbers = [float(word) for word in text.split()]
        except ValueError:
            return None
        return cls.of([numbers[0:4], numbers[4:8], numbers[8:12]]) if len(numbers) == 12 else None


@lru_cache(maxsize=256)
def _directions(axes: tuple[tuple[float, ...], ...]) -> tuple[str, str, str]:
    """Of an affine's first three columns, which all slices of a series share."""
    lengths = [math.hypot(*(row[k] for row in axes)) for k in range(3)]
    cosines = [[abs(row[k]) / lengths[k] for row in axes] for k in range(3)]
    best = tuple(of_one.index(max(of_one)) for of_one in cosines)
    if len(set(best)) < 3:  # each index axis takes another axis of the patient, so that together they are nearest
        best = max(_ORDERS, key=lambda order: sum(cosines[k][axis] for k, axis in enumerate(order)))
    frame, row, column = (_LETTERS[axis][axes[axis][k] < 0] for k, axis in enumerate(best))
    return column, row, frame


def from_plane(
    orientation: Sequence[float],
    position: Sequence[float],
    spacing: tuple[float, float],
    step: Sequence[float] | np.ndarray | float,
) -> Geometry | None:
    """From DICOM's description of a plane.

    Args:
        orientation: Direction cosines of a row, then of a column (Image Orientation Patient).
        position: Centre of the first pixel in mm.
        spacing: Distance of rows and of columns in mm.
        step: From frame to frame: a vector, or mm along the normal.

    Returns:
        None where the cosines are no two unit vectors at a right angle.
    """
    (a, b, c), (d, e, f) = orientation[:3], orientation[3:]
    unit = abs(math.hypot(a, b, c) - 1) < _INEXACT and abs(math.hypot(d, e, f) - 1) < _INEXACT
    if not unit or abs(a * d + b * e + c * f) > _INEXACT:
        return None
    if isinstance(step, float | int):
        step = [step * (b * f - c * e), step * (c * d - a * f), step * (a * e - b * d)]
    between_rows, between_columns = spacing
    return Geometry.of(
        [
            [frame, between_rows * down, between_columns * along, start]
            for frame, down, along, start in zip(step, (d, e, f), (a, b, c), position)
        ]
    )
