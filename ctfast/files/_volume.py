"""What the readers of volumes share: sizes before decoding, the turn for display, and the order for writing."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from ctfast.errors import FileFormatError
from ctfast.files.geometry import Geometry
from ctfast.files.image import Limits, MetaValue, Request
from ctfast.files.next_steps import COPY_AGAIN, HIGHER_RATIO, MORE_BYTES, MORE_FRAMES

PIXEL_TYPES = frozenset(
    ["uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64"]
)


def image_shape(shape: tuple[int, ...], *, trailing: bool = False) -> tuple[int, ...]:
    """``(H, W)`` or ``(frames, H, W)`` without leading (or trailing) axes of length 1.

    Raises:
        FileFormatError: For other ranks and empty arrays.
    """
    kept = shape
    while len(kept) > 2 and kept[-1 if trailing else 0] == 1:
        kept = kept[:-1] if trailing else kept[1:]
    if len(kept) not in (2, 3) or min(kept) < 1:
        raise FileFormatError(
            f"shape {shape} is no image; (H, W) and (frames, H, W) are read", "save one volume a file"
        )
    return kept


_PATTERN: Final = re.compile(r"([^\s%]*%0?\d?d[^\s%]*)\s+(\d{1,9})\s+(\d{1,9})(?:\s+(\d{1,9}))?(?:\s.*)?")
_MOST_FILES: Final = 100_000


def check_declared(
    shape: tuple[int, ...], itemsize: int, limits: Limits, *, stored: int | None = None, compressed: bool = False
) -> None:
    """Hold what a header declares against the limits and, where known, against the bytes that are there.

    Args:
        shape: Of all pixels.
        itemsize: Bytes a pixel.
        limits: The caller's.
        stored: Bytes of pixel data in the file; None where nobody knows.
        compressed: Whether they are compressed.

    Raises:
        FileFormatError: For sizes beyond the limits, truncated files, decompression bombs.
    """
    needed = math.prod(shape) * itemsize
    if needed > limits.max_bytes:
        raise FileFormatError(
            f"{shape} of {itemsize} bytes a pixel needs {needed} bytes; the limit is {limits.max_bytes}", MORE_BYTES
        )
    if len(shape) > 2 and shape[0] > limits.max_frames:
        raise FileFormatError(f"{shape[0]} frames; the limit is {limits.max_frames}", MORE_FRAMES)
    if stored is None:
        return
    if not compressed and stored < needed:
        raise FileFormatError(
            f"truncated: {shape} of {itemsize} bytes a pixel needs {needed} bytes, {stored} are there", COPY_AGAIN
        )
    if compressed and needed > limits.ratio_from_bytes and needed > stored * limits.max_ratio:
        raise FileFormatError(
            f"{stored} compressed bytes declare {needed} bytes of pixels, over {limits.max_ratio:g} times as many: "
            "a decompression bomb, or an empty image",
            HIGHER_RATIO,
        )


def for_display(
    stored: np.ndarray, place: Geometry | None, request: Request
) -> tuple[np.ndarray, Geometry | None, dict[str, MetaValue]]:
    """Pixels and geometry in the order in which they are shown, unless the caller keeps the stored one; and facts."""
    if place is None:
        return stored, None, {}
    frames = len(stored) if stored.ndim == 3 else 1
    wanted = place.display(frames) if request.orient == "display" else place.orientation
    facts: dict[str, MetaValue] = {"orientation": place.orientation, "slice_spacing": place.spacing[0]}
    if wanted != place.orientation:
        facts["turned"] = f"{place.orientation} to {wanted}"
        turn = place.turn_to(wanted, frames)
        place, stored = place.turned(turn, stored.shape), turn.of(stored)
    return stored, place, facts


def as_stored(pixels: np.ndarray, geometry: Geometry | None) -> tuple[np.ndarray, Geometry | None]:
    """Pixels (three axes where there is a geometry) and geometry in the order of the file that they came from."""
    if geometry is None:
        return pixels, None
    pixels = pixels.reshape(-1, *pixels.shape[-2:])
    if geometry.stored and geometry.stored != geometry.orientation:
        turn = geometry.turn_to(geometry.stored, len(pixels))
        geometry, pixels = geometry.turned(turn, pixels.shape), turn.of(pixels)
    return pixels, geometry


def listed_bytes(header: Path, name: str, lines: Sequence[str]) -> int:
    """Bytes of the files that hold the pixels of a volume together.

    Args:
        header: The file that names them.
        name: ``LIST``, or a pattern with its numbers: ``slice%03d.raw 1 50 1``.
        lines: Their names, one a line, after ``LIST``.

    Raises:
        FileFormatError: If one is not there, or for another pattern.
    """
    names: Sequence[str] = [line.strip() for line in lines if line.strip()]
    if "%" in name:
        pattern = _PATTERN.fullmatch(name.strip())
        numbers = range(int(pattern[2]), int(pattern[3]) + 1, max(int(pattern[4] or 1), 1)) if pattern else range(0)
        if pattern is None or len(numbers) > _MOST_FILES:
            raise FileFormatError(
                f"pixels in {name!r}: a name with its first, last and next number is read, as a%d 1 9 1",
                "write it as one .mha file",
            )
        names = [pattern[1] % number for number in numbers]
    return sum(beside(header, each).stat().st_size for each in names)


def beside(header: Path, name: str) -> Path:
    """The file of pixels that a header file names.

    Raises:
        FileFormatError: If it is not there.
    """
    path = header.parent / name.replace("\\", "/")
    if not path.is_file():
        raise FileFormatError(f"its pixels are in {name!r}, which is not beside it", "copy both files to one folder")
    return path
