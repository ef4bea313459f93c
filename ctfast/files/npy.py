"""NumPy ``.npy`` files: plain arrays only, never pickles.

Policy: what the values mean is not in the file (``"unknown"``); an array whose last of three axes is 3 or 4 is refused
as colour or ambiguous, one whose shape speaks for slices last (two equal axes, then another; or a last axis much
shorter than the others) unless ``axes`` says where they are; float64 whole numbers that fit become int16, as for TIFF.
"""

from __future__ import annotations

import math
from typing import IO, Final

import numpy as np

from ctfast.batch.choices import Axes
from ctfast.errors import FileFormatError
from ctfast.files._convert import room, to_supported
from ctfast.files.image import KEPT_DTYPES, Image, Request, WriteOptions
from ctfast.files.next_steps import COPY_AGAIN, MORE_BYTES, SAVE_NUMBERS

_MUCH_SHORTER: Final = 4


def read_npy(request: Request) -> Image:
    """Read ``(H, W)`` or ``(frames, H, W)`` from a ``.npy`` file.

    Raises:
        FileFormatError: For pickled objects, other ranks or dtypes, truncated files, sizes beyond ``limits``.
    """
    path, limits, allocate = request.path, request.limits, request.allocate
    with request.open() as file:
        shape, by_column, dtype = read_header(file)
        if dtype.hasobject or dtype.kind not in "iuf":
            raise FileFormatError(f"holds {dtype}, not numbers; integers and floats are read", SAVE_NUMBERS)
        check_shape(shape, request.axes)
        needed = math.prod(shape) * dtype.itemsize
        if needed > limits.max_bytes:
            raise FileFormatError(f"{shape} {dtype} needs {needed} bytes; the limit is {limits.max_bytes}", MORE_BYTES)
        there = request.size() - file.tell()
        if there < needed:
            raise FileFormatError(f"truncated: {shape} {dtype} needs {needed} bytes, {there} are there", COPY_AGAIN)
        last = request.axes == "last" and len(shape) == 3
        if dtype.name in KEPT_DTYPES and dtype.isnative and not by_column and not last:
            pixels = room(shape, dtype, allocate)
            there = file.readinto(pixels.data)  # type: ignore[attr-defined]  # both kinds of files have it
            if there < needed:
                raise FileFormatError(f"truncated while it was read: {there} of {needed} bytes", COPY_AGAIN)
        else:
            file.seek(0)
            array = np.lib.format.read_array(file, allow_pickle=False)
            pixels = to_supported(np.moveaxis(array, -1, 0) if last else array, allocate)
    return Image(pixels, "unknown", path, "npy", meta={"stored_dtype": dtype.newbyteorder("=").name})


def read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether columns come first, and dtype of an array whose pixels follow in ``file``."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(file)
    raise FileFormatError(f".npy version {version} is not supported; versions 1 and 2 are", "save it with numpy.save")


def check_shape(shape: tuple[int, ...], axes: Axes) -> None:
    """Refuse what is no image or stack of images."""
    if len(shape) not in (2, 3) or min(shape) < 1:
        raise FileFormatError(
            f"shape {shape} is no image; (H, W) and (frames, H, W) are read", "save one image or one stack a file"
        )
    if len(shape) == 2 or axes != "auto":
        return
    first, second, third = shape
    if third in (3, 4):
        raise FileFormatError(
            f"shape {shape} may be colour or a stack of very narrow images", "save one channel as (H, W)"
        )
    if first == second != third or third * _MUCH_SHORTER <= min(first, second):
        raise FileFormatError(
            f"shape {shape} may be {third} slices of {first} x {second}, slices last, or {first} frames of "
            f"{second} x {third}",
            "say which by axes='last' or axes='first' (--axes)",
        )


def write_npy(file: IO[bytes], pixels: np.ndarray, options: WriteOptions) -> None:
    """Write the array alone; the format has no place for anything else."""
    np.lib.format.write_array(file, np.ascontiguousarray(pixels), allow_pickle=False)
