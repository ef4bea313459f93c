"""Compressed DICOM: the values of every lossless syntax by whichever decoder, and streams that are cut or damaged."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from ctfast.errors import FileFormatError
from ctfast.files import read_image
from ctfast.files._jpeg_header import loss_of
from ctfast.files._plain_compressed import uncompressed
from ctfast.files.image import Limits
from ctfast.files.plain import PlainReader
from tests.files.files_build import dicom, slice_hu
from tests.files.files_compressed import (
    BASELINE,
    JPEG,
    JPEG2000,
    JPEG_LS,
    JPEG_SV1,
    NEAR,
    RLE,
    compressed,
    stream_of,
)

pytest.importorskip("pydicom")
pytest.importorskip("imagecodecs")


def noise(dtype: str, shape: tuple[int, ...] = (33, 41)) -> np.ndarray:
    """Every value of the type is likely; a part is smooth, as images are."""
    info, rng = np.iinfo(dtype), np.random.default_rng(1)
    pixels = rng.integers(info.min, info.max, shape, endpoint=True).astype(dtype)
    pixels[..., 8:20, :] = np.arange(shape[-1])
    return pixels


@pytest.mark.parametrize("syntax", [RLE, JPEG_LS, JPEG, JPEG_SV1, JPEG2000])
@pytest.mark.parametrize("dtype", ["int16", "uint16", "uint8"])
def test_lossless_streams_give_the_stored_values_by_either_library(
    tmp_path: Path, syntax: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = noise(dtype)
    path = compressed(tmp_path / "x.dcm", pixels, syntax, [stream_of(pixels, syntax)])
    quick = read_image(path, units="stored").pixels
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    np.testing.assert_array_equal(quick, pixels)
    slow = read_image(path, units="stored").pixels
    np.testing.assert_array_equal(slow, pixels)
    assert quick.dtype == slow.dtype


@pytest.mark.parametrize("syntax", [RLE, JPEG_LS, JPEG_SV1, JPEG2000])
def test_frames_stay_in_order(tmp_path: Path, syntax: str) -> None:
    frames = noise("int16", (3, 33, 41))
    frames[1] += 7
    streams = [stream_of(frame, syntax) for frame in frames]
    path = compressed(tmp_path / "x.dcm", frames[0], syntax, streams, NumberOfFrames=3)
    np.testing.assert_array_equal(read_image(path, units="stored").pixels, frames)


@pytest.mark.parametrize("syntax", [RLE, JPEG_LS, JPEG_SV1, JPEG2000])
def test_the_sign_of_twelve_stored_bits_is_extended(tmp_path: Path, syntax: str) -> None:
    values = np.random.default_rng(2).integers(-2048, 2048, (33, 41)).astype(np.int16)
    bits = (values.view(np.uint16) & 0x0FFF).view(np.int16)
    path = compressed(tmp_path / "x.dcm", bits, syntax, [stream_of(bits, syntax)], BitsStored=12, HighBit=11)
    np.testing.assert_array_equal(read_image(path, units="stored").pixels, values)


def test_near_lossless_stays_within_its_bound(tmp_path: Path) -> None:
    pixels = slice_hu()
    image = read_image(compressed(tmp_path / "x.dcm", pixels, NEAR, [stream_of(pixels, NEAR)]), units="stored")
    assert 0 < np.abs(image.pixels.astype(np.int32) - pixels).max() <= 2


def test_a_stream_with_restart_intervals_is_for_the_other_decoder(tmp_path: Path) -> None:
    """Those of no length, which change nothing."""
    pixels = slice_hu()
    stream = stream_of(pixels, JPEG_SV1)
    scan = stream.index(b"\xff\xda")
    path = compressed(tmp_path / "x.dcm", pixels, JPEG_SV1, [stream[:scan] + b"\xff\xdd\0\4\0\0" + stream[scan:]])
    np.testing.assert_array_equal(read_image(path, units="stored").pixels, pixels)


@pytest.mark.parametrize("syntax", [JPEG_LS, NEAR, JPEG, JPEG_SV1, BASELINE, JPEG2000])
@pytest.mark.parametrize("kept", [0.5, 0.9])
@pytest.mark.parametrize("library", ["imagecodecs", "pydicom"])
def test_a_stream_that_is_cut_is_refused(
    tmp_path: Path, syntax: str, kept: float, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pylibjpeg, the first that pydicom asks, made up the rest (2.1.0, with libjpeg 2.5.0)."""
    pixels = noise("uint8" if syntax == BASELINE else "int16", (64, 64))
    stream = stream_of(pixels, syntax)
    if library == "pydicom":
        monkeypatch.setitem(sys.modules, "imagecodecs", None)
    path = compressed(tmp_path / "x.dcm", pixels, syntax, [stream[: int(kept * len(stream))]])
    with pytest.raises(FileFormatError, match="frame 0: truncated, the stream has no end marker; copy the file again"):
        read_image(path)


def test_a_damaged_jpeg_ls_stream_is_refused(tmp_path: Path) -> None:
    """CharLS notices most damages of the pixels; pylibjpeg noticed none of 168 that it did, and made pixels of them."""
    pixels = slice_hu(64, 64)
    stream = bytearray(stream_of(pixels, JPEG_LS))
    stream[len(stream) // 2 : len(stream) // 2 + 4] = b"\xff\xff\xff\xff"
    with pytest.raises(FileFormatError, match="frame 0: the JPEG-LS stream is damaged"):
        read_image(compressed(tmp_path / "x.dcm", pixels, JPEG_LS, [bytes(stream)]))


def test_padding_behind_the_end_marker_is_no_damage(tmp_path: Path) -> None:
    pixels = slice_hu()
    stream = stream_of(pixels, JPEG_SV1) + bytes(130)
    path = compressed(tmp_path / "x.dcm", pixels, JPEG_SV1, [stream])
    np.testing.assert_array_equal(read_image(path, units="stored").pixels, pixels)


def _with_point_transform() -> bytes:
    """Lossless JPEG whose scan header says that two bits were dropped."""
    stream = bytearray(stream_of(slice_hu(), JPEG_SV1))
    scan = stream.index(b"\xff\xda")
    stream[scan + 4 + 5] = 2
    return bytes(stream)


@pytest.mark.parametrize(
    ("stream", "how"),
    [
        (stream_of(slice_hu(), NEAR), "JPEG-LS, by up to 2"),
        (stream_of(slice_hu().astype(np.uint8), BASELINE), "JPEG"),
        (_with_point_transform(), "lossless JPEG without its last 2 bits"),
        *((stream_of(slice_hu(), syntax), "") for syntax in (JPEG_LS, JPEG, JPEG_SV1, JPEG2000, RLE)),
    ],
    ids=["near", "baseline", "point transform", "ls", "14", "sv1", "2000", "rle"],
)
def test_streams_tell_their_loss(stream: bytes, how: str) -> None:
    assert loss_of(stream) == how
    for size in range(len(stream)):  # of a stream that is cut
        assert loss_of(stream[:size]) in ("", how)


@pytest.mark.parametrize("box", ["j2k", "jp2"])
def test_jpeg2000_tells_its_loss(box: str) -> None:
    import imagecodecs

    stream = bytes(imagecodecs.jpeg2k_encode(slice_hu(), level=40, codecformat=box, reversible=False))
    assert loss_of(stream) == "JPEG 2000, irreversible wavelets"


@pytest.mark.parametrize("syntax", [NEAR, JPEG_LS])  # the second says that it is lossless
def test_loss_that_the_header_does_not_say_is_told(tmp_path: Path, syntax: str) -> None:
    path = compressed(tmp_path / "x.dcm", slice_hu(), syntax, [stream_of(slice_hu(), NEAR)])
    told = "compressed with loss (JPEG-LS, by up to 2), which the header does not say: values differ from the scanner's"
    assert read_image(path).meta["notes"] == told
    assert uncompressed(memoryview(path.read_bytes()), lambda size: np.empty(size, np.uint8)) is None


@pytest.mark.parametrize("ratio", [None, "10.5"])
def test_loss_is_told_of_files_that_were_decompressed_too(tmp_path: Path, ratio: str | None) -> None:
    path = dicom(
        tmp_path / "x.dcm", slice_hu(), LossyImageCompression="01", LossyImageCompressionRatio=ratio, RescaleType="HU"
    )
    told = f"compressed with loss{(ratio and ' (ratio 10.5)') or ''}: values differ from the scanner's"
    assert read_image(path).meta["notes"] == told
    data = np.frombuffer(bytearray(path.read_bytes()), np.uint8)
    plain = PlainReader("auto", Limits()).read(str(path), data, data.size)
    assert plain is not None
    assert plain.image.meta["notes"] == told


def test_no_loss_no_note(tmp_path: Path) -> None:
    path = dicom(tmp_path / "x.dcm", slice_hu(), LossyImageCompression="00", RescaleType="HU")
    assert "notes" not in read_image(path).meta
