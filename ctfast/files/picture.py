"""PNG and JPEG pictures by Pillow: 16-bit PNG of CT values (DeepLesion), 8-bit pictures of CT slices (Kaggle sets).

Policies, each tested:

- Eight bits are what somebody saw through a window, so their units are ``"display"``: never HU by themselves, and
  refused where a pipeline needs HU, unless the caller says that they are (``units="hu"``). Sixteen bits may be anything
  (``"unknown"``); DeepLesion's are HU + 32768: ``read_image(path, dataset="deeplesion")``.
- Gray is read. Gray that was saved as colour, palette or with an opaque alpha channel is read as gray, with a note;
  colour is refused, and so are masks of 1 bit, 2 and 4 bits (Pillow stretches them), transparency, 16 bits of more
  than one channel (Pillow drops half of them), and animations.
- Sizes are held against the limits before anything is decoded. Gamma, colour profiles and EXIF are not applied.

Source: W3C PNG specification (third edition), section 11.2.1 (IHDR).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ctfast.errors import FileFormatError
from ctfast.files._convert import to_supported
from ctfast.files._volume import check_declared
from ctfast.files.image import Image, MetaValue, Request
from ctfast.files.next_steps import COPY_AGAIN

_DEPTH, _COLOUR = 24, 25  # offsets in a PNG file
_NEXT: Final = "save one gray channel of 8 or 16 bits"
_GRAY: Final = {"L": "uint8", "I;16": "uint16"}
_AS_COLOUR: Final = {"RGB": "RGB", "RGBA": "RGBA", "P": "RGBA", "LA": "RGBA"}


def read_png(request: Request) -> Image:
    """Read a PNG as ``(H, W)`` of uint8 (``"display"``) or uint16 (``"unknown"``).

    Raises:
        FileFormatError: See the policies above.
    """
    if len(request.head) <= _COLOUR:
        raise FileFormatError("truncated PNG: the header is not whole", COPY_AGAIN)
    depth, colour = request.head[_DEPTH], request.head[_COLOUR]
    if (depth < 8 and colour != 3) or (depth > 8 and colour != 0):
        kind = "gray" if colour == 0 else "with several channels"
        raise FileFormatError(f"PNG of {depth} bits, {kind}, is not read", f"{_NEXT}")
    image = _read(request, "png")
    import PIL.Image

    with PIL.Image.open(request.source(), formats=["png"]) as picture:
        picture.verify()  # checksums of pixels, which decoding leaves out
    return image


def read_jpeg(request: Request) -> Image:
    """Read a JPEG as ``(H, W)`` of uint8, units ``"display"``.

    Raises:
        FileFormatError: See the policies above.
    """
    return _read(request, "jpeg")


def _read(request: Request, name: str) -> Image:
    import PIL.Image

    with PIL.Image.open(request.source(), formats=[name]) as picture:
        frames = getattr(picture, "n_frames", 1)
        if frames != 1:
            raise FileFormatError(f"{frames} pictures in one file", "save one image a file")
        columns, rows = picture.size
        check_declared((rows, columns), 8, request.limits, stored=request.size(), compressed=True)
        if picture.mode not in _GRAY and picture.mode not in _AS_COLOUR:
            raise FileFormatError(f"pixels of mode {picture.mode} are not read", f"{_NEXT}")
        if picture.mode in _GRAY and "transparency" in picture.info:
            raise FileFormatError("one gray value stands for transparency", f"{_NEXT} without it")
        stored = _gray(picture)
        meta: dict[str, MetaValue] = {"stored_dtype": stored.dtype.name}
        if picture.mode not in _GRAY:
            meta["notes"] = f"gray saved as {picture.mode}: one of its equal channels is read"
    units = "display" if stored.dtype == np.uint8 else "unknown"
    return Image(to_supported(stored, request.allocate), units, request.path, name, meta=meta)


def _gray(picture: Any) -> np.ndarray:
    """The pixels, or the one channel of gray that was saved as colour."""
    if picture.mode in _GRAY:
        return np.asarray(picture).astype(_GRAY[picture.mode], copy=False)
    channels = np.asarray(picture.convert(_AS_COLOUR[picture.mode]))
    if channels.shape[-1] == 4 and channels[..., 3].min() < 255:
        raise FileFormatError("transparent pixels", f"{_NEXT}")
    red = channels[..., 0]
    if not (np.array_equal(red, channels[..., 1]) and np.array_equal(red, channels[..., 2])):
        raise FileFormatError("colour, not gray", f"{_NEXT}")
    return red
