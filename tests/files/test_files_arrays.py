"""NumPy archives and Blosc2 arrays, as NumPy and blosc2 write them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import blosc2
import numpy as np
import pytest

from ctfast.errors import FileFormatError
from ctfast.files import Limits, find_images, read_image
from tests.files.files_build import slice_hu

VOLUME = np.stack([slice_hu(seed=i) for i in range(3)])


def b2nd(path: Path, array: np.ndarray) -> Path:
    path.unlink(missing_ok=True)
    blosc2.asarray(array, urlpath=str(path))
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("dtype", ["uint8", "int16", ">i2", "int32", "float32", "float64"])
def test_npz(tmp_path: Path, dtype: str, save: Any) -> None:
    pixels = (np.abs(VOLUME) % 100).astype(dtype)
    save(tmp_path / "x.npz", ct=pixels, spacing=np.ones(3), patient=np.array("one"))
    image = read_image(tmp_path / "x.npz")
    np.testing.assert_array_equal(image.pixels, pixels)
    assert (image.units, image.format, image.meta["array"]) == ("unknown", "npz", "ct")
    assert [item.path.name for item in find_images([tmp_path]).items] == ["x.npz"]
    last = np.ascontiguousarray(np.moveaxis(pixels, 0, -1))
    save(tmp_path / "y.npz", last)
    np.testing.assert_array_equal(read_image(tmp_path / "y.npz", axes="last").pixels, pixels)
    with pytest.raises(FileFormatError, match=r"--axes|colour"):
        read_image(tmp_path / "y.npz")


def test_npz_that_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, image=VOLUME, mask=VOLUME)
    with pytest.raises(FileFormatError, match=r"2 images in the archive \(image, mask\); save one"):
        read_image(path)
    np.savez(path, a=np.ones(3))
    with pytest.raises(FileFormatError, match=r"0 images in the archive \(a\)"):
        read_image(path)
    np.savez(path, a=np.full((4, 5), None, dtype=object))
    with pytest.raises(FileFormatError, match="0 images"):
        read_image(path)
    np.savez(path, VOLUME)
    with pytest.raises(FileFormatError, match="limit is 100"):
        read_image(path, limits=Limits(max_bytes=100))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(FileFormatError, match=r"cannot be read as NumPy .npz"):
        read_image(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", "text")
    with pytest.raises(FileFormatError, match="a ZIP archive"):
        read_image(path)


def test_npz_sizes_are_checked_before_decoding(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez_compressed(path, np.zeros((5000, 5000), np.int32))
    with pytest.raises(FileFormatError, match="bomb"):
        read_image(path)
    np.save(tmp_path / "x.npy", VOLUME)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", (tmp_path / "x.npy").read_bytes()[:-1])
    with pytest.raises(FileFormatError, match=r"truncated|cannot be read"):
        read_image(path)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32", "float64"])
def test_b2nd(tmp_path: Path, dtype: str) -> None:
    pixels = (np.abs(VOLUME) % 100).astype(dtype)
    for array in (pixels, pixels[None], pixels[0]):
        image = read_image(b2nd(tmp_path / "x.b2nd", array))
        np.testing.assert_array_equal(image.pixels, array[0] if array.ndim == 4 else array)
        assert (image.units, image.format, image.geometry) == ("unknown", "b2nd", None)
    assert [item.path.name for item in find_images([tmp_path]).items] == ["x.b2nd"]


def test_b2nd_that_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.b2nd"
    for match, array in (
        ("no image", np.stack([VOLUME, VOLUME])),
        ("complex64", np.ones((4, 5), np.complex64)),
        ("bomb", np.zeros((5000, 5000), np.int32)),
        ("no pixel is a finite number", np.full((8, 8), np.nan, np.float32)),
    ):
        with pytest.raises(FileFormatError, match=match):
            read_image(b2nd(path, array))
    whole = b2nd(path, VOLUME).read_bytes()
    with pytest.raises(FileFormatError, match="limit is 100"):
        read_image(path, limits=Limits(max_bytes=100))
    path.write_bytes(whole[:-40])
    with pytest.raises(FileFormatError, match="cannot be read as Blosc2"):
        read_image(path)
