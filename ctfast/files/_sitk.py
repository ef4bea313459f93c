"""Reading by SimpleITK: MetaImage and NRRD, after their headers were held against the limits."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from ctfast.errors import FileFormatError
from ctfast.files._convert import count_nonfinite, linear, to_supported
from ctfast.files._own_facts import padding_of_text
from ctfast.files._volume import PIXEL_TYPES, check_declared, for_display, image_shape
from ctfast.files.geometry import Geometry
from ctfast.files.image import Image, MetaValue, Request
from ctfast.files.next_steps import COPY_AGAIN, SAVE_NUMBERS, WRITE_AGAIN
from ctfast.files.units import is_unit

UNITS_KEY: Final = "ctfast_units"
PADDING_KEY: Final = "ctfast_padding"
HEADER_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a format's own look at a header says.

    Attributes:
        placed: Whether the file says where its pixels are in the patient.
        spaced: Whether it says how far apart they are.
        frames_spaced: Whether it says so of frames.
        length: Millimetres of its unit of length; None where nobody knows that, and so not how far apart they are.
        data_bytes: Bytes of pixel data; None where only decoding tells.
        compressed: Whether they are compressed.
        text: Whether they are numbers as text, at least a digit and a space each.
        elsewhere: The name of the files that hold the pixels, where the file itself does not.
        inflate: Gives the pixels of a shape and dtype where SimpleITK is not to decode them.
        slope, intercept: What turns stored values into those that are meant.
    """

    placed: bool
    spaced: bool
    data_bytes: int | None
    compressed: bool
    frames_spaced: bool = True
    length: float | None = 1.0
    text: bool = False
    elsewhere: str = ""
    inflate: Callable[[tuple[int, ...], np.dtype], np.ndarray] | None = None
    slope: float = 1.0
    intercept: float = 0.0


def version() -> tuple[int, ...]:
    """SimpleITK's, such as ``(2, 5, 6)``."""
    import SimpleITK as sitk

    return tuple(int(part) for part in sitk.__version__.split(".")[:3] if part.isdigit())


def read_by_sitk(request: Request, name: str, look: Callable[[Request], Header]) -> Image:
    """Read a volume whose header is harmless.

    Args:
        request: What is asked for.
        name: Of the format; SimpleITK's is made of it.
        look: The format's own look at the header.

    Raises:
        FileFormatError: For time series, colour, damaged data, sizes beyond the limits, and for bytes in memory whose
            pixels lie in other files, which they must not choose.
    """
    with request.on_disk() as file:
        header = look(file)
        if request.apart and header.elsewhere:
            raise FileFormatError(f"its pixels are in {header.elsewhere!r}", "give the file by its name")
        return replace(_read(file, name, header), source=request.path)


def _read(request: Request, name: str, header: Header) -> Image:
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetImageIO({"metaimage": "MetaImageIO", "nrrd": "NrrdImageIO"}[name])
    reader.SetFileName(str(request.path))
    with _short_errors():
        reader.ReadImageInformation()
    axes = reader.GetSize()
    if reader.GetNumberOfComponents() != 1:
        raise FileFormatError(
            f"{reader.GetNumberOfComponents()} values a pixel (colour or vectors)", "save one channel"
        )
    shape = image_shape(tuple(axes[::-1]))
    dtype = _dtype(reader)
    check_declared(shape, dtype.itemsize, request.limits, stored=header.data_bytes, compressed=header.compressed)
    if header.text:
        check_declared(shape, 2, request.limits, stored=request.size())
    if header.inflate is None:
        with _short_errors():
            volume = reader.Execute()  # by name, because the view below does not keep it
        stored = sitk.GetArrayViewFromImage(volume).reshape(shape)
    else:
        stored = header.inflate(shape, dtype)
    place = _geometry(reader, header.length) if header.placed and header.length else None
    stored, place, facts = for_display(stored, place, request)
    slope, intercept = (1.0, 0.0) if request.units == "stored" else (header.slope, header.intercept)
    if (slope, intercept) == (1.0, 0.0):
        pixels = to_supported(stored, request.allocate)
    else:
        pixels = linear(stored, slope, intercept, request.allocate, narrow=True)
    meta: dict[str, MetaValue] = {"stored_dtype": dtype.name, "rescale_slope": slope, "rescale_intercept": intercept}
    meta.update(facts)
    meta.update(count_nonfinite(pixels))
    spacing = place.spacing[1:] if place else None
    if spacing is None and header.spaced and header.length:
        column, row, *frame = (float(size) * header.length for size in reader.GetSpacing()[:3])
        spacing = (row, column)
        meta.update({"slice_spacing": frame[0]} if frame and header.frames_spaced else {})
    padding, of_range = padding_of_text(_own(reader, PADDING_KEY))
    units = _own(reader, UNITS_KEY)
    meta.update(of_range)
    return Image(pixels, units if is_unit(units) else "unknown", request.path, name, padding, spacing, meta, place)


def _dtype(reader: Any) -> np.dtype:
    import SimpleITK as sitk

    text = sitk.GetPixelIDValueAsString(reader.GetPixelIDValue())
    match = re.fullmatch(r"(?:vector of )?(\d+)-bit (signed integer|unsigned integer|float)", text)
    name = "".join([{"s": "int", "u": "uint", "f": "float"}[match[2][0]], match[1]]) if match else text
    if name not in PIXEL_TYPES:
        raise FileFormatError(f"pixels of type {text} are not supported; one number a pixel is needed", SAVE_NUMBERS)
    return np.dtype(name)


def _geometry(reader: Any, length: float) -> Geometry | None:
    """SimpleITK's axes are columns, rows, frames; its millimetres are the patient's in LPS, as ours."""
    axes = reader.GetDimension()
    if axes < 3:  # the plane of a single 2-D image is not in the file
        return None
    direction = np.reshape(reader.GetDirection(), (axes, axes))[:3, :3] * np.array(reader.GetSpacing()[:3])
    return Geometry.of(np.column_stack([direction[:, ::-1], reader.GetOrigin()[:3]]) * length)


def _own(reader: Any, key: str) -> str:
    """What a file of our own says; empty in others."""
    return str(reader.GetMetaData(key)) if key in reader.GetMetaDataKeys() else ""


@contextmanager
def _short_errors() -> Iterator[None]:
    """ITK's errors begin with the whereabouts in its sources; its last line is what happened."""
    try:
        yield
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise FileFormatError(f"SimpleITK cannot read it ({lines[-1]})", f"{COPY_AGAIN}, or {WRITE_AGAIN}") from error


def inflated(path: Path, start: int, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Pixels of a zlib or gzip stream that begins at a byte of a file, up to its checksum.

    Never more bytes are kept than are declared.

    Raises:
        FileFormatError: If fewer are there, or the checksum is not.
    """
    with path.open("rb") as file:
        file.seek(start)
        data = file.read()
    needed = math.prod(shape) * dtype.itemsize
    stream = zlib.decompressobj(wbits=47)  # zlib or gzip
    pixels = stream.decompress(data, needed)
    if len(pixels) < needed:
        raise FileFormatError(f"truncated: {needed} bytes of pixels are declared, {len(pixels)} are there", COPY_AGAIN)
    while not stream.eof:  # what is more than declared is not kept; zlib.error where the checksum is another
        if not (stream.decompress(stream.unconsumed_tail, 1 << 20) or stream.eof):
            raise FileFormatError("truncated: the checksum after the pixels is missing", COPY_AGAIN)
    return np.frombuffer(pixels, dtype).reshape(shape)


def header_text(request: Request, ends: Callable[[bytes], int]) -> tuple[str, int]:
    """The header of a file and its length.

    Args:
        request: What is asked for.
        ends: The length of the header in the given bytes, -1 if it goes on.
    """
    head, end = request.head, ends(request.head)
    if end < 0:
        with request.open() as file:
            head = file.read(HEADER_BYTES)
        end = ends(head)
    if end < 0:
        end = len(head)
    return head[:end].decode("latin-1"), end
