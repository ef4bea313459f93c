"""Plain slices by compiled code: what ``read_image`` gives, in every bit, or left to it."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from ctfast.errors import CTFastError
from ctfast.files import read_image, write_image
from ctfast.files._dicom_scan import scan
from ctfast.files.geometry import Geometry, from_plane
from ctfast.files.image import Limits
from ctfast.files.plain import PlainReader, compile_reader
from ctfast.files.plain_writer import PlainWriter
from tests.files.files_build import EXPLICIT, IMPLICIT, data_set, dicom, save, slice_hu
from tests.files.files_compressed import JPEG, JPEG2000, JPEG_LS, JPEG_SV1, RLE, compressed, stream_of

KEPT = ("units", "padding", "spacing", "geometry", "padding_range")
ASKED = ("notes", "orientation", "modality", "turned", "padding_range_limit")
PLACE: dict[str, Any] = {
    "PixelSpacing": [0.7, 0.8],
    "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
    "ImagePositionPatient": [-20.5, 3, 7],
    "SliceThickness": "2.5",
}


def corner(value: int, signed: bool = True) -> np.ndarray:
    pixels = slice_hu(40, 48).astype(np.int16 if signed else np.uint16)
    pixels[:12, :12] = value
    return pixels


STORED = np.abs(slice_hu(40, 48)).astype(np.uint16)
PLAIN: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
    "signed": (slice_hu(40, 48), PLACE),
    "intercept": (STORED, {"RescaleIntercept": "-1024", **PLACE}),
    "no place": (STORED, {"RescaleIntercept": "-1024"}),
    "slope": (STORED, {"RescaleSlope": "1.7", "RescaleIntercept": "-1024.3"}),
    "whole slope": (STORED // 4, {"RescaleSlope": "4", "RescaleIntercept": "-1000"}),
    "twelve bits": (STORED % 4096, {"BitsStored": 12, "HighBit": 11, "RescaleIntercept": "-1024"}),
    "padding": (corner(-2000), {"PixelPaddingValue": -2000}),
    "padding of a real slope": (corner(-2000), {"PixelPaddingValue": -2000, "RescaleSlope": "1.1"}),
    "padding range": (corner(-1990), {"PixelPaddingValue": -2000, "PixelPaddingRangeLimit": -1500}),
    "padding in no pixel": (slice_hu(40, 48), {"PixelPaddingValue": -2000}),
    "lost padding": (corner(-2048), {"PixelPaddingValue": -3024}),
    "padding beside a range": (corner(-2048), {"PixelPaddingValue": 32000, "PixelPaddingRangeLimit": 32767}),
    "bright padding": (corner(3000), {"PixelPaddingValue": 3000}),
    "all padding": (np.full((40, 48), -2000, np.int16), {"PixelPaddingValue": -2000}),
    "not HU": (STORED + 20000, {"RescaleIntercept": "0"}),
    "unspecified": (slice_hu(40, 48), {"RescaleType": "US"}),
    "another modality": (slice_hu(40, 48), {"Modality": "MR"}),
    "no thickness": (slice_hu(40, 48), {**PLACE, "SliceThickness": None}),
}
LEFT: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
    "no rescale": (slice_hu(40, 48), {"RescaleSlope": None, "RescaleIntercept": None}),
    "eight bits": (STORED.astype(np.uint8), {}),
    "white is low": (STORED % 4096, {"BitsStored": 12, "HighBit": 11, "PhotometricInterpretation": "MONOCHROME1"}),
    "frames": (np.stack([slice_hu(), slice_hu()]), {"NumberOfFrames": 2}),
    "bits beyond": (STORED | 0x8000, {"BitsStored": 12, "HighBit": 11}),
    "beyond int16": (STORED, {"RescaleSlope": "40"}),
    "falling slope": (STORED, {"RescaleSlope": "-1"}),
    "brightest padding": (corner(63536, signed=False), {"PixelPaddingValue": 63536}),
}


def plainly(path: Path, units: str = "auto") -> Any:
    data = np.frombuffer(bytearray(path.read_bytes()), np.uint8)
    return PlainReader(units, Limits()).read(str(path), data, data.size)  # type: ignore[arg-type]


def check(path: Path, units: str = "auto") -> bool:
    """Whether the file is plain; what is read of it must be right then."""
    found = plainly(path, units)
    if found is None:
        return False
    image, expected = found.image, read_image(path, units=units)  # type: ignore[arg-type]
    np.testing.assert_array_equal(image.pixels, expected.pixels)
    assert image.pixels.dtype == expected.pixels.dtype
    assert [getattr(image, name) for name in KEPT] == [getattr(expected, name) for name in KEPT]
    assert [image.meta.get(name) for name in ASKED] == [expected.meta.get(name) for name in ASKED]
    limits = expected.padding_range
    kind = expected.pixels.dtype.type
    low, high = limits if limits is not None else (1, 0)
    inside = (expected.pixels >= kind(low)) & (expected.pixels <= kind(high))
    assert (found.padding == limits) if inside.any() else (found.padding is None)
    assert found.dark == (not inside.any() or bool(expected.pixels[inside].max() <= expected.pixels[~inside].min()))
    return True


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_plain_slices_are_those_of_read_image(tmp_path: Path, name: str, syntax: str) -> None:
    pixels, elements = PLAIN[name]
    ds = data_set(pixels, **elements)
    ds.file_meta.TransferSyntaxUID = syntax
    path = save(ds, tmp_path / "x.dcm")
    assert check(path) == (name != "all padding")
    assert check(path, "hu") == (name != "all padding")
    assert not check(path, "stored")


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("syntax", [RLE, JPEG_LS, JPEG, JPEG_SV1, JPEG2000])
def test_compressed_slices_are_those_of_read_image(tmp_path: Path, name: str, syntax: str) -> None:
    pixels, elements = PLAIN[name]
    path = compressed(tmp_path / "x.dcm", pixels, syntax, [stream_of(pixels, syntax)], **elements)
    assert check(path) == (name != "all padding")


@pytest.mark.parametrize("syntax", [RLE, JPEG_LS, JPEG_SV1, JPEG2000])
def test_compressed_slices_that_are_damaged_are_left_to_it(tmp_path: Path, syntax: str) -> None:
    """Changed anywhere, a file is read as by ``read_image`` or left to it; never otherwise."""
    pixels, elements = PLAIN["twelve bits"]
    path = compressed(tmp_path / "x.dcm", pixels, syntax, [stream_of(pixels, syntax)], **elements)
    whole, rng, read = path.read_bytes(), np.random.default_rng(0), 0
    for _ in range(150):
        changed = bytearray(whole)
        changed[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        path.write_bytes(changed)
        read += check(path)
    assert read


@pytest.mark.parametrize("signed", [True, False])
def test_a_jpeg_2000_stream_of_another_sign_than_the_header_is_left_to_it(tmp_path: Path, signed: bool) -> None:
    pixels = slice_hu(40, 48) + 2048
    of_header, of_stream = (pixels.astype(kind) for kind in (("i2", "u2") if signed else ("u2", "i2")))
    path = compressed(
        tmp_path / "x.dcm", of_header, JPEG2000, [stream_of(of_stream, JPEG2000)], RescaleIntercept="-2048"
    )
    assert plainly(path) is None
    if signed:
        np.testing.assert_array_equal(read_image(path).pixels, slice_hu(40, 48))


@pytest.mark.parametrize("offset", [b"", bytes(4), b"\4\0\0\0"], ids=["none", "right", "wrong"])
@pytest.mark.parametrize("fragments", [1, 3])
def test_streams_in_fragments(tmp_path: Path, offset: bytes, fragments: int) -> None:
    """The table of offsets may be empty (PS3.5 A.4); a wrong one does not hide the only frame."""
    stream = stream_of(slice_hu(40, 48), JPEG_LS)
    stream += bytes(len(stream) % 2)
    path = compressed(tmp_path / "x.dcm", slice_hu(40, 48), JPEG_LS, [stream])
    ends = [0, *(len(stream) // fragments // 2 * 2 * i for i in range(1, fragments)), len(stream)]
    parts = [offset, *(stream[start:end] for start, end in pairwise(ends))]
    item, end_of_all = b"\xfe\xff\0\xe0", b"\xfe\xff\xdd\xe0" + bytes(4)
    whole = path.read_bytes()
    head = whole[: whole.index(b"\xe0\x7f\x10\0OB") + 12]
    path.write_bytes(head + b"".join(item + struct.pack("<I", len(part)) + part for part in parts) + end_of_all)
    assert check(path)


@pytest.mark.parametrize("name", LEFT)
def test_others_are_left_to_it(tmp_path: Path, name: str) -> None:
    pixels, elements = LEFT[name]
    assert not check(dicom(tmp_path / "x.dcm", pixels, **elements))


def test_slices_of_one_header_keep_their_own_places_and_pixels(tmp_path: Path) -> None:
    reader = PlainReader("auto", Limits())
    for number in range(3):
        place = {**PLACE, "ImagePositionPatient": [0, 0, number], "InstanceNumber": number}
        path = dicom(tmp_path / f"{number}.dcm", slice_hu(seed=number), **place)
        data = np.frombuffer(bytearray(path.read_bytes()), np.uint8)
        found = reader.read(str(path), data, data.size)
        expected = read_image(path)
        assert found is not None
        np.testing.assert_array_equal(found.image.pixels, expected.pixels)
        assert found.image.geometry == expected.geometry


def tiff_of(pixels: np.ndarray, **facts: Any) -> Callable[[Path], None]:
    return lambda path: write_image(path, pixels, **facts)


HU = slice_hu(40, 48)
TIFFS: dict[str, tuple[bool, Callable[[Path], None]]] = {
    "whole floats": (True, tiff_of(HU.astype(np.float64))),
    "ours": (True, tiff_of(HU, units="hu", spacing=(0.7, 0.8))),
    "of tifffile": (True, lambda path: tifffile.imwrite(path, HU.astype(np.float64))),
    "not HU": (True, tiff_of(np.full((40, 48), 5000, np.int16), units="hu")),
    "fractions": (False, tiff_of(HU + 0.5)),
    "not finite": (False, tiff_of(np.where(HU < -1000, np.nan, HU))),
    "too large": (False, tiff_of(HU * 100.0)),
    "padding": (False, tiff_of(HU, units="hu", padding=-1024.0)),
    "single": (False, tiff_of(HU.astype(np.float32))),
    "deflated": (True, tiff_of(HU, units="hu", spacing=(0.7, 0.8), compression="zlib")),
    "whole floats, deflated": (True, tiff_of(HU.astype(np.float64), compression="zlib")),
    "fractions, deflated": (False, tiff_of(HU + 0.5, compression="zlib")),
    "zstd": (False, tiff_of(HU, compression="zstd")),
    "pages": (False, tiff_of(np.stack([HU, HU]))),
}


@pytest.mark.parametrize("name", TIFFS)
def test_plain_tiffs(tmp_path: Path, name: str) -> None:
    plain, write = TIFFS[name]
    for file in ("ID_0001_AGE_0060_CONTRAST_1_CT.tif", "x.tif"):
        write(tmp_path / file)
        assert [check(tmp_path / file, units) for units in ("auto", "hu", "stored")] == [plain] * 3


def test_names_and_lengths_that_speak_against_it(tmp_path: Path) -> None:
    path = dicom(tmp_path / "x.dcm", slice_hu())
    whole = path.read_bytes()
    for name, data in (("x.tif", whole), ("ID_0000_AGE_0999_CONTRAST_1_CT.dcm", whole), ("short.dcm", whole[:-9])):
        other = tmp_path / name
        other.write_bytes(data)
        assert plainly(other) is None
    unnamed = tmp_path / "IM0001"
    unnamed.write_bytes(whole)
    assert check(unnamed)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_the_walk_gives_up_on_what_the_plain_one_gives_up_on(tmp_path: Path, syntax: str) -> None:
    from ctfast.files._plain_head import Wanted
    from ctkernels.stored import elements

    ds = data_set(slice_hu(), PatientID="P1", **PLACE)
    inner = data_set(slice_hu()[:2, :2])
    inner.is_undefined_length_sequence_item = True
    ds.ReferencedImageSequence = [inner]
    ds["ReferencedImageSequence"].is_undefined_length = True
    del inner.file_meta
    ds.file_meta.TransferSyntaxUID = syntax
    whole = save(ds, tmp_path / "x.dcm").read_bytes()
    wanted = Wanted(elements.ODD, elements.TEXT, elements.BINARY, elements.REFUSED, elements.PIXELS)
    rng = np.random.default_rng(3)
    end = len(whole) - slice_hu().nbytes
    odd = 0
    for trial in range(3000):
        data = bytearray(whole)
        for place in rng.integers(128, end, trial % 3):
            data[place] = rng.choice([data[place] ^ 1, rng.integers(256), 0xFF, 0])
        data = data[: rng.integers(end)] if trial % 10 == 9 else data
        found = elements.elements(
            np.frombuffer(data, np.uint8) if data else np.zeros(1, np.uint8), len(data),
            wanted.tags, wanted.kinds, wanted.in_key, wanted.found, wanted.key, *elements.TABLES,
        )  # fmt: skip
        expected = scan(bytes(data))
        assert (found < 0) == (expected is None), trial
        odd += expected is None
        if expected is not None:
            ours = wanted.data_set(memoryview(data))
            assert ours.implicit == expected.implicit
            assert {tag: bytes(item.value) for tag, item in ours.elements.items()} == {
                tag: bytes(item.value) for tag, item in expected.elements.items()
            }
    assert 500 < odd < 2500


def test_all_of_it_can_be_compiled_ahead() -> None:
    compile_reader()


@pytest.mark.real_data
def test_real_slices(siim: Path, awkward: Path, bad: Path) -> None:
    plain = 0
    for folder in (siim, awkward, bad):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.stat().st_size:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    try:
                        plain += check(path)
                    except CTFastError as error:
                        raise AssertionError(f"{path} is refused by read_image alone") from error
    assert plain > 60


def test_tiffs_whose_pixels_begin_anywhere_and_say_the_same_or_not(tmp_path: Path) -> None:
    """A file is put into memory so that the pixels of one like the last lie well; a head is believed byte by byte."""
    reader = PlainReader("auto", Limits())
    plain = []
    for number, text in enumerate(["a", "a", "a", "abcdefgh", "abcdefgh", "a"]):
        path = tmp_path / f"{number}.tif"
        tifffile.imwrite(path, slice_hu(40, 48, seed=number).astype(np.float64), software=text, metadata=None)
        with tifffile.TiffFile(path) as tif:
            tag, start = tif.pages[0].tags["StripOffsets"], tif.pages[0].dataoffsets[0]
        whole = path.read_bytes()
        whole = whole[: tag.valueoffset] + struct.pack("<I", start + 4) + whole[tag.valueoffset + 4 :]
        whole = whole[:start] + bytes(4) + whole[start:] + bytes(2 * (number == 2))
        path.write_bytes(whole)
        room = np.empty(len(whole) + 16, np.uint8)
        room = room[-room.ctypes.data % 8 :][reader.before :]
        room[: len(whole)] = np.frombuffer(whole, np.uint8)
        found = reader.read(str(path), room, len(whole))
        plain.append(found is not None)
        if found is not None:
            np.testing.assert_array_equal(found.image.pixels, read_image(path).pixels)
            assert found.image.source == path
    assert plain == [False, True, True, True, True, True]


AXIAL = [1, 0, 0, 0, 1, 0]
PLACES = [None, *(from_plane(AXIAL, [-20.5, 3e-7, z], (0.7, 0.8), 2.5) for z in (7.0, -1e9))]


@pytest.mark.parametrize("place", PLACES, ids=["nowhere", "near", "far"])
@pytest.mark.parametrize("spacing", [None, (0.7, 0.8)], ids=["unknown", "known"])
def test_slices_written_one_after_the_other_are_those_of_write_image(
    tmp_path: Path, place: Geometry | None, spacing: tuple[float, float] | None
) -> None:
    facts: dict[str, Any] = {"pipeline": "abc", "backend": "cpu"}
    writer = PlainWriter(facts)
    for dtype in (np.uint8, np.int16, np.float32):
        for seed, (units, padding) in enumerate((("hu", None), ("unknown", -2000.0), ("hu", (-2000.0, -1990.0)))):
            pixels = np.ascontiguousarray(slice_hu(40, 48, seed=seed).astype(dtype))
            head = writer.head(pixels, units, spacing, place, padding)
            file, known = io.BytesIO(), {"units": units, "spacing": spacing, "padding": padding}
            write_image("x.tif", pixels, **known, geometry=place, description=facts, into=file)
            assert head is not None
            assert head + pixels.tobytes() == file.getvalue()
    with pytest.raises(CTFastError):
        writer.head(pixels.astype(np.int64), "hu", spacing, place)
    assert writer.head(np.stack([pixels, pixels]), "hu", spacing, place) is None
