"""``write_image``: one file of any format that is written, whole or not at all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from ctfast.batch.atomic import replacing, replacing_folder
from ctfast.batch.urls import place
from ctfast.errors import ArgumentError, DTypeError, ShapeError
from ctfast.files.formats import WRITTEN_ENDS, Compression, Format, by_extension, check_compression, written
from ctfast.files.geometry import Geometry
from ctfast.files.image import PIXEL_DTYPES, Image, MetaValue, Units, WriteOptions
from ctfast.files.units import PLAIN, is_unit

OutputFormat = str
Padding = float | tuple[float, float] | None
"""The value of pixels that are no data, or the lowest and the highest of theirs."""
_OWN_KEYS: Final = (
    *("ctfast", "units", "meaning", "padding", "padding_range_limit"),
    *("spacing_row", "spacing_column", "slice_spacing", "orientation", "affine"),
)


def write_image(
    path: str | Path,
    pixels: Image | Any,
    *,
    format: OutputFormat | None = None,
    compression: Compression = "none",
    level: int | None = None,
    units: Units | None = None,
    spacing: tuple[float, float] | None = None,
    slice_spacing: float | None = None,
    padding: Padding = None,
    geometry: Geometry | None = None,
    description: Mapping[str, MetaValue] | None = None,
    into: IO[bytes] | Path | None = None,
) -> None:
    """Write an image or a stack.

    Args:
        path: Where to, or a URL; an existing file is replaced.
        pixels: ``(H, W)`` or ``(frames, H, W)`` of uint8, int16, uint16, float32 or float64, any layout. PNG: one
            image of uint8 or uint16. Of an ``Image``, its units, spacing, padding and geometry are written with it,
            but for those that are given here.
        format: Name of a row in ``ctfast.files.formats``, such as ``"tiff"`` or ``"tif"``; by the extension when None.
        compression: ``"none"``, or one of the format's: TIFF ``"zlib"``, ``"zstd"`` or ``"lzw"`` (the last two need
            imagecodecs), MetaImage and NRRD ``"zlib"``, Zarr ``"zstd"``.
        level: Level of zlib (0 to 9) or zstd (1 to 22); without it that of the format's usual library.
        units: What the values are; ``read_image`` gives it back (all formats but NumPy's and PNG). Without it unknown.
        spacing: Row and column spacing in mm; formats without a place for it leave it out.
        slice_spacing: Distance of frames in mm, where no ``geometry`` tells it and ``spacing`` is known.
        padding: Value of padding pixels, or the lowest and highest of theirs (all formats but NumPy's and
            PNG).
        geometry: As of an ``Image``. NIfTI, MetaImage and NRRD: what was turned when it was read is written as it was
            stored. NIfTI without one has sform and qform code 0: unknown.
        description: Further facts for the JSON of TIFF and Zarr, flat, such as the pipeline's hash.
        into: A file that takes the bytes (Zarr: an empty folder); ``path`` then only tells the format, and nothing is
            written there.

    Raises:
        DTypeError, ShapeError, ArgumentError: For pixels or parameters that the format cannot hold.
        MissingDependencyError: If a package is needed; names the pip command.
        OSError: If the folder is not there or writing fails; nothing is left behind.
    """
    if isinstance(pixels, Image):
        image, pixels = pixels, pixels.pixels
        units = image.units if units is None else units
        spacing = image.spacing if spacing is None else spacing
        padding = image.padding_range if padding is None else padding
        geometry = image.geometry if geometry is None else geometry
        slice_spacing = slice_spacing_of(image) if slice_spacing is None else slice_spacing
    elif not isinstance(pixels, np.ndarray):
        pixels = np.asarray(pixels)
    path = place(path)
    kind = output_format(path) if format is None else written(format)
    options = checked_options(
        path,
        kind,
        pixels,
        compression=compression,
        level=level,
        units="unknown" if units is None else units,
        spacing=spacing,
        slice_spacing=slice_spacing,
        padding=padding,
        geometry=geometry,
        description=description,
    )
    if into is not None:
        kind.write(into, pixels, options)
    elif kind.folder:
        with replacing_folder(path) as folder:
            kind.write(folder, pixels, options)
    else:
        with replacing(path, "wb") as file:
            kind.write(file, pixels, options)


def checked_options(
    path: Path,
    kind: Format,
    pixels: np.ndarray,
    *,
    compression: Compression = "none",
    level: int | None = None,
    units: Units = "unknown",
    spacing: tuple[float, float] | None = None,
    slice_spacing: float | None = None,
    padding: Padding = None,
    geometry: Geometry | None = None,
    description: Mapping[str, MetaValue] | None = None,
) -> WriteOptions:
    """What a writer of this format is asked for; see ``write_image`` for the parameters and what is raised."""
    check_compression(kind, compression)
    if pixels.dtype.name not in PIXEL_DTYPES:
        raise DTypeError(f"pixels of {pixels.dtype.name} for {kind.title}; {', '.join(PIXEL_DTYPES)} are allowed")
    if pixels.ndim not in (2, 3) or pixels.size == 0:
        raise ShapeError(f"pixels of shape {pixels.shape}; (H, W) or (frames, H, W), not empty, is allowed")
    _check_numbers(spacing, padding)
    if geometry is not None and spacing is None:
        spacing = geometry.spacing[1:]
    if geometry is not None or spacing is None or pixels.ndim < 3:
        slice_spacing = None
    facts = _facts(units, spacing, padding, geometry, description)
    if slice_spacing is not None:
        if not (math.isfinite(slice_spacing) and slice_spacing > 0):
            raise ArgumentError(f"slice_spacing={slice_spacing!r}; a positive number in mm or None is allowed")
        facts["slice_spacing"] = float(slice_spacing)
    return WriteOptions(path, compression, level, units, spacing, geometry, facts, slice_spacing)


def slice_spacing_of(image: Image) -> float | None:
    """The distance of its frames in mm, as far as the reader found it."""
    known = image.meta.get("slice_spacing")
    return float(known) if isinstance(known, int | float) and math.isfinite(known) and known > 0 else None


def output_format(path: Path) -> Format:
    """The format that an output name asks for.

    Raises:
        ArgumentError: For an extension that is not written.
    """
    kind = by_extension(path, WRITTEN_ENDS)
    if kind is None:
        raise ArgumentError(f"{path.name!r}: extension is none of {', '.join(WRITTEN_ENDS)}")
    return kind


def _check_numbers(spacing: tuple[float, float] | None, padding: Padding) -> None:
    if spacing is not None and not (len(spacing) == 2 and all(math.isfinite(size) and size > 0 for size in spacing)):
        raise ArgumentError(f"spacing={spacing!r}; two positive numbers (row, column, in mm) or None are allowed")
    if not all(map(math.isfinite, _ends(padding))):
        raise ArgumentError(f"padding={padding!r}; a finite number, (low, high) or None is allowed")


def _ends(padding: Padding) -> tuple[float, ...]:
    """One number, two that differ, or none."""
    if padding is None:
        return ()
    return tuple(dict.fromkeys(map(float, padding))) if isinstance(padding, tuple) else (float(padding),)


def _facts(
    units: Units,
    spacing: tuple[float, float] | None,
    padding: Padding,
    geometry: Geometry | None,
    description: Mapping[str, MetaValue] | None,
) -> dict[str, MetaValue]:
    from ctfast import __version__

    if not is_unit(units):
        raise ArgumentError(f"units={units!r}; {', '.join(PLAIN)} or the name of a DICOM Rescale Type is allowed")
    facts: dict[str, MetaValue] = {"ctfast": __version__, "units": units}
    if spacing is not None:
        facts["spacing_row"], facts["spacing_column"] = float(spacing[0]), float(spacing[1])
    facts.update(zip(("padding", "padding_range_limit"), _ends(padding)))
    if geometry is not None:
        facts["orientation"], facts["affine"] = geometry.orientation, geometry.text()
    for key, value in (description or {}).items():
        flat = value is None or isinstance(value, str | int | float | bool)
        if key in _OWN_KEYS or not flat or (isinstance(value, float) and not math.isfinite(value)):
            raise ArgumentError(
                f"description[{key!r}]={value!r}; text, finite numbers, True, False and None are allowed, "
                f"under other names than {', '.join(_OWN_KEYS)}"
            )
        facts[key] = value
    return facts
