"""DICOM files that are refused: damaged, foreign, oversized, or in need of a package."""

from __future__ import annotations

import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from ctfast.errors import FileFormatError, MissingDependencyError
from ctfast.files import Limits, read_image
from tests.files.files_build import DEFLATED, data_set, dicom, save, slice_hu


@pytest.mark.parametrize(
    ("elements", "word"),
    [
        ({"Rows": None}, "Rows is missing"),
        ({"Columns": 0}, "empty"),
        ({"BitsAllocated": None}, "BitsAllocated is missing"),
        ({"BitsAllocated": 12}, "not supported"),
        ({"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0}, "not supported"),
        ({"BitsStored": 17}, "not supported"),
        ({"HighBit": 3}, "not supported"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "colour"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "colour"),
        ({"RescaleSlope": "0"}, "slope 0"),
        ({"PixelData": None}, "no pixel data"),
        ({"PixelData": bytes(958)}, "truncated"),
        ({"PixelData": bytes(3 * 960)}, "rows, columns or frames are wrong"),
        ({"NumberOfFrames": 2}, "truncated"),
        ({"NumberOfFrames": 2_000_000_000}, "the limits are"),
    ],
    ids=str,
)
def test_refused(tmp_path: Path, elements: dict[str, Any], word: str) -> None:
    with pytest.raises(FileFormatError, match=word):
        read_image(dicom(tmp_path / "x.dcm", slice_hu(), **elements))


def test_truncated_files_are_refused(tmp_path: Path) -> None:
    path = dicom(tmp_path / "x.dcm", slice_hu())
    whole = path.read_bytes()
    for keep in (132, 140, 200, len(whole) // 2, len(whole) - 2):
        path.write_bytes(whole[:keep])
        with pytest.raises(FileFormatError):
            read_image(path)


def test_sizes_are_checked_before_decoding(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="the limits are"):
        read_image(dicom(tmp_path / "x.dcm", slice_hu()), limits=Limits(max_bytes=959))


def test_deflate_bomb_is_refused_before_it_is_inflated(tmp_path: Path) -> None:
    ds = data_set(slice_hu())
    ds.file_meta.TransferSyntaxUID = DEFLATED
    path = save(ds, tmp_path / "x.dcm")
    whole = path.read_bytes()
    start = 144 + int.from_bytes(whole[140:144], "little")
    pack = zlib.compressobj(9, zlib.DEFLATED, -15)
    path.write_bytes(whole[:start] + pack.compress(bytes(1 << 24)) + pack.flush())
    with pytest.raises(FileFormatError, match="inflates to over"):
        read_image(path, limits=Limits(max_bytes=1 << 20))


def test_a_stream_of_another_size_than_the_header_is_refused(tmp_path: Path) -> None:
    import imagecodecs
    from pydicom.encaps import encapsulate

    big = np.zeros((400, 400), np.uint8)
    for syntax, stream in (
        ("1.2.840.10008.1.2.4.50", imagecodecs.jpeg8_encode(big)),
        ("1.2.840.10008.1.2.4.80", imagecodecs.jpegls_encode(big)),
        ("1.2.840.10008.1.2.4.90", imagecodecs.jpeg2k_encode(big, codecformat="j2k")),
        ("1.2.840.10008.1.2.4.90", imagecodecs.jpeg2k_encode(big, codecformat="jp2")),
    ):
        ds = data_set(big[:20, :20].copy())
        ds.file_meta.TransferSyntaxUID = syntax
        ds.PixelData = encapsulate([stream])
        ds["PixelData"].VR = "OB"
        ds["PixelData"].is_undefined_length = True
        with pytest.raises(FileFormatError, match=r"the stream is \(400, 400\)"):
            read_image(save(ds, tmp_path / "x.dcm"))


def test_unknown_and_missing_decoders_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pydicom.encaps import encapsulate

    def file(syntax: str) -> Path:
        ds = data_set(slice_hu())
        ds.file_meta.TransferSyntaxUID = syntax
        ds.PixelData = encapsulate([b"\0" * 100])
        ds["PixelData"].VR = "OB"
        ds["PixelData"].is_undefined_length = True
        return save(ds, tmp_path / "x.dcm")

    with pytest.raises(FileFormatError, match="not supported"):
        read_image(file("1.2.840.10008.1.2.4.100"))
    monkeypatch.setattr(pydicom.pixels.decoders.JPEGLSLosslessDecoder, "_available", {})
    with pytest.raises(MissingDependencyError, match=r'pip install "ctfast\[codecs\]"'):
        read_image(file("1.2.840.10008.1.2.4.80"))


def test_without_pydicom_the_command_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = dicom(tmp_path / "x.dcm", slice_hu())
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "ctfast\[dicom\]"'):
        read_image(path)


@pytest.mark.parametrize("codecformat", ["j2k", "jp2"])
@pytest.mark.parametrize("signed", [True, False])
def test_a_signed_stream_under_an_unsigned_tag_is_refused(tmp_path: Path, codecformat: str, signed: bool) -> None:
    """Decoders disagree about its values by half of the range; the other way round all agree."""
    imagecodecs = pytest.importorskip("imagecodecs")
    from pydicom.encaps import encapsulate

    hu = slice_hu()
    stored = hu if signed else (hu.astype(np.int32) + 1024).astype(np.uint16)
    stream = imagecodecs.jpeg2k_encode(stored, level=0, codecformat=codecformat, reversible=True)
    for tag in (0, 1):
        ds = data_set(stored, PixelRepresentation=tag, PixelData=encapsulate([stream]))
        ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.90"
        ds["PixelData"].VR = "OB"
        path = save(ds, tmp_path / f"{tag}.dcm")
        if signed and tag == 0:
            with pytest.raises(FileFormatError, match="stream is signed, Pixel Representation says unsigned"):
                read_image(path)
        else:
            np.testing.assert_array_equal(read_image(path).pixels, stored)


def test_syntaxes_that_pydicom_does_not_know_are_named(tmp_path: Path) -> None:
    whole = dicom(tmp_path / "x.dcm", slice_hu()).read_bytes()
    old = b"UI\x14\x001.2.840.10008.1.2.1\0"
    new = b"1.2.840.10008.1.2.8.1\0"
    start = whole.index(old)
    group_length = int.from_bytes(whole[140:144], "little") + len(new) - 20
    body = whole[:start] + b"UI" + len(new).to_bytes(2, "little") + new + whole[start + len(old) :]
    (tmp_path / "y.dcm").write_bytes(body[:140] + group_length.to_bytes(4, "little") + body[144:])
    with pytest.raises(FileFormatError, match=r"Deflated Image Frame Compression.*rewrite the file"):
        read_image(tmp_path / "y.dcm")
