"""Stored values of a DICOM data set: native bytes or a compressed stream to integers, bits as declared.

Source: DICOM PS3.5 8.1 (bits allocated, bits stored, high bit), PS3.3 C.7.6.3.1 (pixel representation).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ctfast.errors import FileFormatError, missing_extra
from ctfast.files import _jpeg_xl
from ctfast.files._convert import native
from ctfast.files._dicom_tags import TAGS, has, number, text
from ctfast.files._fast_decoders import decode_quickly
from ctfast.files._jpeg_header import declared_size, is_cut, is_signed_jpeg2000
from ctfast.files.image import Limits
from ctfast.files.next_steps import COPY_AGAIN, HIGHER_RATIO, MORE_BYTES, WRITE_AGAIN

_FLOATS = {"FloatPixelData": "<f4", "DoubleFloatPixelData": "<f8"}
_UNDEFINED_LENGTH = 0xFFFFFFFF
_JPEG_XL = tuple(f"1.2.840.10008.1.2.4.{number}" for number in (110, 111, 112))
_UNKNOWN_TO_PYDICOM = {"1.2.840.10008.1.2.8.1": "Deflated Image Frame Compression"}
_LOSSY_JPEG = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")


@dataclass(frozen=True, slots=True)
class Layout:
    """How the pixel data lie in the data set."""

    frames: int
    rows: int
    columns: int
    allocated: int
    stored: int
    high_bit: int
    signed: bool
    white_is_low: bool
    keyword: str

    @property
    def shape(self) -> tuple[int, ...]:
        """``(H, W)``, or ``(frames, H, W)`` for more than one frame."""
        return (self.rows, self.columns) if self.frames == 1 else (self.frames, self.rows, self.columns)

    @property
    def below(self) -> int:
        """One less than the stored bits can hold: what padding becomes that lies beyond them."""
        return (-(1 << (self.stored - 1)) if self.signed else 0) - 1

    @property
    def nbytes(self) -> int:
        """Decoded size of all frames."""
        return math.prod(self.shape) * self.allocated // 8


def layout(ds: Any, limits: Limits) -> Layout:
    """Read and check the image pixel module.

    Raises:
        FileFormatError: For missing tags, colour, sizes beyond ``limits``, bits that are not supported.
    """
    keyword = next((name for name in ("PixelData", *_FLOATS) if has(ds, name)), None)
    if keyword is None:
        raise FileFormatError(
            "no pixel data (a DICOMDIR, a report, or a header alone?)", "give the files of the images themselves"
        )
    photometric = text(ds, "PhotometricInterpretation").upper() or "MONOCHROME2"
    samples = _whole(ds, "SamplesPerPixel", 1)
    if samples != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise FileFormatError(
            f"{photometric} with {samples} samples a pixel is colour, not grey", "export the original series instead"
        )
    allocated = _whole(ds, "BitsAllocated", {"FloatPixelData": 32, "DoubleFloatPixelData": 64}.get(keyword))
    allowed = {"FloatPixelData": (32,), "DoubleFloatPixelData": (64,)}.get(keyword, (8, 16, 32))
    stored = _whole(ds, "BitsStored", allocated)
    high_bit = _whole(ds, "HighBit", stored - 1)
    if allocated not in allowed or not stored - 1 <= high_bit < allocated or not 2 <= stored <= allocated:
        raise FileFormatError(
            f"{allocated} bits allocated, {stored} stored, high bit {high_bit}: not supported, 8, 16 and 32 are",
            "export the original series instead",
        )
    result = Layout(
        frames=_whole(ds, "NumberOfFrames", 1) or 1,  # 0 beside pixels is one frame, as pydicom reads it
        rows=_whole(ds, "Rows", None),
        columns=_whole(ds, "Columns", None),
        allocated=allocated,
        stored=stored,
        high_bit=high_bit,
        signed=_whole(ds, "PixelRepresentation", 0) == 1,
        white_is_low=photometric == "MONOCHROME1",
        keyword=keyword,
    )
    if min(result.rows, result.columns, result.frames) < 1:
        raise FileFormatError(f"shape {(result.frames, result.rows, result.columns)} is empty", WRITE_AGAIN)
    if result.frames > limits.max_frames or result.nbytes > limits.max_bytes:
        raise FileFormatError(
            f"declares {result.frames} frames, {result.nbytes} bytes of pixels; "
            f"the limits are {limits.max_frames} and {limits.max_bytes}",
            f"{MORE_BYTES}, or max_frames=...",
        )
    return result


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
    if lay.keyword in _FLOATS:
        dtype = np.dtype(_FLOATS[lay.keyword])
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


def drop_unused_bits(
    raw: np.ndarray, lay: Layout, padding: int | None, limit: int | None
) -> tuple[np.ndarray, int | None]:
    """Keep the stored bits: mask those above (overlays, junk), shift down those below, extend the sign.

    Some scanners mark padding with a value that the stored bits cannot hold (63536 in a 12-bit image), or with the
    largest one. It would be the brightest value of the image, and bright padding is taken for tissue, so such pixels
    get one less than the darkest value that the stored bits can hold.

    Args:
        raw: Integers of ``lay.allocated`` bits.
        lay: Bits stored and high bit.
        padding: Pixel Padding Value in the representation of ``raw``.
        limit: Pixel Padding Range Limit likewise: all values up to it are padding.

    Returns:
        The stored values, and the padding value among them.
    """
    if raw.dtype.kind == "f" or raw.dtype.itemsize * 8 != lay.allocated:
        return raw, padding
    kept = raw if _holds_no_more(raw, lay) else _stored_bits(raw, lay)
    if padding is None or not _is_brightest(padding, lay):
        return kept, padding
    # A range to the other end would be all of the image: its limit is in another signedness, or wrong.
    last = padding if limit is None or _is_upper(limit, lay) != _is_upper(padding, lay) else limit
    beyond = (kept >= min(padding, last)) & (kept <= max(padding, last))
    if outside := [value for value in (padding, last) if not _is_storable(value, lay)]:
        beyond |= (raw >= min(outside)) & (raw <= max(outside))
    if not beyond.any():
        return kept, padding
    wide = np.int32 if lay.allocated < 32 else np.int64
    return np.where(beyond, wide(lay.below), kept.astype(wide)), lay.below


def _holds_no_more(raw: np.ndarray, lay: Layout) -> bool:
    """Whether no bit is set beyond those that are stored: two looks at the pixels, half of what masking them takes."""
    if lay.allocated == lay.stored:
        return True
    lowest = -(1 << (lay.stored - 1)) if lay.signed else 0
    plain = lay.high_bit + 1 == lay.stored and (raw.dtype.kind == "i") == lay.signed
    return plain and int(raw.min()) >= lowest and int(raw.max()) < lowest + (1 << lay.stored)


def _stored_bits(raw: np.ndarray, lay: Layout) -> np.ndarray:
    spare, shift = lay.allocated - lay.stored, lay.high_bit + 1 - lay.stored
    word = raw.dtype.str[1:].replace("i", "u")
    bits = raw.view(word)
    if lay.signed:
        extended: np.ndarray = np.left_shift(bits, spare - shift).view(raw.dtype.str[1:].replace("u", "i")) >> spare
        return extended
    return (bits >> shift) & np.array((1 << lay.stored) - 1, word)


def may_be_padding(value: int, lay: Layout) -> bool:
    """Whether a padding value can stay what it is."""
    return not _is_brightest(value, lay)


def _is_brightest(value: int, lay: Layout) -> bool:
    """Whether a padding value is the brightest that can be stored, or lies beyond what can."""
    return not (_is_storable(value, lay) and (lay.white_is_low or _is_storable(value + 1, lay)))


def _is_storable(value: int, lay: Layout) -> bool:
    lowest = lay.below + 1
    return lowest <= value < lowest + (1 << lay.stored)


def _is_upper(value: int, lay: Layout) -> bool:
    """Whether a value lies in the upper half of what can be stored, or above."""
    return value >= (0 if lay.signed else 1 << (lay.stored - 1))


def _whole(ds: Any, keyword: str, default: int | None) -> int:
    try:
        value = number(ds, keyword)
    except ValueError as error:
        raise FileFormatError(f"{keyword} is no whole number", f"correct {keyword}, or {WRITE_AGAIN}") from error
    if value is None:
        if default is None:
            raise FileFormatError(f"{keyword} is missing", f"add {keyword}, or {WRITE_AGAIN}")
        return default
    if not value.is_integer():
        raise FileFormatError(f"{keyword} is {value:g}, no whole number", f"correct {keyword}, or {WRITE_AGAIN}")
    return int(value)
