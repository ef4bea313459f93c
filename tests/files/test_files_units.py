"""Values that a file calls HU and that cannot be HU; and those that can, however odd."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctfast.files import find_images, read_image, write_image
from ctfast.files.units import is_another_unit, is_unit
from tests.files.files_build import dicom


def body(size: int = 128, noise: float = 15) -> np.ndarray:
    """A made-up slice in HU: air, fat, soft tissue, lung, bone."""
    y, x = np.mgrid[:size, :size]
    r = np.hypot(x - size / 2 + 0.5, y - size / 2 + 0.5) / size
    hu = np.full((size, size), -1000.0)
    for radius, value in ((0.42, -100), (0.38, 40), (0.2, -850), (0.08, 300), (0.03, 1200)):
        hu[r < radius] = value
    hu += np.random.default_rng(1).normal(0, noise, hu.shape)
    return np.round(hu).astype(np.int64).clip(-1024, 3071)


def file_of(path: Path, stored: np.ndarray, signed: bool = False, **elements: Any) -> Path:
    words = (stored & 0xFFFF).astype(np.uint16)
    return dicom(path, words.view(np.int16) if signed else words, PixelRepresentation=int(signed), **elements)


IMPOSSIBLE = {
    "12 bits that wrapped": lambda hu: ((hu - 1) & 4095, {"BitsStored": 12, "HighBit": 11, "RescaleIntercept": "1"}),
    "signed pixels tagged unsigned": lambda hu: (hu, {}),
    "rescaled twice": lambda hu: (hu, {"signed": True, "RescaleIntercept": "-1024"}),
    "rescaled twice, by 1000": lambda hu: (hu, {"signed": True, "RescaleIntercept": "-1000"}),
    "far too low": lambda hu: (hu, {"signed": True, "RescaleIntercept": "-8192"}),
    "no intercept": lambda hu: (hu + 1024, {}),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
@pytest.mark.parametrize("noise", [0, 15])
def test_impossible_hu_are_unknown_and_say_why(tmp_path: Path, name: str, noise: float) -> None:
    stored, elements = IMPOSSIBLE[name](body(noise=noise))
    path = file_of(tmp_path / "x.dcm", stored, **{"RescaleIntercept": "0", **elements})
    image = read_image(path)
    assert image.units == "unknown"
    assert "cannot be HU" in str(image.meta["notes"])
    assert read_image(path, units="hu").units == "hu", "the caller may know better"


def test_other_formats_are_doubted_too(tmp_path: Path) -> None:
    wrapped = ((body() - 1) & 4095).astype(np.int16)
    for name in ("x.tif", "x.nii.gz"):
        write_image(tmp_path / name, wrapped, units="hu")
        assert read_image(tmp_path / name).units == "unknown"


def metal(hu: np.ndarray) -> np.ndarray:
    hu[50:70, 50:90] = 3071
    return hu


POSSIBLE = {
    "a plain slice": body(),
    "metal": metal(body()),
    "air alone": np.random.default_rng(0).normal(-1000, 30, (128, 128)),
    "water alone": np.random.default_rng(0).normal(0, 30, (128, 128)),
    "inside the abdomen": np.random.default_rng(0).normal(60, 40, (128, 128)),
    "padding that nobody declared": np.where(np.hypot(*(np.mgrid[:128, :128] - 63.5)) > 63, -2000, body()),
    "a large part of such padding": np.where(np.mgrid[:128, :128][0] > 60, -3024, body()),
    "air with such padding": np.where(np.mgrid[:128, :128][0] > 60, -2000, -1000),
    "a tiny picture": np.full((4, 4), 3000),
}


@pytest.mark.parametrize("name", POSSIBLE)
def test_possible_hu_stay_hu(tmp_path: Path, name: str) -> None:
    path = file_of(tmp_path / "x.dcm", np.round(POSSIBLE[name]).astype(np.int64), signed=True)
    image = read_image(path)
    assert image.units == "hu"
    assert "notes" not in image.meta


def test_declared_padding_is_no_reason_to_doubt(tmp_path: Path) -> None:
    hu = np.where(np.mgrid[:128, :128][0] > 30, 3000, body())
    assert read_image(file_of(tmp_path / "x.dcm", hu, signed=True)).units == "unknown"
    assert read_image(file_of(tmp_path / "x.dcm", hu, signed=True, PixelPaddingValue=3000)).units == "hu"


@pytest.mark.real_data
def test_real_slices_are_not_doubted(siim: Path) -> None:
    images = [read_image(item.path) for item in find_images([siim]).items]
    assert len(images) == 120
    assert {image.units for image in images} == {"hu"}


def test_words() -> None:
    assert all(map(is_unit, ("hu", "stored", "unknown", "US", "Z_EFF", "ED2W")))
    assert not any(map(is_unit, ("", "grey", "a" * 20, "Ü")))
    assert [is_another_unit(word) for word in ("hu", "unknown", "US", "Z_EFF")] == [False, False, False, True]
