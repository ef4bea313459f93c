"""``write_image``: TIFF, ``.npy``, NIfTI and PNG, whole or not at all.

The file is written under a temporary, hidden name in the same folder and renamed: a reader never sees half of it, and
a failure leaves an older file as it was.
"""

from __future__ import annotations

import json
import math
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, Literal, get_args

import numpy as np

from ctfast.errors import ArgumentError, DTypeError, MissingDependencyError, ShapeError
from ctfast.files.image import PIXEL_DTYPES, MetaValue, Units

OutputFormat = Literal["tiff", "npy", "nifti", "png"]
Compression = Literal["none", "zlib", "zstd", "lzw"]

OUTPUT_EXTENSIONS: Final[dict[str, OutputFormat]] = {
    ".tif": "tiff",
    ".tiff": "tiff",
    ".npy": "npy",
    ".nii": "nifti",
    ".nii.gz": "nifti",
    ".png": "png",
}
_OWN_KEYS: Final = ("ctfast", "units", "meaning", "padding", "spacing_row", "spacing_column")


def write_image(
    path: str | Path,
    pixels: np.ndarray,
    *,
    format: OutputFormat | None = None,
    compression: Compression = "none",
    level: int | None = None,
    units: Units = "unknown",
    spacing: tuple[float, float] | None = None,
    padding: float | None = None,
    description: Mapping[str, MetaValue] | None = None,
) -> None:
    """Write an image or a stack.

    Args:
        path: Where to; an existing file is replaced.
        pixels: ``(H, W)`` or ``(frames, H, W)`` of uint8, int16, uint16, float32 or float64, any layout. PNG: one
            image of uint8 or uint16.
        format: By the extension when None.
        compression: TIFF only: ``"none"``, ``"zlib"``, ``"zstd"`` or ``"lzw"`` (the last two need imagecodecs).
        level: Level of zlib (0 to 9) or zstd (1 to 22); the library's own when None.
        meaning: What the values are; ``read_image`` gives it back (TIFF, NIfTI).
        spacing: Row and column spacing in mm (TIFF, NIfTI).
        padding: Value of padding pixels (TIFF).
        description: Further facts for the TIFF's JSON description, flat, such as the pipeline's hash.

    Raises:
        DTypeError, ShapeError, ArgumentError: For pixels or parameters that the format cannot hold.
        MissingDependencyError: If a package is needed; names the pip command.
        OSError: If the folder is not there or writing fails; nothing is left behind.
    """
    path = Path(path)
    kind = format if format is not None else output_format(path)
    if kind not in get_args(OutputFormat):
        raise ArgumentError(f"format={format!r}; {', '.join(get_args(OutputFormat))} are allowed")
    if compression not in get_args(Compression) or (compression != "none" and kind != "tiff"):
        raise ArgumentError(
            f"compression={compression!r} for {kind}; TIFF allows {', '.join(get_args(Compression))}, others none"
        )
    _check_pixels(pixels, kind)
    _check_numbers(spacing, padding)
    facts = _facts(units, spacing, padding, description)
    if kind == "tiff":
        _check_codec(compression, level)
        with _replacing(path) as file:
            _write_tiff(file, pixels, compression, level, spacing, facts)
    elif kind == "npy":
        with _replacing(path) as file:
            np.lib.format.write_array(file, np.ascontiguousarray(pixels), allow_pickle=False)
    elif kind == "png":
        from ctfast.files.png import write_png

        with _replacing(path) as file:
            write_png(file, pixels)
    else:
        from ctfast.files.nifti import write_nifti

        with _replacing(path) as file:
            write_nifti(file, pixels, units, spacing, compress=path.name.lower().endswith(".gz"))


def output_format(path: Path) -> OutputFormat:
    """The format that an output name asks for.

    Raises:
        ArgumentError: For an extension that is not written.
    """
    name = path.name.lower()
    for known, kind in OUTPUT_EXTENSIONS.items():
        if name.endswith(known):
            return kind
    raise ArgumentError(f"{path.name!r}: extension is none of {', '.join(OUTPUT_EXTENSIONS)}")


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A new file that takes the place of ``path`` once it is complete, and vanishes if anything fails."""
    temporary = path.with_name(f".ctfast-{os.getpid()}-{secrets.token_hex(6)}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _check_pixels(pixels: np.ndarray, kind: OutputFormat) -> None:
    allowed = PIXEL_DTYPES if kind != "png" else ("uint8", "uint16")
    if pixels.dtype.name not in allowed:
        raise DTypeError(f"pixels of {pixels.dtype.name} for {kind}; {', '.join(allowed)} are allowed")
    if pixels.ndim not in ((2,) if kind == "png" else (2, 3)) or pixels.size == 0:
        wanted = "(H, W)" if kind == "png" else "(H, W) or (frames, H, W)"
        raise ShapeError(f"pixels of shape {pixels.shape} for {kind}; {wanted}, not empty, is allowed")


def _check_numbers(spacing: tuple[float, float] | None, padding: float | None) -> None:
    if spacing is not None and not (len(spacing) == 2 and all(math.isfinite(size) and size > 0 for size in spacing)):
        raise ArgumentError(f"spacing={spacing!r}; two positive numbers (row, column, in mm) or None are allowed")
    if padding is not None and not math.isfinite(padding):
        raise ArgumentError(f"padding={padding!r}; a finite number or None is allowed")


def _facts(
    units: Units,
    spacing: tuple[float, float] | None,
    padding: float | None,
    description: Mapping[str, MetaValue] | None,
) -> dict[str, MetaValue]:
    from ctfast import __version__

    if units not in get_args(Units):
        raise ArgumentError(f"units={units!r}; {', '.join(get_args(Units))} are allowed")
    facts: dict[str, MetaValue] = {"ctfast": __version__, "units": units}
    if spacing is not None:
        facts["spacing_row"], facts["spacing_column"] = float(spacing[0]), float(spacing[1])
    if padding is not None:
        facts["padding"] = float(padding)
    for key, value in (description or {}).items():
        flat = value is None or isinstance(value, str | int | float | bool)
        if key in _OWN_KEYS or not flat or (isinstance(value, float) and not math.isfinite(value)):
            raise ArgumentError(
                f"description[{key!r}]={value!r}; text, finite numbers, True, False and None are allowed, "
                f"under other names than {', '.join(_OWN_KEYS)}"
            )
        facts[key] = value
    return facts


def _check_codec(compression: Compression, level: int | None) -> None:
    most = {"zlib": 9, "zstd": 22}.get(compression)
    if level is not None and (most is None or not 0 <= level <= most):
        raise ArgumentError(f"level={level} for {compression}; zlib takes 0 to 9, zstd 0 to 22, others none")
    if compression in ("zstd", "lzw"):
        try:
            import imagecodecs  # noqa: F401
        except ImportError as error:
            raise MissingDependencyError(
                f'compression {compression} needs imagecodecs: pip install "ctfast[codecs]"'
            ) from error


def _write_tiff(
    file: IO[bytes],
    pixels: np.ndarray,
    compression: Compression,
    level: int | None,
    spacing: tuple[float, float] | None,
    facts: Mapping[str, MetaValue],
) -> None:
    import tifffile

    frames = pixels.reshape(-1, *pixels.shape[-2:])
    # Differences of neighbours compress far better. The float predictor needs imagecodecs to read, so zlib files do
    # without and stay readable everywhere.
    predictor = (
        None if compression == "none" else 2 if pixels.dtype.kind in "iu" else 3 if compression != "zlib" else None
    )
    options: dict[str, Any] = {
        "photometric": "minisblack",
        "metadata": None,
        "software": f"ctfast {facts['ctfast']}",
        "compression": None if compression == "none" else compression,
        "compressionargs": None if level is None else {"level": level},
        "predictor": predictor,
        "maxworkers": 1,
    }
    if spacing is not None:
        options["resolution"], options["resolutionunit"] = (10 / spacing[1], 10 / spacing[0]), "CENTIMETER"
    text = json.dumps(facts, allow_nan=False)
    with tifffile.TiffWriter(file, bigtiff=pixels.nbytes > 0xF0000000) as writer:
        for number, frame in enumerate(frames):
            writer.write(np.ascontiguousarray(frame), description=text if number == 0 else None, **options)
