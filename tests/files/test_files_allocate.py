"""Reading into the caller's array: the same bits, asked for once, with what an image without it would have."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import tifffile

from ctfast.errors import ArgumentError, CTFastError, FileFormatError, ShapeError
from ctfast.files import Image, UnitsChoice, find_images, read_image
from tests.files.files_build import dicom, rescale_group, slice_hu


class Given:
    """A ``allocate`` that remembers; what it gives is full of junk."""

    def __init__(self) -> None:
        self.arrays: list[np.ndarray] = []

    def __call__(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        self.arrays.append(np.full(shape, 77, dtype))
        return self.arrays[-1]


def assert_same(path: Path, units: UnitsChoice = "auto") -> Image:
    """Reading with and without ``allocate`` gives the same image."""
    want, given = read_image(path, units=units), Given()
    got = read_image(path, units=units, allocate=given)
    [array] = given.arrays
    assert got.pixels is array
    assert (got.pixels.dtype, got.pixels.shape) == (want.pixels.dtype, want.pixels.shape)
    assert got.pixels.tobytes() == want.pixels.tobytes()
    for field in fields(Image):
        if field.name != "pixels":
            assert getattr(got, field.name) == getattr(want, field.name)
    assert want.pixels.flags.writeable
    assert want.pixels.flags.c_contiguous
    return got


def pixels_of(dtype: str, add: float = 0) -> np.ndarray:
    return (np.abs(slice_hu()) % 120 + np.float64(add)).astype(dtype)


def tiff(path: Path, pixels: np.ndarray, **options: Any) -> Path:
    tifffile.imwrite(path, pixels, **{"photometric": "minisblack", "metadata": None, **options})
    return path


def nifti(path: Path, data: np.ndarray, slope: float = 1, intercept: float = 0) -> Path:
    volume: Any = nibabel.Nifti1Image(data.T, np.eye(4))
    volume.header.set_slope_inter(slope, intercept)
    volume.to_filename(path)
    return path


DTYPES = ("uint8", "int8", "int16", "uint16", ">i2", "int32", "uint32", "float16", "float32", ">f4", "float64")


@pytest.mark.parametrize("dtype", DTYPES)
def test_tiff_and_npy_of_all_dtypes(tmp_path: Path, dtype: str) -> None:
    for add in (0, 0.5) if "f" in dtype else (0, 100_000) if "32" in dtype else (0,):
        pixels = pixels_of(dtype, add)
        for stack in (pixels, np.stack([pixels, pixels[::-1]])):
            assert_same(tiff(tmp_path / "x.tif", stack, byteorder=">" if ">" in dtype else "<"))
            assert_same(tiff(tmp_path / "x.tif", stack, compression="zlib"))
            for array in (stack, np.asfortranarray(stack)):
                np.save(tmp_path / "x.npy", array)
                np.testing.assert_array_equal(assert_same(tmp_path / "x.npy").pixels, array)


@pytest.mark.parametrize(
    "options",
    [
        {"tile": (16, 16)},
        {"rowsperstrip": 7, "compression": "lzw"},
        {"compression": "zlib", "predictor": 2},
        {"photometric": "miniswhite"},
        *({"extratags": [(274, 3, 1, turn, True)]} for turn in range(9)),
        {"extratags": [(274, 3, 1, 6, True)], "photometric": "miniswhite"},
        {"description": "ImageJ=1.53t\ncf=0\nc0=-32768.0\nc1=1.0\n"},
        {"description": "ImageJ=1.53t\ncf=0\nc0=-3.25\nc1=.5\n"},
        {"description": "ImageJ=1.53t\ncf=0\nc0=-32768.0\nc1=100.0\n", "photometric": "miniswhite"},
    ],
    ids=str,
)
def test_tiff_layouts_turns_and_calibrations(tmp_path: Path, options: dict[str, Any]) -> None:
    for dtype in ("uint8", "uint16", "uint32"):
        assert_same(tiff(tmp_path / "x.tif", pixels_of(dtype), **options))
        assert_same(tiff(tmp_path / "x.tif", np.stack([pixels_of(dtype)] * 3), **options), "stored")
    if "predictor" not in options and "photometric" not in options:
        assert_same(tiff(tmp_path / "x.tif", pixels_of("float64"), **options))


@pytest.mark.parametrize(
    "elements",
    [
        {},
        {"RescaleSlope": None, "RescaleIntercept": None},
        {"RescaleIntercept": "-1024"},
        {"RescaleSlope": "2", "RescaleIntercept": "30000"},
        {"RescaleSlope": "1.5", "RescaleIntercept": "-1024"},
        {"RescaleSlope": "70000", "RescaleIntercept": "1"},
        {"BitsStored": 12, "HighBit": 11},
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"PhotometricInterpretation": "MONOCHROME1", "Modality": "DX", "RescaleSlope": None, "RescaleIntercept": None},
        {"FloatPixelData": True},
    ],
    ids=str,
)
def test_dicom(tmp_path: Path, elements: dict[str, Any]) -> None:
    choices: tuple[UnitsChoice, ...] = ("auto", "stored", "hu")
    for dtype in ("uint8", "int16", "uint16", "int32"):
        own = {} if dtype in ("int16", "uint16") else {"BitsStored": None, "HighBit": None}
        pixels = pixels_of(dtype)
        if "FloatPixelData" in elements:
            data = pixels.astype(np.float32).tobytes()
            own = {"PixelData": None, "FloatPixelData": data, "BitsAllocated": 32, "BitsStored": None, "HighBit": None}
        for units in choices:
            assert_same(dicom(tmp_path / "x.dcm", pixels, **{**elements, **own}), units)


def test_dicom_frames_with_a_rescale_each(tmp_path: Path) -> None:
    groups = [rescale_group(slope, -1024) for slope in (1, 2, 1.5)]
    frames = np.stack([pixels_of("uint16")] * 3)
    for some in (groups[:2], groups):
        path = dicom(tmp_path / "x.dcm", frames[: len(some)], PerFrameFunctionalGroupsSequence=some)
        assert assert_same(path).pixels.shape == (len(some), 20, 24)


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
def test_nifti(tmp_path: Path, name: str) -> None:
    for dtype in ("uint8", "int8", "int16", "uint16", "int32", "float32", "float64"):
        for scaling in ((1, 0), (2, -1024), (0.5, 3)):
            assert_same(nifti(tmp_path / name, np.stack([pixels_of(dtype)] * 2), *scaling))


def outcome(read: Callable[[], Image]) -> tuple[object, ...]:
    try:
        image = read()
    except CTFastError as error:
        return type(error), str(error)
    return image.pixels.dtype, image.pixels.shape, image.pixels.tobytes(), str(image.meta), image.units, image.padding


@pytest.mark.real_data
def test_every_real_and_malformed_file(siim: Path, awkward: Path, bad: Path) -> None:
    read = failed = 0
    for item in find_images([siim, awkward, bad / "files", *(bad / "files").glob("*.tif")]).items:
        given = Given()
        want = outcome(lambda path=item.path: read_image(path))  # type: ignore[misc]
        assert outcome(lambda path=item.path, own=given: read_image(path, allocate=own)) == want  # type: ignore[misc]
        assert len(given.arrays) <= 1
        if len(want) > 2:
            read += 1
            assert given.arrays[0].tobytes() == want[2]
        failed += len(want) == 2
    assert read > 150
    assert failed > 20


@pytest.mark.parametrize("name", ["x.tif", "x.npy", "x.dcm"])
def test_no_second_array_where_the_format_allows_it(tmp_path: Path, name: str) -> None:
    pixels, path = slice_hu(512, 512), tmp_path / name
    if name == "x.tif":
        tiff(path, pixels)
    elif name == "x.npy":
        np.save(path, pixels)
    else:
        dicom(path, pixels, RescaleIntercept="-24")
    own = np.empty_like(pixels)
    read_image(path, allocate=lambda shape, dtype: own)  # what is imported or compiled at first does not count
    tracemalloc.start()
    read_image(path, allocate=lambda shape, dtype: own)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    the_file_itself = 0 if name == "x.npy" else path.stat().st_size  # plain ones are read in one go
    assert peak - the_file_itself < pixels.nbytes // 2  # Python 3.14 reads through 128 KB


def test_a_file_that_fails_after_it_was_given_an_array(tmp_path: Path) -> None:
    path = tiff(tmp_path / "x.tif", slice_hu(), compression="zlib")
    with tifffile.TiffFile(path) as file:
        start, size = file.pages[0].dataoffsets[0], file.pages[0].databytecounts[0]  # type: ignore[union-attr]
    data = bytearray(path.read_bytes())
    data[start + 2 : start + size] = bytes(size - 2)
    path.write_bytes(data)
    nothing = tiff(tmp_path / "nan.tif", np.full((4, 5), np.nan, np.float32))
    for broken in (path, nothing):
        given = Given()
        with pytest.raises(FileFormatError, match=broken.name):
            read_image(broken, allocate=given)
        assert len(given.arrays) == 1


def test_a_file_that_gets_shorter_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, slice_hu(512, 512))

    def allocate(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        os.truncate(path, 300_000)
        return np.empty(shape, dtype)

    with pytest.raises(FileFormatError, match="truncated while it was read: 299872 of 524288 bytes"):
        read_image(path, allocate=allocate)


@pytest.mark.parametrize("error", [RuntimeError("no room"), ShapeError("no image"), MemoryError()])
def test_what_the_callers_allocate_raises_is_not_the_files_fault(tmp_path: Path, error: Exception) -> None:
    np.save(tmp_path / "x.npy", slice_hu())

    def allocate(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        raise error

    for path in (tmp_path / "x.npy", tiff(tmp_path / "x.tif", slice_hu()), dicom(tmp_path / "x.dcm", slice_hu())):
        with pytest.raises(type(error)) as seen:
            read_image(path, allocate=allocate)
        assert seen.value is error


def test_another_array_than_was_asked_for_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", slice_hu())
    fixed = np.empty((20, 24), np.int16)
    fixed.flags.writeable = False
    for array in (np.empty((20, 25), np.int16), np.empty((20, 24), np.uint16), np.empty((24, 20), np.int16).T, fixed):
        with pytest.raises(ArgumentError, match="allocate gave"):
            read_image(tmp_path / "x.npy", allocate=lambda shape, dtype, array=array: array)  # type: ignore[misc]
