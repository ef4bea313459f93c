"""TIFF by tifffile, with what ``read_image`` needs to give back the same image in its description."""

from __future__ import annotations

import json
import math
from typing import IO, Any, Final

import numpy as np

from ctfast.errors import ArgumentError, missing_extra
from ctfast.files._tiff_plain import plain_header
from ctfast.files.image import WriteOptions

_LARGEST_PLAIN: Final = 64 << 20  # bytes of one page up to which a header is kept for others of its shape
_BIG: Final = 0xF0000000  # bytes from which BigTIFF is written; plain TIFF ends at 2**32 with its directories


def write_tiff(file: IO[bytes], pixels: np.ndarray, options: WriteOptions) -> None:
    """Write each image as a page; the first page's description is the JSON of ``options.facts``.

    Raises:
        ArgumentError: For a level that the compression does not know.
        MissingDependencyError: If the compression needs imagecodecs, which is not there.
    """
    import tifffile

    _check_codec(options.compression, options.level)
    text = json.dumps(options.facts, allow_nan=False)
    if pixels.ndim == 2:
        head = plain_head(pixels.shape, pixels.dtype, text, options)
        if head is not None:
            file.write(head)
            file.write(np.ascontiguousarray(pixels).data)
            return
    common, resolution = _common(options, pixels.dtype), _resolution(options)
    if resolution is not None:
        common["resolution"], common["resolutionunit"] = resolution, "CENTIMETER"
    with tifffile.TiffWriter(file, bigtiff=pixels.nbytes > _BIG) as writer:
        for number, frame in enumerate(pixels.reshape(-1, *pixels.shape[-2:])):
            writer.write(np.ascontiguousarray(frame), description=text if number == 0 else None, **common)


def plain_head(shape: tuple[int, ...], dtype: np.dtype, text: str, options: WriteOptions) -> bytes | None:
    """What stands in front of the pixels of an image ``(H, W)``, with a description; None where it is not so simple."""
    if options.compression != "none" or math.prod(shape) * dtype.itemsize > _LARGEST_PLAIN or not dtype.isnative:
        return None
    return plain_header(shape, dtype, text, _resolution(options), _common(options, dtype))


def _common(options: WriteOptions, dtype: np.dtype) -> dict[str, Any]:
    """What ``TiffWriter.write`` is told of each page."""
    compression, level = options.compression, options.level
    return {
        "photometric": "minisblack",
        "metadata": None,
        "software": f"ctfast {options.facts['ctfast']}",
        "compression": None if compression == "none" else compression,
        "compressionargs": None if level is None else {"level": level},
        "predictor": _predictor(compression, dtype),
        "maxworkers": 1,
    }


def _resolution(options: WriteOptions) -> tuple[float, float] | None:
    """Pixels per centimetre, columns first."""
    if options.spacing is None:
        return None
    row, column = options.spacing
    return 10 / column, 10 / row


def _predictor(compression: str, dtype: np.dtype) -> int | None:
    """Differences of neighbours compress far better.

    The float predictor needs imagecodecs to read, so zlib files do without and stay readable everywhere.
    """
    if compression == "none":
        return None
    if dtype.kind in "iu":
        return 2
    return None if compression == "zlib" else 3


def _check_codec(compression: str, level: int | None) -> None:
    most = {"zlib": 9, "zstd": 22}.get(compression)
    if level is not None and (most is None or not 0 <= level <= most):
        raise ArgumentError(f"level={level} for {compression}; zlib takes 0 to 9, zstd 0 to 22, others none")
    if compression in ("zstd", "lzw"):
        try:
            import imagecodecs  # noqa: F401
        except ImportError as error:
            raise missing_extra(f"compression {compression} needs imagecodecs", "codecs") from error
