"""What files with several arrays in them share: which one is meant, and how it becomes an image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from ctfast.axis_names import elsewhere
from ctfast.errors import FileFormatError
from ctfast.files._convert import count_nonfinite, linear, to_supported
from ctfast.files._volume import PIXEL_TYPES, check_declared, image_shape
from ctfast.files.image import Image, MetaValue, Request
from ctfast.files.next_steps import SAVE_NUMBERS
from ctfast.files.npy import check_shape

PACKING: Final = ("scale_factor", "add_offset", "_FillValue", "missing_value")
"""Attributes of an array that say what its numbers stand for."""


def can_be_image(shape: tuple[int, ...], dtype: np.dtype) -> bool:
    """Whether an array has the axes and numbers of an image or a volume."""
    return dtype.name in PIXEL_TYPES and sum(size > 1 for size in shape) in (2, 3)


def the_one(names: Sequence[str], request: Request) -> str:
    """The only array that can be an image.

    Raises:
        FileFormatError: for none or several, which are named with what to write.
    """
    if len(names) == 1:
        return names[0]
    if not names:
        raise FileFormatError(
            "no array of two or three axes of numbers in it", "name the data set that holds the image: FILE::/PATH"
        )
    listed = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    raise FileFormatError(f"{len(names)} arrays ({listed})", f"name one: {request.path}::/{names[0].strip('/')}")


def declared(
    shape: tuple[int, ...],
    dtype: np.dtype,
    request: Request,
    *,
    stored: int | None,
    chunks: tuple[int, ...] | None,
    names: Sequence[Any] = (),
) -> tuple[int, ...]:
    """The shape that is read, without leading axes of length 1, after it was held against the limits.

    Args:
        shape: As declared.
        dtype: The same.
        request: What is asked for.
        stored: Compressed bytes; None where they are not compressed.
        chunks: Shape of what is decompressed at once, which may be larger than the array; None for the array.
        names: Of the axes, as far as the file names them.

    Raises:
        FileFormatError: for other ranks and dtypes, axes whose names say another order, and sizes beyond the limits.
    """
    if dtype.name not in PIXEL_TYPES:
        raise FileFormatError(f"holds {dtype}, not numbers", SAVE_NUMBERS)
    kept = image_shape(shape)
    check_shape(kept, request.axes)
    if request.axes == "auto" and len(kept) == 3 and elsewhere(own := list(names)[-3:]):
        raise FileFormatError(
            f"its axes are named {', '.join(map(str, own))}, which is not frames, rows, columns",
            "say which by axes='last' or axes='first' (--axes)",
        )
    check_declared(kept, dtype.itemsize, request.limits, stored=stored, compressed=True)
    if chunks is not None:
        check_declared(chunks, dtype.itemsize, replace(request.limits, max_frames=max(chunks)))
    return kept


def as_image(
    values: np.ndarray,
    request: Request,
    format: str,
    facts: dict[str, MetaValue],
    attributes: Mapping[str, Any] = MappingProxyType({}),
) -> Image:
    """Values of a checked shape as an image of unknown units.

    Args:
        attributes: Of the array. ``scale_factor``, ``add_offset`` and ``_FillValue``, as netCDF and xarray write them
            (CF conventions 2.5.1 and 8.1), count, and ``missing_value`` where there is no ``_FillValue``.
    """
    if request.axes == "last" and values.ndim == 3:
        values = np.moveaxis(values, -1, 0)
    slope, intercept, fill, older = (_number(attributes, name) for name in PACKING)
    fill = older if fill is None else fill
    if request.units == "stored":
        slope = intercept = None
    line = 1.0 if slope is None else slope, 0.0 if intercept is None else intercept
    if line[0] == 0:
        raise FileFormatError("scale_factor 0 leaves no image", "correct it, or take the numbers as stored")
    plain = line == (1.0, 0.0)
    pixels = to_supported(values, request.allocate) if plain else linear(values, *line, request.allocate, narrow=True)
    if not plain:
        facts = {**facts, "rescale_slope": line[0], "rescale_intercept": line[1]}
    meta = {"stored_dtype": values.dtype.newbyteorder("=").name, **facts, **count_nonfinite(pixels)}
    padding = None if fill is None else fill * line[0] + line[1]
    return Image(pixels, "unknown", request.path, format, padding, meta=meta)


def _number(attributes: Mapping[str, Any], name: str) -> float | None:
    """An attribute that is one finite number; HDF5 has arrays of one."""
    value = np.asarray(attributes.get(name))
    number = float(value.item()) if value.size == 1 and value.dtype.kind in "iuf" else math.nan
    return number if math.isfinite(number) else None


def fill_note(missing: int, parts: int, value: object, called: str = "chunks") -> dict[str, MetaValue]:
    """A note for chunks that nobody wrote, which are read as the fill value."""
    return {"notes": f"{missing} of {parts} {called} are not there: read as {value}"} if missing else {}
