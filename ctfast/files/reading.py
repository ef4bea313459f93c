"""``read_image``: format by content, one reader a format, one kind of error."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ctfast.batch.choices import AXES, ORIENT, Axes, Dataset, Orient, UnitsChoice, check_choice
from ctfast.batch.inside import split
from ctfast.batch.urls import Url
from ctfast.errors import ArgumentError, FileFormatError
from ctfast.files._convert import linear
from ctfast.files._decoder_errors import callers, decoding
from ctfast.files.datasets import hu_offset
from ctfast.files.image import Allocate, Image, Limits, Request
from ctfast.files.in_memory import Bytes, Readable, in_memory, remote_bytes
from ctfast.files.recognize import HEAD_BYTES, check_format, format_of, read_head
from ctfast.files.units import doubt, is_another_unit
from ctfast.files.values import Values

_DEFAULT_LIMITS = Limits()


def read_image(
    path: str | Path | Bytes | Readable,
    *,
    units: UnitsChoice = "auto",
    limits: Limits = _DEFAULT_LIMITS,
    allocate: Allocate | None = None,
    orient: Orient = "display",
    axes: Axes = "auto",
    offset: int = 0,
    dataset: Dataset = "none",
    data: bytes | None = None,
) -> Image:
    """Read a CT image file of any format that ``ctfast.files.formats.READ`` lists.

    Args:
        path: The file; ``FILE::/PATH`` names a data set inside of an HDF5 file or a Zarr store. Its content decides on
            the format; a known extension must agree. A URL (``s3://bucket/slice.dcm``) is taken as a path is. Or its
            bytes, or a file that is open for them (by ``open(..., "rb")``, ``io.BytesIO``, of fsspec), which is read
            from where it stands to its end: their content alone decides.
        units: ``"auto"``: HU where the file (or the Kaggle name) says so and the values can be HU; ``"hu"``: the caller
            knows that they are (a DICOM rescale is still applied; a file that names another unit keeps it);
            ``"stored"``: the numbers as stored, nothing applied.
        limits: Sizes beyond which nothing is decoded.
        allocate: Gives the array for the pixels, for memory that has to be the caller's own (page-locked, shared). It
            is called with their final shape and dtype, at most once and as late as these are known, and the last step
            of reading writes to what it gives: C-contiguous and writable, of that shape and dtype. What it raises is
            raised as it is. A file that fails after that leaves the array with any content.

        orient: ``"display"``: volumes whose file stores its axes in any order (NIfTI) are turned to axial frames with
            columns to the patient's left and rows to the back, as axial DICOM slices come; ``"keep"``: as stored.

        axes: Where slices lie in a plain array (``.npy``) of three axes: ``"first"``, ``"last"``, or ``"auto"``: first,
            and an array whose shape speaks for last is refused.
        offset: Added to the values, for data sets that document one; what they are then is unknown unless ``units``
            says it.
        dataset: A public set that the file may be of: with ``"deeplesion"``, 16-bit PNG are HU + 32768 and become HU.
            Other files are read as ever.
        data: All bytes of the file, where the caller has read them; ``path`` then names them.

    Returns:
        The image; see ``Image`` for shape, dtype and units. With ``allocate``, its pixels are the array that was given.

    Raises:
        OSError: If the file is not there or cannot be opened.
        FileFormatError: If it cannot be read as what it claims to be; names the file and the reason.
        MissingDependencyError: If an optional package is needed; names the pip command.
        ArgumentError: For what is no path, bytes or open binary file; for other ``units``; for both ``offset`` and
            ``dataset``; for another array from ``allocate`` than was asked for.
    """
    Values(units, offset, dataset)
    check_choice("orient", orient, ORIENT, ArgumentError)
    check_choice("axes", axes, AXES, ArgumentError)
    apart = not isinstance(path, str | Path)
    if isinstance(path, str | Path):
        path, inside = split(path)
        if isinstance(path, Url):
            data, apart = data or remote_bytes(path), True
        head = data[:HEAD_BYTES] if data else read_head(path)
        kind = check_format(path, head)
    else:
        path, data = in_memory(path, limits)
        inside, head = "", data[:HEAD_BYTES]
        kind = format_of(path, head)
    if inside and not kind.data_sets:
        raise FileFormatError(f"{path}: {kind.title} holds one image", f"give it without ::{inside}")
    to_hu = None if units == "stored" else hu_offset(dataset, kind.name, head)
    added = offset if to_hu is None else to_hu
    own = None if allocate is None else callers(_checked(allocate))
    with decoding(path, kind.title):
        place = None if added else own
        image = kind.read(Request(path, head, units, limits, place, orient, axes, inside, data or None, apart))
        if added:
            image = _moved(image, added, own)
        if image.meta.get("nonfinite"):
            image = replace(image, meta=image.noted("some pixels are NaN or infinite"))
    if to_hu is not None:
        image = replace(image, units="hu")
    return with_units(image, units)


def read_as(path: str | Path, values: Values, limits: Limits = _DEFAULT_LIMITS) -> Image:
    """``read_image`` with what the caller knows of the values; raises what it raises."""
    return read_image(path, units=values.units, limits=limits, offset=values.offset, dataset=values.dataset)


def _moved(image: Image, offset: int, allocate: Allocate | None) -> Image:
    pixels = linear(image.pixels, 1.0, float(offset), allocate)
    padding = None if image.padding is None else image.padding + offset
    meta = image.noted(f"{offset} was added")
    if isinstance(limit := meta.get("padding_range_limit"), int | float):
        meta["padding_range_limit"] = limit + offset
    units = "unknown" if image.units == "hu" else image.units
    return replace(image, pixels=pixels, padding=padding, units=units, meta=meta)


def with_units(image: Image, choice: UnitsChoice, *, trusted: bool = False) -> Image:
    """Units as the caller says, else as the file says, unless its values, where not trusted, speak against it."""
    if choice == "stored":
        return replace(image, units="stored")
    if choice == "hu":
        if not is_another_unit(image.units):
            return replace(image, units="hu")
        return replace(image, meta=image.noted(f"the file names {image.units} as its unit: not taken as HU"))
    reason = doubt(image) if image.units == "hu" and not trusted else ""
    return replace(image, units="unknown", meta=image.noted(f"values cannot be HU: {reason}")) if reason else image


def _checked(allocate: Allocate) -> Allocate:
    def checked(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        array = allocate(shape, dtype)
        if array.shape != shape or array.dtype != dtype or not (array.flags.c_contiguous and array.flags.writeable):
            raise ArgumentError(
                f"allocate gave an array of shape {array.shape} and dtype {array.dtype}; {shape} and {dtype}, "
                "C-contiguous and writable, are needed"
            )
        return array

    return checked
