"""Bytes and open files are read as the file that holds them is."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import blosc2
import fsspec
import h5py
import numpy as np
import PIL.Image
import pytest

import ctfast
from ctfast.errors import ArgumentError, CTFastError, FileFormatError
from ctfast.files import Limits, read_image, write_image
from ctfast.files.formats import READ
from ctfast.files.geometry import Geometry
from tests.files.files_build import dicom, slice_hu

IMAGE = slice_hu()
PLACE = Geometry.of(np.array([[0.0, 0.0, 0.7, 1.0], [0.0, 0.8, 0.0, 2.0], [2.5, 0.0, 0.0, 3.0]]))


def hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("ct", data=IMAGE, compression="gzip")


def written(**options: Any) -> Callable[[Path], None]:
    return lambda path: write_image(path, np.stack([IMAGE, IMAGE + 1]), units="hu", geometry=PLACE, **options)


FILES: dict[str, Callable[[Path], Any]] = {
    "plain.dcm": lambda path: dicom(path, IMAGE),
    "plain.tif": lambda path: write_image(path, IMAGE, units="hu", spacing=(0.7, 0.8)),
    "stack.tif": written(compression="zlib"),
    "a.npy": written(),
    "a.npz": lambda path: np.savez_compressed(path, IMAGE),
    "a.b2nd": lambda path: blosc2.asarray(IMAGE, urlpath=str(path)),
    "a.h5": hdf5,
    "a.nii": written(),
    "a.nii.gz": written(),
    "a.mha": written(compression="zlib"),
    "raw.mha": written(),
    "a.nrrd": written(),
    "a.png": lambda path: write_image(path, IMAGE.astype(np.uint16)),
    "a.jpg": lambda path: PIL.Image.fromarray(IMAGE.astype(np.uint8)).save(path),
}


def same(a: Any, b: Any) -> None:
    np.testing.assert_array_equal(a.pixels, b.pixels)
    assert a.pixels.dtype == b.pixels.dtype
    assert (a.units, a.format, a.padding, a.spacing, a.meta, a.geometry) == (
        *(b.units, b.format, b.padding, b.spacing, b.meta, b.geometry),
    )


@pytest.mark.parametrize("name", FILES)
def test_all_formats(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    FILES[name](path)
    by_name, data = read_image(path), path.read_bytes()
    for source in (data, bytearray(data), memoryview(data), io.BytesIO(data)):
        image = read_image(source)
        same(image, by_name)
        assert str(image.source) == "<bytes>"
    with path.open("rb") as file:
        image = read_image(file)
        assert not file.closed
    same(image, by_name)
    assert image.source == path
    assert read_image(data, units="stored").units == "stored"


def test_all_formats_that_are_files_are_here() -> None:
    assert {row.name for row in READ if not row.folder} == {
        {"nii": "nifti", "dcm": "dicom", "tif": "tiff", "h5": "hdf5", "mha": "metaimage", "jpg": "jpeg"}.get(end, end)
        for end in (name.removesuffix(".gz").rpartition(".")[2] for name in FILES)
    }


def test_open_files_of_fsspec_and_raw_ones(tmp_path: Path) -> None:
    write_image(tmp_path / "a.tif", IMAGE, units="hu")
    by_name, system = read_image(tmp_path / "a.tif"), fsspec.filesystem("memory")
    system.pipe_file("/in_memory/a.tif", (tmp_path / "a.tif").read_bytes())
    with fsspec.open("memory://in_memory/a.tif", "rb") as file:
        same(read_image(file), by_name)
    with pytest.raises(ArgumentError, match="with path as file"):
        read_image(fsspec.open("memory://in_memory/a.tif", "rb"))  # type: ignore[arg-type]
    with open(tmp_path / "a.tif", "rb", buffering=0) as file:
        same(read_image(file), by_name)
    system.rm("/in_memory", recursive=True)


def test_a_file_is_read_from_where_it_stands(tmp_path: Path) -> None:
    write_image(tmp_path / "a.tif", IMAGE, units="hu")
    data = (tmp_path / "a.tif").read_bytes()
    file = io.BytesIO(b"header" + data)
    file.seek(6)
    np.testing.assert_array_equal(read_image(file).pixels, IMAGE)
    with pytest.raises(FileFormatError, match=r"0 bytes; .*seek\(0\)"):
        read_image(file)


def test_content_decides_whatever_the_name(tmp_path: Path) -> None:
    write_image(tmp_path / "a.tif", IMAGE, units="hu")
    os.rename(tmp_path / "a.tif", tmp_path / "a.dcm")
    with pytest.raises(FileFormatError, match="named as DICOM"):
        read_image(tmp_path / "a.dcm")
    with (tmp_path / "a.dcm").open("rb") as file:
        assert read_image(file).format == "tiff"


def test_operations_take_them(tmp_path: Path) -> None:
    write_image(tmp_path / "a.tif", IMAGE, units="hu")
    image = read_image(io.BytesIO((tmp_path / "a.tif").read_bytes()))
    np.testing.assert_array_equal(ctfast.median_filter(image, 3), ctfast.median_filter(IMAGE, 3))


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        (b"", FileFormatError, "<bytes>: 0 bytes"),
        (b"no image at all", FileFormatError, "<bytes>: holds something else .*DICOM, TIFF.* are read"),
        (b"\0zarr store", FileFormatError, "folder of a Zarr store"),
        (b"II*\0broken", FileFormatError, "<bytes>: no page"),
        (io.StringIO("text"), ArgumentError, "gives str; open it for its bytes"),
        (3, ArgumentError, "type int; a path, bytes, or a file"),
        (None, ArgumentError, "type NoneType"),
        (IMAGE, ArgumentError, "type ndarray"),
    ],
    ids=["empty", "other", "store", "broken", "text", "number", "none", "array"],
)
def test_what_is_refused(source: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        read_image(source)


def test_closed_and_too_large_files(tmp_path: Path) -> None:
    file = io.BytesIO(b"x")
    file.close()
    with pytest.raises(ArgumentError, match=r"closed file.*an open file is needed"):
        read_image(file)
    with pytest.raises(FileFormatError, match="no image within the limits has as many"):
        read_image(io.BytesIO(bytes((64 << 20) + 11)), limits=Limits(max_bytes=10))


@pytest.mark.parametrize("name", ["/etc/hostname", "x.raw", "LIST"])
def test_bytes_never_choose_other_files(name: str) -> None:
    header = "ObjectType = Image\nNDims = 2\nDimSize = 4 4\nElementType = MET_UCHAR\nElementDataFile = "
    with pytest.raises(FileFormatError, match="pixels"):
        read_image(f"{header}{name}\n".encode())
    nrrd = f"NRRD0004\ntype: uint8\ndimension: 2\nsizes: 4 4\nencoding: raw\ndata file: {name}\n\n"
    with pytest.raises(FileFormatError, match="pixels"):
        read_image(nrrd.encode())


def outcome(path: Path, opened: bool) -> Any:
    try:
        with path.open("rb") as file:
            image = read_image(file if opened else path)
    except CTFastError as error:
        return type(error)
    return image.pixels.tobytes(), image.units, image.format, image.padding, str(image.geometry)


@pytest.mark.real_data
def test_awkward_and_bad_files_give_what_they_give_by_name(awkward: Path, bad: Path) -> None:
    compared = 0
    for path in sorted([*awkward.rglob("*"), *bad.rglob("*")]):
        if path.is_file() and 0 < path.stat().st_size < 4 << 20 and path.suffix not in (".mhd", ".nhdr", ".json"):
            expected = outcome(path, opened=False)
            if isinstance(expected, tuple):
                assert outcome(path, opened=True) == expected, path
                compared += 1
            else:  # a name that belies the content is no fault of bytes
                assert isinstance(outcome(path, opened=True), type | tuple)
    assert compared > 20
