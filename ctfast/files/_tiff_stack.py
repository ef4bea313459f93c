"""How many images a TIFF says it holds, beside the pages (directories) that are there.

ImageJ and tifffile write stacks with one directory and all pixels behind each other (ImageJ above 4 GB, tifffile with
``truncate=True``); OME-XML counts images whose pages may be missing or lie in other files. A stack of which the first
image is read without a word is lost data, so all images are read, or the file is refused.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

import numpy as np

from ctfast.errors import FileFormatError
from ctfast.files._convert import room
from ctfast.files.image import Allocate, Limits
from ctfast.files.next_steps import COPY_AGAIN, MORE_BYTES

_PIXELS: Final = re.compile(r"<(?:\w+:)?Pixels\b[^>]*>")
_SIZE: Final = re.compile(r"""\bSize([ZCT])\s*=\s*["'](\d{1,9})["']""")
_FILES: Final = re.compile(r"""\bFileName\s*=\s*["']([^"']+)["']""")


def images_behind(tif: Any, pages: list[Any], limits: Limits) -> int:
    """Number of images behind the only directory; 0 where the pages are the images.

    Raises:
        FileFormatError: If images are declared that are neither pages nor behind the only one; sizes beyond the limits.
    """
    declared = _declared(tif, pages)
    if declared <= len(pages):
        return 0
    page = pages[0]
    plain = int(page.compression) == 1 and page.is_contiguous and page.bitspersample == 8 * page.dtype.itemsize
    if len(pages) > 1 or not plain:
        raise FileFormatError(
            f"declares {declared} images in {len(pages)} pages", "save the whole stack as pages of an ordinary TIFF"
        )
    size = declared * page.imagelength * page.imagewidth * page.dtype.itemsize
    if declared > limits.max_frames or size > limits.max_bytes:
        raise FileFormatError(
            f"declares {declared} images, {size} bytes of pixels; the limits are {limits.max_frames}, and "
            f"the limit is {limits.max_bytes}",
            f"{MORE_BYTES}, or max_frames=...",
        )
    there = tif.filehandle.size - page.dataoffsets[0]
    if there < size:
        raise FileFormatError(
            f"truncated: declares {declared} images, which need {size} bytes; {there} are there", COPY_AGAIN
        )
    return declared


def decode_behind(tif: Any, page: Any, images: int, allocate: Allocate | None) -> np.ndarray:
    """The images that lie behind each other from the first page's pixels on."""
    shape = (images, page.imagelength, page.imagewidth)
    out = room(shape, page.dtype.newbyteorder("="), allocate)
    tif.filehandle.seek(page.dataoffsets[0])
    for image in out:
        data = tif.filehandle.read(image.nbytes)
        np.copyto(image, np.frombuffer(data, page.dtype.newbyteorder(tif.byteorder)).reshape(image.shape))
    return out


def missing_note(tif: Any, pages: list[Any]) -> str:
    """What to say of a file that is one of several which OME-XML counts together; empty for others."""
    declared, files = _of_ome(tif)
    if declared <= len(pages) or files < 2:
        return ""
    return f"OME-TIFF of {files} files: {len(pages)} of {declared} images are in this one"


def pixels_elements(tif: Any) -> list[str]:
    """The start tags of the images that OME-XML describes; none in files of other programs."""
    return _PIXELS.findall(tif.ome_metadata or "") if tif.is_ome else []


def axes_note(tif: Any) -> str:
    """What to say of images that lie along several axes, such as planes at several times; empty for others."""
    sizes = [size for size in _axes(tif) if size > 1]
    if len(sizes) < 2:
        return ""
    return f"images along {len(sizes)} axes ({' x '.join(map(str, sizes))}): taken one after the other, as no volume"


def _axes(tif: Any) -> list[int]:
    if tif.is_imagej:
        known = tif.imagej_metadata or {}
        return [int(known.get(name, 1)) for name in ("frames", "slices", "channels")]
    if tif.is_ome:
        tags = pixels_elements(tif)
        return [int(size) for _, size in sorted(_SIZE.findall(tags[0]))] if len(tags) == 1 else []
    shapes = [entry.get("shape", ()) for entry in tif.shaped_metadata or ()]
    return list(map(int, shapes[0][:-2])) if len(shapes) == 1 else []


def _declared(tif: Any, pages: list[Any]) -> int:
    if tif.is_imagej:
        return int((tif.imagej_metadata or {}).get("images", 1))
    if tif.is_ome:
        declared, files = _of_ome(tif)
        return declared if files < 2 else 0
    shapes = [entry.get("shape", ()) for entry in tif.shaped_metadata or ()]
    pixels = pages[0].imagelength * pages[0].imagewidth
    return sum(math.prod(map(int, shape)) // pixels for shape in shapes)


def _of_ome(tif: Any) -> tuple[int, int]:
    """Images that OME-XML counts, and the number of files that it names."""
    text = tif.ome_metadata or "" if tif.is_ome else ""
    images = sum(math.prod(int(size) for _, size in _SIZE.findall(tag)) for tag in pixels_elements(tif))
    return images, len(set(_FILES.findall(text)))
