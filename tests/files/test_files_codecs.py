"""JPEG XL and LERC by imagecodecs: values, sizes that streams lie about, and what is refused with a way out."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from pydicom.encaps import encapsulate

from ctfast.errors import FileFormatError, MissingDependencyError
from ctfast.files import _jpeg_xl, read_image
from tests.files.files_build import data_set, save, slice_hu

STORED = (slice_hu(64, 80) + 1024).astype(np.uint16)


def encapsulated(path: Path, frames: list[bytes], **elements: Any) -> Path:
    ds = data_set(STORED, RescaleIntercept="-1024", **elements)
    ds.PixelData = encapsulate(frames)
    ds["PixelData"].is_undefined_length = True
    save(ds, path)  # pydicom refuses to write the syntax; both are explicit little-endian
    old, new = b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.4.110\0"
    data = path.read_bytes()
    at = data.index(old)
    grown = len(new) - len(old)
    group = int.from_bytes(data[140:144], "little") + grown
    data = (
        data[:140]
        + struct.pack("<I", group)
        + data[144 : at - 2]
        + struct.pack("<H", len(new))
        + new
        + data[at + len(old) :]
    )
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("size", [(64, 80), (8, 8), (63, 81), (300, 200), (40, 48), (700, 9)])
@pytest.mark.parametrize("boxes", [False, True])
def test_the_size_of_a_jpeg_xl_stream(size: tuple[int, int], boxes: bool) -> None:
    stream = imagecodecs.jpegxl_encode(np.zeros(size, np.uint16), lossless=True, usecontainer=boxes)
    assert _jpeg_xl.declared_size(stream) == size


@pytest.mark.parametrize("compression", ["jpegxl", "lerc"])
def test_tiff(tmp_path: Path, compression: str) -> None:
    pages = np.stack([STORED, STORED[::-1]])
    tifffile.imwrite(tmp_path / "a.tif", pages, photometric="minisblack", compression=compression)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, pages)


def test_dicom(tmp_path: Path) -> None:
    path = encapsulated(tmp_path / "a.dcm", [imagecodecs.jpegxl_encode(STORED, lossless=True)])
    image = read_image(path)
    np.testing.assert_array_equal(image.pixels, slice_hu(64, 80))
    assert image.units == "hu"


def test_streams_of_another_size_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    big = imagecodecs.jpegxl_encode(np.zeros((4096, 4096), np.uint16), lossless=True)
    with pytest.raises(FileFormatError, match="the header says"):
        read_image(encapsulated(tmp_path / "a.dcm", [big]))
    for name, stream in (("jpegxl", big), ("lerc", imagecodecs.lerc_encode(np.zeros((4096, 4096), np.uint16)))):
        path = tmp_path / f"{name}.tif"
        tifffile.imwrite(path, iter([stream]), shape=(64, 80), dtype="u2", compression=name, photometric="minisblack")
        with pytest.raises(FileFormatError, match="holds more than its"):
            read_image(path)


def test_what_is_refused_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = imagecodecs.jpegxl_encode(STORED, lossless=True)
    with pytest.raises(FileFormatError, match="no signed pixels; rewrite"):
        read_image(encapsulated(tmp_path / "a.dcm", [stream], PixelRepresentation=1))
    masked = imagecodecs.lerc_encode(STORED, masks=STORED > 100)
    path = tmp_path / "m.tif"
    tifffile.imwrite(path, iter([masked]), shape=(64, 80), dtype="u2", compression="lerc", photometric="minisblack")
    with pytest.raises(FileFormatError, match=r"LERC masks .* fill them"):
        read_image(path)
    monkeypatch.setattr(imagecodecs, "JPEGXL", type("Missing", (), {"available": False}))
    with pytest.raises(MissingDependencyError, match="built with it"):
        read_image(encapsulated(tmp_path / "c.dcm", [stream]))
