"""DICOM: values of the modality, exact where they are whole, and every policy of the module."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from ctfast import Pipeline, Step
from ctfast.errors import FileFormatError
from ctfast.files import read_image, write_image
from tests.files.files_build import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    data_set,
    dicom,
    rescale_group,
    save,
    slice_hu,
)

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def unsigned(bits: int = 12) -> np.ndarray:
    return (slice_hu().astype(np.int32) + 1024).clip(0, 2**bits - 1).astype(np.uint16)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED])
@pytest.mark.parametrize("signed", [True, False])
def test_native_syntaxes_give_int16_hu(tmp_path: Path, syntax: str, signed: bool) -> None:
    stored = slice_hu() if signed else unsigned(16)
    ds = data_set(stored, RescaleIntercept="0" if signed else "-1024")
    ds.file_meta.TransferSyntaxUID = syntax
    if syntax == BIG_ENDIAN:
        ds.PixelData = stored.astype(stored.dtype.newbyteorder(">")).tobytes()
    image = read_image(save(ds, tmp_path / "x.dcm"))
    np.testing.assert_array_equal(image.pixels, slice_hu())
    assert image.pixels.dtype == np.int16
    assert (image.units, image.format) == ("hu", "dicom")


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN])
@pytest.mark.parametrize("bits", [8, 16])
def test_native_syntaxes_without_meta_information(tmp_path: Path, syntax: str, bits: int) -> None:
    """A data set alone, as old archives and network captures hold it: its first elements tell the order of bytes."""
    stored = unsigned(16) if bits == 16 else (unsigned(12) >> 4).astype(np.uint8)
    ds = data_set(stored, RescaleIntercept="-1024")
    ds.file_meta.TransferSyntaxUID = syntax
    if syntax == BIG_ENDIAN:
        ds.PixelData = stored.view("<u2").astype(">u2").tobytes()  # OW: words, of 8-bit pixels too (PS3.5 D.1)
    whole = save(ds, tmp_path / "x.dcm").read_bytes()
    meta = 144 + int.from_bytes(whole[140:144], "little")
    (tmp_path / "bare.dcm").write_bytes(whole[meta:])
    image, expected = (read_image(tmp_path / name) for name in ("bare.dcm", "x.dcm"))
    np.testing.assert_array_equal(image.pixels, expected.pixels)
    np.testing.assert_array_equal(expected.pixels, stored.astype(int) - 1024)
    assert (image.units, image.spacing) == (expected.units, expected.spacing)


def test_rle_is_decoded(tmp_path: Path) -> None:
    ds = data_set(slice_hu())
    ds.compress(pydicom.uid.RLELossless)
    np.testing.assert_array_equal(read_image(save(ds, tmp_path / "x.dcm")).pixels, slice_hu())


@pytest.mark.parametrize(
    ("slope", "intercept", "dtype"),
    [
        ("1", "-1024", "int16"),
        ("2", "-1024", "int16"),
        ("-1", "3071", "int16"),
        ("16", "0", "uint16"),
        ("100", "-7", "float32"),
        ("1", "1e6", "float32"),
        ("1", "-8192", "int16"),
        ("1", "-34000", "float32"),
        ("10000", "-7", "float64"),
        ("0.5", "-512.25", "float32"),
        ("1.000244", "-1024", "float32"),
        ("1e-7", "0", "float32"),
    ],
)
def test_rescale_against_plain_arithmetic(tmp_path: Path, slope: str, intercept: str, dtype: str) -> None:
    path = dicom(
        tmp_path / "x.dcm", unsigned(), BitsStored=12, HighBit=11, RescaleSlope=slope, RescaleIntercept=intercept
    )
    image = read_image(path)
    expected = unsigned().astype(np.float64) * float(slope) + float(intercept)
    assert image.pixels.dtype == dtype
    np.testing.assert_array_equal(image.pixels, expected.astype(dtype))
    assert (image.meta["rescale_slope"], image.meta["rescale_intercept"]) == (float(slope), float(intercept))


def test_whole_hu_of_a_fractional_slope_stay_exact(tmp_path: Path) -> None:
    image = read_image(dicom(tmp_path / "x.dcm", 2 * unsigned(), RescaleSlope="0.5", RescaleIntercept="-1024"))
    np.testing.assert_array_equal(image.pixels, unsigned().astype(np.int32) - 1024)


@pytest.mark.parametrize(
    ("elements", "units"),
    [
        ({}, "hu"),
        ({"RescaleType": "HU", "Modality": "OT"}, "hu"),
        ({"RescaleType": "US"}, "US"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "unknown"),
        ({"RescaleSlope": None, "RescaleIntercept": None}, "stored"),
        ({"Modality": "MR"}, "stored"),
        ({"Modality": "PT", "RescaleSlope": "2.5"}, "unknown"),
        ({"RescaleType": "hu"}, "hu"),
        ({"RescaleType": "Hounsfield"}, "hu"),
        ({"RescaleType": "HU", "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "unknown"),
        ({"SOPClassUID": SECONDARY_CAPTURE}, "unknown"),
        ({"SOPClassUID": SECONDARY_CAPTURE, "RescaleType": "HU"}, "unknown"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2.1"}, "hu"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.481.2"}, "unknown"),
        ({"SOPClassUID": None}, "hu"),
        ({"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "EFF_ATOMIC_NUM"]}, "unknown"),
        ({"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "MAT_SPECIFIC"]}, "unknown"),
        ({"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "VMI"]}, "hu"),
    ],
    ids=str,
)
def test_units(tmp_path: Path, elements: dict[str, Any], units: str) -> None:
    path = dicom(tmp_path / "x.dcm", slice_hu(), **elements)
    assert read_image(path).units == units
    assert read_image(path, units="hu").units == "hu"
    stored = read_image(path, units="stored")
    assert stored.units == "stored"
    np.testing.assert_array_equal(stored.pixels, slice_hu())


def test_junk_above_the_stored_bits_is_dropped(tmp_path: Path) -> None:
    junk = unsigned() | np.uint16(0xA000)
    image = read_image(dicom(tmp_path / "x.dcm", junk, BitsStored=12, HighBit=11))
    np.testing.assert_array_equal(image.pixels, unsigned())


def test_sign_is_extended_from_the_stored_bits(tmp_path: Path) -> None:
    values = slice_hu().clip(-2048, 2047)
    masked = values & np.int16(0x0FFF)
    image = read_image(dicom(tmp_path / "x.dcm", masked, BitsStored=12, HighBit=11))
    np.testing.assert_array_equal(image.pixels, values)


def test_bits_below_the_stored_ones_are_shifted_out(tmp_path: Path) -> None:
    shifted = (unsigned() << np.uint16(4)) | np.uint16(5)
    image = read_image(dicom(tmp_path / "x.dcm", shifted, BitsStored=12, HighBit=15))
    np.testing.assert_array_equal(image.pixels, unsigned())


@pytest.mark.parametrize(("tag", "vr"), [(63536, "US"), (-2000, "SS")])
def test_padding_in_the_signedness_of_the_pixels(tmp_path: Path, tag: int, vr: str) -> None:
    ds = data_set(slice_hu(), RescaleIntercept="-24")
    ds.add_new("PixelPaddingValue", vr, tag)
    ds.add_new("PixelPaddingRangeLimit", vr, tag)
    image = read_image(save(ds, tmp_path / "x.dcm"))
    assert image.padding == -2024
    assert image.meta["padding_range_limit"] == -2024


@pytest.mark.parametrize(
    ("bits", "padding", "limit"), [(12, 63536, None), (12, 61440, 65535), (12, 4095, None), (16, 65535, None)]
)
def test_padding_is_never_the_brightest_value(tmp_path: Path, bits: int, padding: int, limit: int | None) -> None:
    """Above the stored bits, or the largest of them; by the standard it is no tissue (PS3.3 C.7.5.1.1.2)."""
    stored = unsigned().clip(0, 3000)
    stored[0] = padding
    stored[1, :5] = limit or padding
    ds = data_set(stored, BitsStored=bits, HighBit=bits - 1, RescaleIntercept="-1024")
    ds.add_new("PixelPaddingValue", "US", padding)
    if limit is not None:
        ds.add_new("PixelPaddingRangeLimit", "US", limit)
    image = read_image(save(ds, tmp_path / "x.dcm"))
    assert (image.padding, image.pixels.dtype, image.units) == (-1025, np.int16, "hu")
    assert (image.pixels[0] == -1025).all()
    assert (image.pixels[1, :5] == -1025).all()
    np.testing.assert_array_equal(image.pixels[2:], unsigned().clip(0, 3000)[2:].astype(np.int32) - 1024)
    assert image.pixels[2:].min() >= -1024, "no tissue has the value of padding"


@pytest.mark.parametrize(("padding", "limit"), [(4095, None), (4095, 4090), (4090, 4095), (63536, 4090)])
def test_bright_padding_beneath_overlays_and_in_ranges(tmp_path: Path, padding: int, limit: int | None) -> None:
    """All from Pixel Padding Value to its Range Limit is padding (PS3.3 C.7.5.1.1.2), whatever the bits above say."""
    tissue, outside = unsigned().clip(0, 3000), np.zeros((20, 24), bool)
    outside[:5] = True
    stored = np.where(outside, np.uint16(4095 if limit is None else 4092), tissue)
    ds = data_set(stored | np.uint16(0x1000), BitsStored=12, HighBit=11, RescaleIntercept="-1024")
    ds.add_new("PixelPaddingValue", "US", padding)
    if limit is not None:
        ds.add_new("PixelPaddingRangeLimit", "US", limit)
    image = read_image(save(ds, tmp_path / "x.dcm"))
    low, high = image.padding_range or (0, 0)
    np.testing.assert_array_equal((image.pixels >= low) & (image.pixels <= high), outside)
    np.testing.assert_array_equal(image.pixels[~outside], tissue[~outside].astype(int) - 1024)
    window = Pipeline([Step("window", center=40, width=400, dtype="uint8")])
    assert not window.run(image.pixels, padding=image.padding_range).image[outside].any()


def test_padding_beyond_the_bits_of_signed_and_inverted_images(tmp_path: Path) -> None:
    stored = slice_hu().clip(-1024, 1000)
    stored[0] = -32768
    elements = {"BitsStored": 12, "HighBit": 11, "PixelPaddingValue": -32768}
    image = read_image(dicom(tmp_path / "x.dcm", stored, **elements))
    assert (image.padding, int(image.pixels[0, 0])) == (-2049, -2049)
    elements |= {"PhotometricInterpretation": "MONOCHROME1", "Modality": "DX", "RescaleSlope": None}
    image = read_image(dicom(tmp_path / "x.dcm", stored, RescaleIntercept=None, **elements))
    assert (image.meta["inverted"], image.padding, int(image.pixels[0, 0])) == (True, -2049, -2049)
    np.testing.assert_array_equal(image.pixels[1:], -1 - stored[1:].astype(np.int32))


@pytest.mark.parametrize("kind", ["Z_EFF", "MGML", "HU_MOD", "ED", "ED2W", "PCT"])
def test_another_rescale_type_is_kept_by_name_and_no_caller_makes_it_hu(tmp_path: Path, kind: str) -> None:
    path = dicom(tmp_path / "x.dcm", slice_hu(), RescaleType=kind)
    assert read_image(path).units == kind
    asked = read_image(path, units="hu")
    assert asked.units == kind
    assert f"names {kind}" in str(asked.meta["notes"])
    for name in ("y.tif", "y.nii"):
        write_image(tmp_path / name, asked.pixels, units=asked.units)
        assert read_image(tmp_path / name).units == kind


def test_headers_with_harmless_faults_are_read(tmp_path: Path) -> None:
    path = dicom(tmp_path / "x.dcm", slice_hu(), NumberOfFrames=0)
    path.write_bytes(path.read_bytes().replace(b"MONOCHROME2", b"monochrome2"))
    np.testing.assert_array_equal(read_image(path).pixels, slice_hu())
    path = dicom(tmp_path / "y.dcm", slice_hu(), RescaleIntercept="-24.5", PixelSpacing=[0.25, 0.75])
    path.write_bytes(path.read_bytes().replace(b"-24.5", b"-24,5").replace(b"0.25\\0.75", b"0,25\\0,75"))
    image = read_image(path)
    np.testing.assert_array_equal(image.pixels, slice_hu() - np.float32(24.5))
    assert image.spacing == (0.25, 0.75)
    path.write_bytes(path.read_bytes().replace(b"-24,5", b"-24;5"))
    with pytest.raises(FileFormatError, match="RescaleIntercept is '-24;5'"):
        read_image(path)


def test_multi_frame_with_one_rescale(tmp_path: Path) -> None:
    frames = np.stack([slice_hu(seed=i) for i in range(3)])
    np.testing.assert_array_equal(read_image(dicom(tmp_path / "x.dcm", frames)).pixels, frames)


@pytest.mark.parametrize(("slopes", "dtype"), [((1, 1, 1), "int16"), ((1, 2, 3), "int16"), ((1, 0.5, 2), "float32")])
def test_multi_frame_with_its_own_rescale_per_frame(tmp_path: Path, slopes: tuple[float, ...], dtype: str) -> None:
    frames = np.stack([slice_hu(seed=i) for i in range(3)])
    path = dicom(
        tmp_path / "x.dcm",
        frames,
        RescaleSlope=None,
        RescaleIntercept=None,
        PerFrameFunctionalGroupsSequence=[rescale_group(slope, 10 * slope) for slope in slopes],
    )
    image = read_image(path)
    expected = np.stack([frame * slope + 10 * slope for frame, slope in zip(frames, slopes, strict=True)])
    np.testing.assert_array_equal(image.pixels, expected)
    assert (image.pixels.dtype, image.units) == (np.dtype(dtype), "hu")


def test_padding_of_frames_rescaled_apart_is_one_value(tmp_path: Path) -> None:
    frames = np.stack([(slice_hu(seed=i) + 1100).astype(np.uint16) for i in range(3)])
    frames[:, :4] = [[[3]], [[0]], [[2]]]
    path = dicom(
        tmp_path / "x.dcm",
        frames,
        PixelPaddingValue=0,
        PixelPaddingRangeLimit=3,
        PerFrameFunctionalGroupsSequence=[rescale_group(slope, -1100) for slope in (1, 0.5, 2)],
    )
    image = read_image(path)
    np.testing.assert_array_equal(image.pixels == image.padding, frames < 4)
    assert (image.padding, image.padding_range) == (-1100, (-1100, -1100))
    expected = frames * np.array([1, 0.5, 2])[:, None, None] - 1100
    np.testing.assert_array_equal(image.pixels[:, 4:], expected[:, 4:])


def test_shared_rescale_of_all_frames(tmp_path: Path) -> None:
    frames = np.stack([slice_hu(seed=i) for i in range(2)])
    path = dicom(tmp_path / "x.dcm", frames, SharedFunctionalGroupsSequence=[rescale_group(1, -7)])
    np.testing.assert_array_equal(read_image(path).pixels, frames - 7)


def test_frame_groups_must_match_the_frames(tmp_path: Path) -> None:
    frames = np.stack([slice_hu(seed=i) for i in range(3)])
    path = dicom(tmp_path / "x.dcm", frames, PerFrameFunctionalGroupsSequence=[rescale_group(1, 0)] * 2)
    with pytest.raises(FileFormatError, match="2 frame groups"):
        read_image(path)


def test_modality_lut(tmp_path: Path) -> None:
    table = pydicom.Dataset()
    table.add_new("LUTDescriptor", "US", [3, 1, 16])
    table.ModalityLUTType = "HU"
    table.add_new("LUTData", "US", [100, 200, 300])
    stored = np.array([[0, 1, 2], [3, 4, 9]], np.uint16)
    path = dicom(tmp_path / "x.dcm", stored, RescaleSlope=None, RescaleIntercept=None, ModalityLUTSequence=[table])
    image = read_image(path)
    np.testing.assert_array_equal(image.pixels, [[100, 100, 200], [300, 300, 300]])
    assert image.units == "hu"


@pytest.mark.parametrize(("limit", "dark"), [(None, 1), (4, 2)])
def test_padding_through_a_modality_lut(tmp_path: Path, limit: int | None, dark: int) -> None:
    """Pixel Padding Value is a stored value: what it becomes, the table says (pydicom's ``apply_modality_lut``)."""
    table = pydicom.Dataset()
    table.add_new("LUTDescriptor", "US", [6, 0, 16])
    table.ModalityLUTType = "HU"
    table.add_new("LUTData", "US", [500, 400, 300, 200, 100, 50])
    stored = np.array([[0, 1, 2, 3, 4, 5]] * 4, np.uint16)
    ds = data_set(stored, PixelPaddingValue=5, PixelPaddingRangeLimit=limit, ModalityLUTSequence=[table])
    image = read_image(save(ds, tmp_path / "x.dcm"))
    assert image.padding_range == (50, 50)
    expected = pydicom.pixels.apply_modality_lut(stored, ds)
    np.testing.assert_array_equal(image.pixels[:, :-dark], expected[:, :-dark])
    assert (image.pixels[:, -dark:] == 50).all()


def test_float_pixel_data(tmp_path: Path) -> None:
    for keyword, dtype in (("FloatPixelData", "float32"), ("DoubleFloatPixelData", "float64")):
        pixels = (slice_hu() + 0.25).astype(dtype)
        ds = data_set(pixels, PixelData=None, BitsStored=None, HighBit=None, PixelRepresentation=None, Modality="OT")
        ds.RescaleSlope = ds.RescaleIntercept = None
        setattr(ds, keyword, pixels.tobytes())
        image = read_image(save(ds, tmp_path / "x.dcm"))
        np.testing.assert_array_equal(image.pixels, pixels)
        assert image.pixels.dtype == dtype


def test_32_bit_integers(tmp_path: Path) -> None:
    pixels = slice_hu().astype(np.int32) * 100_000
    image = read_image(dicom(tmp_path / "x.dcm", pixels, RescaleSlope=None, RescaleIntercept=None))
    np.testing.assert_array_equal(image.pixels, pixels)
    assert image.pixels.dtype == np.float64


class TestMonochrome1:
    """White is the minimum: a matter of display unless the values themselves are upside-down."""

    def test_plausible_hu_are_not_inverted(self, tmp_path: Path) -> None:
        image = read_image(dicom(tmp_path / "x.dcm", slice_hu(), PhotometricInterpretation="MONOCHROME1"))
        np.testing.assert_array_equal(image.pixels, slice_hu())
        assert image.meta["inverted"] is False

    def test_hu_whose_stored_values_were_inverted_are_put_right(self, tmp_path: Path) -> None:
        elements: dict[str, Any] = {"BitsStored": 12, "HighBit": 11, "RescaleIntercept": "-1024"}
        path = dicom(tmp_path / "x.dcm", 4095 - unsigned(), PhotometricInterpretation="MONOCHROME1", **elements)
        image = read_image(path)
        np.testing.assert_array_equal(image.pixels, unsigned().astype(np.int32) - 1024)
        assert image.meta["inverted"] is True
        as_tagged = read_image(path, units="hu")
        np.testing.assert_array_equal(as_tagged.pixels, 3071 - unsigned().astype(np.int32))

    def test_values_without_unit_are_inverted_within_their_bits(self, tmp_path: Path) -> None:
        elements: dict[str, Any] = {"Modality": "DX", "RescaleSlope": None, "RescaleIntercept": None}
        elements |= {"PhotometricInterpretation": "MONOCHROME1", "BitsStored": 12, "HighBit": 11}
        path = dicom(tmp_path / "x.dcm", unsigned(), **elements)
        np.testing.assert_array_equal(read_image(path).pixels, 4095 - unsigned())
        np.testing.assert_array_equal(read_image(path, units="stored").pixels, unsigned())
        signed = dicom(tmp_path / "y.dcm", slice_hu(), **(elements | {"BitsStored": 16, "HighBit": 15}))
        np.testing.assert_array_equal(read_image(signed).pixels, -1 - slice_hu())


def test_no_preamble_is_read_if_it_is_a_data_set(tmp_path: Path) -> None:
    path = dicom(tmp_path / "x.dcm", slice_hu())
    whole = path.read_bytes()
    path.write_bytes(whole[132:])
    np.testing.assert_array_equal(read_image(path).pixels, slice_hu())
    bare = tmp_path / "bare.dcm"
    for implicit in (True, False):
        ds = data_set(slice_hu())
        del ds.file_meta
        ds.save_as(bare, implicit_vr=implicit, little_endian=True)
        np.testing.assert_array_equal(read_image(bare).pixels, slice_hu())


def test_facts_are_flat_and_json_able(tmp_path: Path) -> None:
    import json

    path = dicom(
        tmp_path / "x.dcm",
        slice_hu(),
        PatientID="P^1",
        PatientAge="061Y",
        Manufacturer="Müller",
        SpecificCharacterSet="ISO_IR 100",
        WindowCenter=[40, -600],
        WindowWidth=[400, 1500],
        PixelSpacing=[0.7, 0.8],
        ConvolutionKernel=["B30f", "2"],
    )
    image = read_image(path)
    meta = image.meta
    assert json.loads(json.dumps(meta)) == meta
    assert (meta["patient_id"], meta["patient_age"], meta["manufacturer"]) == ("P^1", "061Y", "Müller")
    assert (meta["window_center"], meta["window_width"], meta["kernel"]) == (40, 400, "B30f/2")
    assert image.spacing == (0.7, 0.8)
    assert image.padding is None
