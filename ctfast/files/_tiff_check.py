"""What a TIFF page must fulfil before one byte of it is decoded.

tifffile is lenient: it gives arrays of shape ``(0,)`` for a file without pages, zeros for strips that are not there,
and numbers from a damaged directory. A wrong image is worse than none, so everything is checked against the file.
"""

from __future__ import annotations

import math
import zlib
from typing import Any, Final

from ctfast.errors import FileFormatError, missing_extra
from ctfast.files import _jpeg_xl, _lerc
from ctfast.files._jpeg_header import declared_size
from ctfast.files.image import Limits
from ctfast.files.next_steps import COPY_AGAIN, HIGHER_RATIO, MORE_BYTES, SAVE_AS_TIFF, WRITE_AGAIN

_MINISWHITE, _MINISBLACK = 0, 1
_COLOURS: Final = {2: "RGB", 3: "palette colour", 5: "CMYK", 6: "YCbCr", 8: "CIELab", 9: "ICCLab", 10: "ITULab"}
_TAGS: Final = {256: "ImageWidth", 257: "ImageLength", 262: "PhotometricInterpretation"}
_OFFSETS: Final = (273, 324)  # StripOffsets, TileOffsets
_DTYPES: Final = frozenset(["uint8", "uint16", "uint32", "int8", "int16", "int32", "float16", "float32", "float64"])
_PLAIN_BITS: Final = (8, 16, 32, 64)
_JPEG: Final = (7, 33003, 33005, 34712, 50002, 52546)  # JPEG, JPEG 2000 and JPEG XL
_LERC: Final = 34887
_CODECS: Final = {
    "none": (1,),
    "LZW": (5,),
    "JPEG": (7,),
    "deflate": (8, 32946),
    "PackBits": (32773,),
    "LZMA": (34925,),
    "JPEG 2000": _JPEG[1:4],
    "JPEG XL": _JPEG[4:],
    "LERC": (_LERC,),
    "Zstandard": (50000,),
}
_NO_CODEC_NEEDED: Final = (1, 8, 32773, 32946)  # tifffile has code of its own for these
_DEFLATE: Final = (8, 32946)


def check_page(page: Any, file_bytes: int) -> None:
    """Structure, kind of pixels and whereabouts of the pixel data of one page.

    Args:
        page: A ``tifffile.TiffPage``.
        file_bytes: Size of the file.

    Raises:
        FileFormatError: With what is wrong and, where there is one, the way out.
        MissingDependencyError: If its compression needs imagecodecs, which is not there.
    """
    for code, name in _TAGS.items():
        if code not in page.tags:
            raise FileFormatError(f"page {page.index}: the {name} tag is missing", WRITE_AGAIN)
    if not any(code in page.tags for code in _OFFSETS):
        raise FileFormatError(f"page {page.index}: no strip or tile offsets", WRITE_AGAIN)
    if page.imagewidth < 1 or page.imagelength < 1 or page.imagedepth != 1:
        size = f"{page.imagelength} x {page.imagewidth} x {page.imagedepth}"
        raise FileFormatError(f"page {page.index}: size {size} is no image", WRITE_AGAIN)
    _check_grey(page)
    _check_dtype(page)
    _check_codec(page)
    _check_segments(page, file_bytes)


def decoded_bytes(page: Any) -> int:
    """Size of the decoded page as declared."""
    return int(page.imagewidth) * int(page.imagelength) * int(page.dtype.itemsize)


def check_size(pages: list[Any], limits: Limits) -> None:
    """Declared sizes of all pages against the limits.

    Raises:
        FileFormatError: If they are beyond them.
    """
    decoded = sum(decoded_bytes(page) for page in pages)
    if decoded > limits.max_bytes:
        raise FileFormatError(f"declares {decoded} bytes of pixels; the limit is {limits.max_bytes}", MORE_BYTES)
    encoded = sum(sum(page.databytecounts) for page in pages)
    if decoded > limits.ratio_from_bytes and decoded > encoded * limits.max_ratio:
        raise FileFormatError(
            f"{encoded} compressed bytes declare {decoded} bytes of pixels, over {limits.max_ratio:g} times as many: "
            "a decompression bomb, or an empty image",
            HIGHER_RATIO,
        )


def _check_grey(page: Any) -> None:
    kind = int(page.photometric)
    if kind in _COLOURS or page.samplesperpixel != 1:
        what = _COLOURS.get(kind, f"{page.samplesperpixel} samples a pixel")
        raise FileFormatError(
            f"page {page.index}: {what}, not grey", "save one grey channel, and no picture of a screen or display"
        )
    if kind not in (_MINISWHITE, _MINISBLACK):
        raise FileFormatError(
            f"page {page.index}: photometric interpretation {kind} is not grey", "save one grey channel"
        )


def _check_dtype(page: Any) -> None:
    bits = page.bitspersample
    if bits == 1:
        raise FileFormatError(f"page {page.index}: 1 bit a pixel is a mask without intensities", "save it as 8 bits")
    if page.dtype is None or page.dtype.name not in _DTYPES or not (bits in _PLAIN_BITS or page.dtype.kind == "u"):
        raise FileFormatError(
            f"page {page.index}: {bits} bits of sample format {int(page.sampleformat)} are not supported; "
            "integers of up to 32 bits and floats of 16, 32 and 64 bits are",
            SAVE_AS_TIFF,
        )


def _check_codec(page: Any) -> None:
    compression = int(page.compression)
    if not any(compression in codes for codes in _CODECS.values()):
        raise FileFormatError(
            f"page {page.index}: compression {compression} is not supported; {', '.join(_CODECS)} are", SAVE_AS_TIFF
        )
    if compression in _NO_CODEC_NEEDED and page.bitspersample in _PLAIN_BITS and page.predictor in (1, 2):
        return
    if not _has_imagecodecs():
        plain = page.bitspersample in _PLAIN_BITS
        name = next(name for name, codes in _CODECS.items() if compression in codes)
        what = f"{name} compression (predictor {int(page.predictor)})" if plain else f"{page.bitspersample}-bit pixels"
        raise missing_extra(f"{what} needs imagecodecs", "codecs")
    if compression in _CODECS["JPEG XL"]:
        _jpeg_xl.codec("JPEGXL", "JPEG XL")
    if compression == _LERC:
        _jpeg_xl.codec("LERC", "LERC")
        _lerc.check_parameters(page)


def _check_segments(page: Any, file_bytes: int) -> None:
    # tifffile fills strips that are missing or end early with zeros, without a word.
    offsets, counts = page.dataoffsets, page.databytecounts
    expected = math.prod(page.chunked)
    if len(offsets) != expected or len(counts) != expected:
        raise FileFormatError(
            f"page {page.index}: {len(offsets)} offsets and {len(counts)} byte counts for {expected} strips or tiles",
            WRITE_AGAIN,
        )
    # Only uncompressed strips say by their size that they are whole; of the others any byte will do here, and their
    # decoder says the rest.
    plain = int(page.compression) == 1
    needed = _plain_segment_bytes(page) if plain else [1] * expected
    for offset, count, least in zip(offsets, counts, needed, strict=True):
        if offset < 8 or count < 1:
            raise FileFormatError(
                f"page {page.index}: a strip or tile has no data (offset {offset}, {count} bytes)", COPY_AGAIN
            )
        if offset + count > file_bytes:
            raise FileFormatError(
                f"page {page.index}: truncated: pixel data up to byte {offset + count}, the file has {file_bytes}",
                COPY_AGAIN,
            )
        if count < least:
            raise FileFormatError(
                f"page {page.index}: a strip or tile has {count} bytes, {least} are needed", COPY_AGAIN
            )


def _plain_segment_bytes(page: Any) -> list[int]:
    """Bytes that each uncompressed strip or tile needs; rows are padded to whole bytes, the last strip is shorter."""
    if page.is_tiled:
        tile = page.tilelength * -(-page.tilewidth * page.bitspersample // 8)
        return [tile] * math.prod(page.chunked)
    row = -(-page.imagewidth * page.bitspersample // 8)
    step = min(page.rowsperstrip, page.imagelength)
    return [row * min(step, page.imagelength - start) for start in range(0, page.imagelength, step)]


def check_streams(page: Any, file: Any) -> None:
    """Look into the compressed strips or tiles themselves, which may be far larger than the page around them.

    imagecodecs stops at the size of a strip for most codecs. Exceptions: JPEG, its kin and LERC allocate by their own
    header, and where imagecodecs is missing, tifffile's own zlib code inflates whatever is there.

    Raises:
        FileFormatError: If a strip or tile holds more than its pixels.
    """
    compression = int(page.compression)
    inflates = compression in _DEFLATE and not _has_imagecodecs()
    if compression not in (*_JPEG, _LERC) and not inflates:
        return
    most = math.prod(page.chunks) * page.dtype.itemsize  # of one strip or tile, decoded
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        file.seek(offset)
        stream = file.read(count)
        if inflates:
            inflate = zlib.decompressobj()  # one byte more than allowed is enough to know, and all that is inflated
            bomb = len(inflate.decompress(stream, most + 1)) > most
        else:
            size = _lerc.declared_size(stream) if compression == _LERC else declared_size(stream)
            bomb = size is not None and (size[0] > page.chunks[0] or size[1] > page.chunks[1])
        if bomb:
            raise FileFormatError(
                f"page {page.index}: a strip or tile holds more than its {page.chunks} pixels", WRITE_AGAIN
            )


def _has_imagecodecs() -> bool:
    try:
        import imagecodecs  # noqa: F401
    except ImportError:
        return False
    return True
