"""How the pixels of a DICOM data set lie in it, as its header says.

Source: DICOM PS3.5 8.1 (bits allocated, bits stored, high bit), PS3.3 C.7.6.3.1 (pixel representation).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ctfast.errors import FileFormatError
from ctfast.files._dicom_tags import has, number, text
from ctfast.files.image import Limits
from ctfast.files.next_steps import MORE_BYTES, WRITE_AGAIN

FLOATS = {"FloatPixelData": "<f4", "DoubleFloatPixelData": "<f8"}


@dataclass(frozen=True, slots=True)
class Layout:
    """How the pixel data lie in the data set."""

    frames: int
    rows: int
    columns: int
    allocated: int
    stored: int
    high_bit: int
    signed: bool
    white_is_low: bool
    keyword: str

    @property
    def shape(self) -> tuple[int, ...]:
        """``(H, W)``, or ``(frames, H, W)`` for more than one frame."""
        return (self.rows, self.columns) if self.frames == 1 else (self.frames, self.rows, self.columns)

    @property
    def below(self) -> int:
        """One less than the stored bits can hold: what padding becomes that lies beyond them."""
        return (-(1 << (self.stored - 1)) if self.signed else 0) - 1

    @property
    def nbytes(self) -> int:
        """Decoded size of all frames."""
        return math.prod(self.shape) * self.allocated // 8


def layout(ds: Any, limits: Limits) -> Layout:
    """Read and check the image pixel module.

    Raises:
        FileFormatError: For missing tags, colour, sizes beyond ``limits``, bits that are not supported.
    """
    keyword = next((name for name in ("PixelData", *FLOATS) if has(ds, name)), None)
    if keyword is None:
        raise FileFormatError(
            "no pixel data (a DICOMDIR, a report, or a header alone?)", "give the files of the images themselves"
        )
    photometric = text(ds, "PhotometricInterpretation").upper() or "MONOCHROME2"
    samples = _whole(ds, "SamplesPerPixel", 1)
    if samples != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise FileFormatError(
            f"{photometric} with {samples} samples a pixel is colour, not grey", "export the original series instead"
        )
    allocated = _whole(ds, "BitsAllocated", {"FloatPixelData": 32, "DoubleFloatPixelData": 64}.get(keyword))
    allowed = {"FloatPixelData": (32,), "DoubleFloatPixelData": (64,)}.get(keyword, (8, 16, 32))
    stored = _whole(ds, "BitsStored", allocated)
    high_bit = _whole(ds, "HighBit", stored - 1)
    if allocated not in allowed or not stored - 1 <= high_bit < allocated or not 2 <= stored <= allocated:
        raise FileFormatError(
            f"{allocated} bits allocated, {stored} stored, high bit {high_bit}: not supported, 8, 16 and 32 are",
            "export the original series instead",
        )
    result = Layout(
        frames=_whole(ds, "NumberOfFrames", 1) or 1,  # 0 beside pixels is one frame, as pydicom reads it
        rows=_whole(ds, "Rows", None),
        columns=_whole(ds, "Columns", None),
        allocated=allocated,
        stored=stored,
        high_bit=high_bit,
        signed=_whole(ds, "PixelRepresentation", 0) == 1,
        white_is_low=photometric == "MONOCHROME1",
        keyword=keyword,
    )
    if min(result.rows, result.columns, result.frames) < 1:
        raise FileFormatError(f"shape {(result.frames, result.rows, result.columns)} is empty", WRITE_AGAIN)
    if result.frames > limits.max_frames or result.nbytes > limits.max_bytes:
        raise FileFormatError(
            f"declares {result.frames} frames, {result.nbytes} bytes of pixels; "
            f"the limits are {limits.max_frames} and {limits.max_bytes}",
            f"{MORE_BYTES}, or max_frames=...",
        )
    return result


def _whole(ds: Any, keyword: str, default: int | None) -> int:
    try:
        value = number(ds, keyword)
    except ValueError as error:
        raise FileFormatError(f"{keyword} is no whole number", f"correct {keyword}, or {WRITE_AGAIN}") from error
    if value is None:
        if default is None:
            raise FileFormatError(f"{keyword} is missing", f"add {keyword}, or {WRITE_AGAIN}")
        return default
    if not value.is_integer():
        raise FileFormatError(f"{keyword} is {value:g}, no whole number", f"correct {keyword}, or {WRITE_AGAIN}")
    return int(value)
