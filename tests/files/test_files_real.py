"""Real and malformed files of ``../shared/data``; said aloud when they are not here."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
import tifffile

from ctfast.errors import FileFormatError
from ctfast.files import Image, find_images, read_image, read_overview

pytestmark = pytest.mark.real_data

# What this project decided for the entries of the manifest that leave it open: a word of the error, or None for "read".
POLICY = {
    "._ID_0000_AGE_0060_CONTRAST_1_CT.tif": None,  # taken when named; find_images skips it
    "ID_12345_AGE_0101_CONTRAST_1_CT.tif": None,
    "bits4.tif": None,
    "bomb_deflate_40k_1bit.tif": "mask",
    "bool_1bit.tif": "mask",
    "cmyk.tif": "CMYK",
    "dcm_bits12_junk_high.dcm": None,
    "dcm_modality_mr.dcm": None,
    "dcm_multiframe3.dcm": None,
    "dcm_no_preamble.dcm": None,
    "dtype_i1.tif": None,
    "float_all_nan.tif": "finite",
    "float_huge.tif": None,
    "float_nan.tif": None,
    "id_0002_age_0074_contrast_1_ct.tif": None,
    "miniswhite.tif": None,
    "multipage_mixed.tif": "differs",
    "palette.tif": "palette",
    "rgb_u8.tif": "RGB",
    "strip_offset_past_eof.tif": "truncated",
}
# Of the unusual real files, those that hold no grey image: colour, no pixels, or an impossible number of frames.
REFUSED = {
    "OT-PAL-8-face.dcm": "colour",
    "ExplVR_BigEnd.dcm": "colour",
    "badVR.dcm": "NumberOfFrames",
    "meta_missing_tsyntax.dcm": "missing",
    "no_meta_group_length.dcm": "no pixel data",
}


def test_every_entry_of_the_manifest(bad: Path, capfd: pytest.CaptureFixture[str]) -> None:
    manifest = json.loads((bad / "manifest.json").read_text())
    assert {name for name, entry in manifest.items() if entry["expect"] == "policy"} == set(POLICY)
    for name, entry in manifest.items():
        path = bad / "files" / name
        word = POLICY.get(name) if entry["expect"] == "policy" else ""
        if entry["expect"] == "reject" or word:
            read = read_overview if name.endswith(".csv") else read_image
            with pytest.raises(FileFormatError, match=word or name.replace("+", ".")):
                read(path)
            continue
        image = read_image(path)
        if image.format == "tiff" and name != "miniswhite.tif":
            np.testing.assert_array_equal(image.pixels, tifffile.imread(path))
    assert capfd.readouterr().err == ""


def test_folders_skip_what_is_no_image(bad: Path) -> None:
    found = find_images([bad / "files"])
    ignored = {item.path.name for item in found.ignored}
    assert ignored == {"._ID_0000_AGE_0060_CONTRAST_1_CT.tif", "overview_bad.csv"}


def test_unusual_real_files(awkward: Path, capfd: pytest.CaptureFixture[str]) -> None:
    images: dict[str, Image] = {}
    for item in find_images([awkward]).items:
        name = item.path.name
        if name in REFUSED:
            with pytest.raises(FileFormatError, match=REFUSED[name]):
                read_image(item.path)
            continue
        images[name] = read_image(item.path)
        if images[name].format == "dicom" and name != "JPEG-lossy.dcm":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                expected = pydicom.dcmread(item.path).pixel_array
            np.testing.assert_array_equal(read_image(item.path, units="stored").pixels, expected)
    assert len(images) == 34
    assert capfd.readouterr().err == ""
    reference = images["hu_int16.tif"].pixels
    for name in ("hu_int16_big.tif", "hu_int16_tiled128_zstd.tif", "ge_int16_rle.dcm", "ge_int16_jls.dcm"):
        np.testing.assert_array_equal(images[name].pixels, reference)
    siemens = images["siemens_u12_rle.dcm"].pixels
    for name in ("siemens_u12_jls.dcm", "siemens_u12_monochrome1.dcm"):
        np.testing.assert_array_equal(images[name].pixels, siemens)
    assert images["siemens_multiframe.dcm"].pixels.shape == (3, 512, 512)
    assert images["hu_int16_3slices.nii.gz"].pixels.shape == (3, 512, 512)
    assert images["GE_11.dcm"].padding == -1500
    assert images["ge_int16_deflated.dcm"].padding == -2048
    assert "the declared padding -3024 is in no pixel" in str(images["ge_int16_deflated.dcm"].meta["notes"])


def test_siim_pairs_are_equal_but_for_fractional_slopes(siim: Path) -> None:
    rows = read_overview(siim / "overview.csv")
    assert len(rows) == 60
    fractional = 0
    for row in rows:
        tiff = read_image(siim / "tiff_images" / row.tiff_name)
        dicom = read_image(siim / "dicom_dir" / row.dicom_name)
        assert tiff.units == dicom.units == "hu"
        assert (tiff.pixels.dtype, tiff.meta["stored_dtype"]) == (np.int16, "float64")
        if dicom.pixels.dtype == np.int16:
            np.testing.assert_array_equal(tiff.pixels, dicom.pixels)
        else:
            fractional += 1
            assert float(str(dicom.meta["rescale_slope"])) % 1 > 0
            assert float(np.abs(dicom.pixels - tiff.pixels).max()) < 1
    assert fractional == 8
