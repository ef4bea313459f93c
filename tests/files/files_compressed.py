"""Compressed DICOM files for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.files.files_build import data_set, save

RLE = "1.2.840.10008.1.2.5"
JPEG_LS = "1.2.840.10008.1.2.4.80"
NEAR = "1.2.840.10008.1.2.4.81"
JPEG = "1.2.840.10008.1.2.4.57"
JPEG_SV1 = "1.2.840.10008.1.2.4.70"
BASELINE = "1.2.840.10008.1.2.4.50"
JPEG2000 = "1.2.840.10008.1.2.4.90"


def stream_of(pixels: np.ndarray, syntax: str) -> bytes:
    """One frame, encoded by another library than the one that decodes it, where there is one."""
    import imagecodecs
    from pydicom.pixels.encoders.native import _encode_segment

    bits = pixels.view(f"u{pixels.dtype.itemsize}")
    if syntax == RLE:
        planes = bits.astype(bits.dtype.newbyteorder(">")).view(np.uint8).reshape(*bits.shape, -1)
        segments = [
            bytes(_encode_segment(planes[..., i].tobytes(), columns=bits.shape[1])) for i in range(planes.shape[-1])
        ]
        offsets = 64 + np.cumsum([0, *map(len, segments)])[:-1]
        head = np.zeros(16, "<u4")
        head[0], head[1 : 1 + len(segments)] = len(segments), offsets
        return head.tobytes() + b"".join(segments)
    if syntax in (JPEG_LS, NEAR):
        return bytes(imagecodecs.jpegls_encode(bits, level=0 if syntax == JPEG_LS else 2))
    if syntax == JPEG2000:
        return bytes(imagecodecs.jpeg2k_encode(pixels, level=0, codecformat="j2k", reversible=True))
    if syntax == BASELINE:
        return bytes(imagecodecs.jpeg8_encode(pixels, level=95))
    predictor = 1 if syntax == JPEG_SV1 else 6
    depth = 8 * bits.dtype.itemsize
    return bytes(imagecodecs.jpeg8_encode(bits, lossless=True, predictor=predictor, bitspersample=depth))


def compressed(path: Path, pixels: np.ndarray, syntax: str, streams: list[bytes], **elements: Any) -> Path:
    from pydicom.encaps import encapsulate

    ds = data_set(pixels, PixelData=encapsulate(streams), **elements)
    ds.file_meta.TransferSyntaxUID = syntax
    ds["PixelData"].VR = "OB"
    return save(ds, path)
