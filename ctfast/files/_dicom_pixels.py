"""Pixel data of a DICOM data set, native bytes or compressed streams, to integers as they lie there."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ctfast.errors import FileFormatError, missing_extra
from ctfast.files import _jpeg_xl
from ctfast.files._convert import native
from ctfast.files._dicom_layout import FLOATS, Layout
from ctfast.files._dicom_tags import TAGS
from ctfast.files._fast_decoders import decode_quickly
from ctfast.files._jpeg_header import declared_size, is_cut, is_signed_jpeg2000
from ctfast.files.image import Limits
from ctfast.files.next_steps import COPY_AGAIN, HIGHER_RATIO, WRITE_AGAIN

_UNDEFINED_LENGTH = 0xFFFFFFFF
_JPEG_XL = tuple(f"1.2.840.10008.1.2.4.{number}" for number in (110, 111, 112))
_UNKNOWN_TO_PYDICOM = {"1.2.840.10008.1.2.8.1": "Deflated Image Frame Compression"}
_LOSSY_JPEG = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")


def decode(ds: Any, lay: Layout, limits: Limits) -> np.ndarray:
    """Decode to integers (or floats) as they lie in the file, before bits beyond the stored ones are dropped.

    Raises:
        FileFormatError: For too few or too many bytes, or streams of another size than declared.
        MissingDependencyError: If a decoder for the transfer syntax is not installed.
    """
    syntax = ds.file_meta.get("TransferSyntaxUID") if hasattr(ds, "file_meta") else None
    if syntax is not None and is_compressed(syntax):
        return _decode_compressed(ds, lay, syntax, limits)
    element = ds.get_item(TAGS[lay.keyword])
    data = element.value
    if element.length == _UNDEFINED_LENGTH:
        raise FileFormatError("compressed pixel data without a transfer syntax that says how", WRITE_AGAIN)
    _check_length(len(data), lay)
    if not ds.original_encoding[1]:  # big-endian; pydicom knows about words of swapped bytes
        import pydicom.pixels

        if syntax is None:  # a data set alone, whose order of bytes was found out while it was read
            ds.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRBigEndian
        return native(pydicom.pixels.pixel_array(ds).reshape(lay.shape))
    if lay.keyword in FLOATS:
        dtype = np.dtype(FLOATS[lay.keyword])
    else:
        dtype = np.dtype(f"<{'i' if lay.signed else 'u'}{lay.allocated // 8}")
    return native(np.frombuffer(data, dtype, math.prod(lay.shape)).reshape(lay.shape))


def is_compressed(syntax: Any) -> bool:
    """Whether pixels of this transfer syntax are streams.

    Raises:
        FileFormatError: For a syntax that is not known.
    """
    if syntax in _JPEG_XL:
        return True
    try:
        return bool(syntax.is_encapsulated)
    except ValueError:  # pydicom does not know it as a transfer syntax
        name = _UNKNOWN_TO_PYDICOM.get(str(syntax), "unknown")
        raise FileFormatError(
            f"transfer syntax {syntax} ({name}) is not supported", "rewrite the file uncompressed or as JPEG 2000"
        ) from None


def _check_length(there: int, lay: Layout) -> None:
    frame = lay.nbytes // lay.frames
    if there < lay.nbytes:
        raise FileFormatError(
            f"truncated: {lay.shape} needs {lay.nbytes} bytes of pixels, {there} are there", COPY_AGAIN
        )
    if there >= lay.nbytes + frame and frame > 64:
        raise FileFormatError(
            f"{there} bytes of pixels for {lay.shape}, which needs {lay.nbytes}: rows, columns or frames are wrong",
            WRITE_AGAIN,
        )


def _decode_compressed(ds: Any, lay: Layout, syntax: Any, limits: Limits) -> np.ndarray:
    from pydicom.encaps import generate_frames

    data = ds.PixelData
    if lay.nbytes > limits.ratio_from_bytes and lay.nbytes > len(data) * limits.max_ratio:
        raise FileFormatError(f"{len(data)} compressed bytes declare {lay.nbytes} bytes of pixels", HIGHER_RATIO)
    streams = list(generate_frames(data, number_of_frames=lay.frames))
    if len(streams) != lay.frames:
        raise FileFormatError(f"{len(streams)} compressed frames are there, the header says {lay.frames}", COPY_AGAIN)
    for index, stream in enumerate(streams):
        size = declared_size(stream)
        if size is not None and size != (lay.rows, lay.columns):
            raise FileFormatError(
                f"frame {index}: the stream is {size}, the header says {(lay.rows, lay.columns)}", WRITE_AGAIN
            )
        if is_cut(stream):
            raise FileFormatError(f"frame {index}: truncated, the stream has no end marker", COPY_AGAIN)
        if is_signed_jpeg2000(stream) and not lay.signed:
            raise FileFormatError(
                f"frame {index}: the JPEG 2000 stream is signed, Pixel Representation says unsigned; decoders disagree "
                "about the values of such files",
                "correct the header or decompress it with the software that wrote it",
            )
    if syntax in _JPEG_XL:
        return _decode_jpeg_xl(streams, lay)
    dtype = np.dtype(f"{'i' if lay.signed else 'u'}{lay.allocated // 8}")
    pixels = decode_quickly(streams, str(syntax), (lay.rows, lay.columns), dtype)
    return _decode_by_pydicom(ds, lay, syntax, streams) if pixels is None else pixels.reshape(lay.shape)


def _decode_by_pydicom(ds: Any, lay: Layout, syntax: Any, streams: list[bytes]) -> np.ndarray:
    import pydicom.pixels

    try:
        decoder = pydicom.pixels.get_decoder(syntax)
    except (NotImplementedError, ValueError) as error:
        raise FileFormatError(
            f"transfer syntax {syntax.name} ({syntax}) is not supported",
            "rewrite the file uncompressed or as JPEG 2000",
        ) from error
    if not decoder.is_available:
        needs = "; ".join(decoder.missing_dependencies)
        raise missing_extra(f"transfer syntax {syntax.name} needs {needs}", "codecs")
    try:
        pixels = pydicom.pixels.pixel_array(ds)
    except Exception:
        if syntax not in _LOSSY_JPEG:
            raise
        pixels = _decode_lossy_jpeg(streams)
    if pixels.size != math.prod(lay.shape):
        raise FileFormatError(f"decoded to {pixels.shape}, the header says {lay.shape}", WRITE_AGAIN)
    return native(pixels.reshape(lay.shape))


def _decode_lossy_jpeg(streams: list[bytes]) -> np.ndarray:
    """12-bit JPEG with harmless errors of old writers, which libjpeg-turbo reads and pydicom's plugins do not."""
    try:
        import imagecodecs
    except ImportError as error:
        raise missing_extra("this JPEG needs imagecodecs", "codecs") from error
    return np.stack([imagecodecs.jpeg8_decode(stream) for stream in streams])


def _decode_jpeg_xl(streams: list[bytes], lay: Layout) -> np.ndarray:
    """What pydicom does not know as a transfer syntax."""
    _jpeg_xl.refuse_signed(lay.signed)
    frames = [_jpeg_xl.decode(stream) for stream in streams]
    if any(frame.shape != (lay.rows, lay.columns) or frame.dtype != f"u{lay.allocated // 8}" for frame in frames):
        found = ", ".join(sorted({f"{frame.shape} {frame.dtype}" for frame in frames}))
        raise FileFormatError(f"decoded to {found}, the header says {lay.shape} of {lay.allocated} bits", WRITE_AGAIN)
    return np.stack(frames).reshape(lay.shape)
