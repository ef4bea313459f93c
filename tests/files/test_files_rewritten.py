"""CT that other software read and wrote again: padding and units that its header no longer says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from ctfast.files import read_image
from tests.files.files_build import dicom, slice_hu

PADDING = -3024


def padded() -> np.ndarray:
    hu = slice_hu(64, 64)
    hu[:10] = PADDING
    return hu


def original(path: Path, **changes: Any) -> Path:
    elements = {"PixelPaddingValue": PADDING + 1024, "RescaleIntercept": "-1024", "RescaleType": "HU", **changes}
    return dicom(path, (padded() + 1024).astype(np.int16), **elements)


def test_simpleitk_widens_the_pixels_and_not_their_padding(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.ReadImage(str(original(tmp_path / "a.dcm"))), str(tmp_path / "b.dcm"))
    image = read_image(tmp_path / "b.dcm")
    np.testing.assert_array_equal(image.pixels, padded())
    assert (image.padding, image.units, image.pixels.dtype.name) == (PADDING, "hu", "int16")


def test_padding_that_no_pixel_has_is_found_and_told(tmp_path: Path) -> None:
    image = read_image(original(tmp_path / "a.dcm", PixelPaddingValue=32767))
    assert image.padding == PADDING
    assert "31743 is in no pixel: -3024 is taken for padding" in str(image.meta["notes"])


@pytest.mark.parametrize("lowest", [-1024, -1090])
def test_a_slice_without_padding_has_what_its_header_says(tmp_path: Path, lowest: int) -> None:
    hu = slice_hu(64, 64).clip(lowest)
    image = read_image(dicom(tmp_path / "a.dcm", hu, PixelPaddingValue=-2000))
    assert (image.padding, image.meta.get("notes")) == (-2000, None)


def test_two_values_below_air_are_not_padding(tmp_path: Path) -> None:
    hu = padded()
    hu[:5] = -2000
    assert read_image(dicom(tmp_path / "a.dcm", hu, PixelPaddingValue=32767)).padding == 32767


def test_an_unspecified_type_of_ct_names_the_way_out(tmp_path: Path) -> None:
    path = original(tmp_path / "a.dcm", RescaleType="US", PixelPaddingValue=None)
    image = read_image(path)
    assert image.units == "US"
    assert "--units hu" in str(image.meta["notes"])
    confirmed = read_image(path, units="hu")
    assert (confirmed.units, confirmed.meta.get("notes")) == ("hu", None)
    np.testing.assert_array_equal(confirmed.pixels, padded())


@pytest.mark.parametrize("end", [-1500, -2000])
def test_a_value_within_the_declared_range_is_padding_as_declared(tmp_path: Path, end: int) -> None:
    hu = padded()
    hu[:10] = -1700
    image = read_image(dicom(tmp_path / "a.dcm", hu, PixelPaddingValue=-3500 - end, PixelPaddingRangeLimit=end))
    assert (image.padding_range, image.meta.get("notes")) == ((-2000, -1500), None)
    moved = read_image(tmp_path / "a.dcm", offset=-24)
    assert moved.padding_range == (-2024, -1524)


def test_padding_beside_a_declared_range_is_no_end_of_it(tmp_path: Path) -> None:
    """From there to the range at the bright end lies all of the patient."""
    image = read_image(dicom(tmp_path / "a.dcm", padded(), PixelPaddingValue=32000, PixelPaddingRangeLimit=32767))
    assert image.padding_range == (PADDING, PADDING)
    assert "32000 to 32767 is in no pixel: -3024 is taken" in str(image.meta["notes"])
