"""What tells that a DICOM image's values are not those of its scanner: compression with loss.

Source: DICOM PS3.3 C.7.6.1.1.5 (Lossy Image Compression stays 01 when the image is decompressed).
"""

from __future__ import annotations

from typing import Any, Final

from ctfast.files._dicom_pixels import is_compressed
from ctfast.files._dicom_tags import number_or_none, text
from ctfast.files._jpeg_header import loss_of

_CONSEQUENCE: Final = "values differ from the scanner's"


def declared_loss(ds: Any) -> str:
    """A note where the header says it; else empty."""
    if text(ds, "LossyImageCompression") != "01":
        return ""
    ratio = number_or_none(ds, "LossyImageCompressionRatio")
    return f"compressed with loss{'' if ratio is None else f' (ratio {ratio:g})'}: {_CONSEQUENCE}"


def loss(ds: Any, frames: int) -> str:
    """A note where the header or the first frame's stream says it; else empty."""
    return declared_loss(ds) or _loss_of_stream(ds, frames)


def _loss_of_stream(ds: Any, frames: int) -> str:
    syntax = ds.file_meta.get("TransferSyntaxUID") if hasattr(ds, "file_meta") else None
    if syntax is None or not is_compressed(syntax):
        return ""
    from pydicom.encaps import generate_frames

    how = loss_of(next(generate_frames(ds.PixelData, number_of_frames=frames)))
    return f"compressed with loss ({how}), which the header does not say: {_CONSEQUENCE}" if how else ""
