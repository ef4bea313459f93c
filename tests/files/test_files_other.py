"""``.npy`` and NIfTI, the choice of the format, and what holds for all readers."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import tifffile

from ctfast.errors import ArgumentError, CTFastError, FileFormatError, MissingDependencyError
from ctfast.files import Limits, read_image, write_image
from ctfast.files._decoder_errors import decoding
from tests.files.files_build import dicom, raw_tiff, slice_hu


def nifti(path: Path, data: np.ndarray, **header: Any) -> Path:
    volume: Any = nibabel.Nifti1Image(data, np.diag([-0.7, -0.8, 2.0, 1.0]))
    volume.header.set_xyzt_units("mm")
    for key, value in header.items():
        volume.header[key] = value
    nibabel.save(volume, path)
    return path


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz", "X.NII.GZ"])
def test_nifti_axes_are_frames_rows_columns(tmp_path: Path, name: str) -> None:
    frames = np.stack([slice_hu(seed=i) for i in range(3)])
    image = read_image(nifti(tmp_path / name, frames.T))
    np.testing.assert_array_equal(image.pixels, frames)
    assert (image.pixels.dtype, image.units, image.format) == (np.int16, "unknown", "nifti")
    assert image.spacing == pytest.approx((0.8, 0.7))
    assert (image.meta["orientation"], image.meta["slice_spacing"]) == ("LPS", 2)
    assert image.pixels.flags.c_contiguous


def test_nifti_scaling_is_applied_unless_stored_values_are_wanted(tmp_path: Path) -> None:
    stored = (slice_hu().astype(np.int32) + 1024).astype(np.uint16)
    path = tmp_path / "x.nii"
    volume: Any = nibabel.Nifti1Image(stored.T[:, :, None], np.diag([-1, -1, 1, 1]))
    volume.header.set_slope_inter(2, -1024)
    volume.header["vox_offset"] = 352
    path.write_bytes(volume.header.binaryblock + bytes(4) + stored.tobytes())
    image = read_image(path)
    np.testing.assert_array_equal(image.pixels, 2 * stored.astype(np.int32) - 1024)
    np.testing.assert_array_equal(read_image(path, units="stored").pixels, stored)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("dtype", ["i8", "u8"])
@pytest.mark.parametrize("line", [None, (2.0, -7.0), (0.5, 0.0)], ids=str)
def test_nifti_of_64_bits_as_older_nibabels_wrote_masks(
    tmp_path: Path, dtype: str, order: str, line: tuple[float, float] | None
) -> None:
    stored = np.arange(120).reshape(4, 5, 6).astype(dtype)
    header = nibabel.Nifti1Header(endianness=order)
    volume: Any = nibabel.Nifti1Image(stored, np.eye(4), header, dtype=stored.dtype)
    if line:
        volume.header.set_slope_inter(*line)
    path = tmp_path / "x.nii"
    nibabel.save(volume, path)
    loaded: Any = nibabel.load(path)
    image = read_image(path, orient="keep")
    np.testing.assert_array_equal(image.pixels.T, loaded.get_fdata())
    assert image.pixels.dtype == (np.float32 if line == (0.5, 0.0) else np.int16)


def test_nifti_kinds_that_are_refused(tmp_path: Path) -> None:
    for data in (np.zeros((4, 5, 6, 2), np.int16), np.zeros((4, 5), np.complex64)):
        with pytest.raises(FileFormatError):
            read_image(nifti(tmp_path / "x.nii", data))
    path = nifti(tmp_path / "x.nii", np.zeros((4, 5, 6), np.int16))
    with pytest.raises(FileFormatError, match="limit"):
        read_image(path, limits=Limits(max_bytes=239))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FileFormatError):
        read_image(path)


def test_nifti_trailing_axes_of_one_are_dropped(tmp_path: Path) -> None:
    assert read_image(nifti(tmp_path / "x.nii", np.ones((4, 5, 6, 1), np.int16))).pixels.shape == (6, 5, 4)
    assert read_image(nifti(tmp_path / "x.nii", np.ones((4, 5, 1), np.int16))).pixels.shape == (5, 4)


@pytest.mark.parametrize("dtype", ["uint8", ">i2", "<u2", "int64", "bool", "complex64", "O"])
def test_npy(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "x.npy"
    np.save(path, (np.abs(slice_hu()) % 2).astype(dtype), allow_pickle=True)
    if dtype in ("bool", "complex64", "O"):
        with pytest.raises(FileFormatError):
            read_image(path)
        return
    image = read_image(path)
    np.testing.assert_array_equal(image.pixels, np.abs(slice_hu()) % 2)
    assert image.pixels.dtype == {"uint8": "uint8", "<u2": "uint16"}.get(dtype, "int16")


def test_npy_layouts_and_shapes(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.asfortranarray(slice_hu()))
    np.testing.assert_array_equal(read_image(path).pixels, slice_hu())
    for shape in ((5,), (0, 4), (4, 5, 3), (4, 5, 4), (2, 2, 5, 5), ()):
        np.save(path, np.zeros(shape, np.int16))
        with pytest.raises(FileFormatError, match="shape"):
            read_image(path)


@pytest.mark.parametrize("shape", [(64, 64, 6), (64, 64, 70), (40, 60, 8)])
def test_npy_with_slices_last_is_refused_unless_said(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    path = tmp_path / "x.npy"
    array = np.arange(np.prod(shape), dtype=np.int32).reshape(shape) % 3000
    for dtype in (np.int16, np.float64):
        np.save(path, array.astype(dtype))
        with pytest.raises(FileFormatError, match=r"slices last.*--axes"):
            read_image(path)
        np.testing.assert_array_equal(read_image(path, axes="last").pixels, np.moveaxis(array, -1, 0))
        np.testing.assert_array_equal(read_image(path, axes="first").pixels, array)
    with pytest.raises(ArgumentError, match="first, last"):
        read_image(path, axes="middle")  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(6, 64, 64), (64, 64, 64), (300, 512, 400), (2, 9, 11), (1, 5, 6)])
def test_npy_with_slices_first_is_read(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    np.save(tmp_path / "x.npy", np.zeros(shape, np.uint8))
    assert read_image(tmp_path / "x.npy").pixels.shape == shape


def test_npy_sizes(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, slice_hu())
    with pytest.raises(FileFormatError, match="limit"):
        read_image(path, limits=Limits(max_bytes=100))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(FileFormatError, match="truncated"):
        read_image(path)
    path.write_bytes(whole.replace(b"(20, 24)", b"(1 << 9)"))
    with pytest.raises(FileFormatError, match="cannot be read as NumPy"):
        read_image(path)
    path.write_bytes(whole.replace(b"(20, 24)", b"(20, -4)"))
    with pytest.raises(FileFormatError):
        read_image(path)


class TestFormatByContent:
    def test_a_name_that_contradicts_the_content_is_refused(self, tmp_path: Path) -> None:
        dicom(tmp_path / "a", slice_hu()).rename(tmp_path / "a.tif")
        raw_tiff(tmp_path / "b.dcm", bytes(256))
        np.save(tmp_path / "c.npy", slice_hu())
        (tmp_path / "c.npy").rename(tmp_path / "c.nii")
        for name, held in (("a.tif", "DICOM"), ("b.dcm", "TIFF"), ("c.nii", "NumPy")):
            with pytest.raises(FileFormatError, match=f"holds {held}"):
                read_image(tmp_path / name)

    def test_unknown_extensions_go_by_content(self, tmp_path: Path) -> None:
        assert read_image(dicom(tmp_path / "IM.0001", slice_hu())).format == "dicom"
        assert read_image(raw_tiff(tmp_path / "scan", bytes(256))).format == "tiff"

    def test_a_file_that_is_both_is_what_its_name_says(self, tmp_path: Path) -> None:
        whole = dicom(tmp_path / "x.dcm", slice_hu()).read_bytes()
        (tmp_path / "x.dcm").write_bytes(b"II*\0" + whole[4:])
        assert read_image(tmp_path / "x.dcm").format == "dicom"
        (tmp_path / "x.dcm").rename(tmp_path / "x")
        assert read_image(tmp_path / "x").format == "dicom"

    @pytest.mark.parametrize(
        ("content", "word"),
        [
            (b"", "empty file"),
            (b"I", "something else"),
            (b"<!DOCTYPE html><html>", "HTML page"),
            (b"\x89PNG\r\n\x1a\n", "PNG"),
            (b"\xff\xd8\xff\xe0", "JPEG"),
            (b"\0\x05\x16\x07\0\x02\0\0", "AppleDouble"),
            (b"version https://git-lfs.github.com/spec/v1", "LFS"),
            (gzip.compress(b"text", mtime=0), "gzip"),
            (b"\x1f\x8b" + bytes(40), "gzip"),
            (bytes(600), "something else"),
        ],
    )
    def test_foreign_content_is_named(self, tmp_path: Path, content: bytes, word: str) -> None:
        for name in ("x.tif", "x"):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(FileFormatError, match=word):
                read_image(tmp_path / name)

    def test_no_regular_file(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe.tif")
        for path in (tmp_path, tmp_path / "pipe.tif", Path("a\0b.tif")):
            with pytest.raises(FileFormatError):
                read_image(path)
        with pytest.raises(FileNotFoundError):
            read_image(tmp_path / "absent.tif")


def test_units_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="'hounsfield'"):
        read_image(tmp_path / "x.tif", units="hounsfield")  # type: ignore[arg-type]


def test_missing_nibabel_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = nifti(tmp_path / "x.nii", np.ones((4, 5, 6), np.int16))
    monkeypatch.setitem(sys.modules, "nibabel", None)
    for act in (lambda: read_image(path), lambda: write_image(path, slice_hu())):
        with pytest.raises(MissingDependencyError, match=r'pip install "ctfast\[nifti\]"'):
            act()


@pytest.mark.parametrize(
    "error",
    [
        ZeroDivisionError("x"),
        AttributeError("x"),
        MemoryError(),
        RecursionError("x"),
        OSError("x"),
        StopIteration(),
        __import__("struct").error("x"),
    ],
)
def test_any_error_of_a_decoder_becomes_ours(error: Exception) -> None:
    word = f"a.tif: cannot be read as TIFF .{type(error).__name__}"
    with pytest.raises(FileFormatError, match=word) as caught, decoding(Path("a.tif"), "TIFF"):
        raise error
    assert caught.value.__cause__ is error


def test_interrupts_pass() -> None:
    with pytest.raises(KeyboardInterrupt), decoding(Path("a.tif"), "TIFF"):
        raise KeyboardInterrupt


def test_reading_in_threads_leaves_the_warning_filters_alone(tmp_path: Path) -> None:
    paths = [dicom(tmp_path / f"{i}.dcm", slice_hu(seed=i), PatientID="x") for i in range(4)]
    before = list(warnings.filters)
    threads = [threading.Thread(target=lambda: [read_image(path) for path in paths * 5]) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before


def test_nothing_heavy_is_imported_and_nothing_is_printed(tmp_path: Path) -> None:
    path = raw_tiff(tmp_path / "x.tif", bytes(200))
    code = (
        "import sys, ctfast.files\n"
        "heavy = {'tifffile', 'pydicom', 'nibabel', 'imagecodecs', 'numba', 'cupy', 'jax', 'ctkernels'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "try:\n"
        f"    ctfast.files.read_image({str(path)!r})\n"
        "except ValueError as error:\n"
        "    print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("refused\n", "", 0)


@pytest.mark.parametrize("kind", ["tif", "zlib.tif", "dcm", "npy", "nii"])
def test_random_damage_is_refused_or_read_as_an_image(tmp_path: Path, kind: str, rng: np.random.Generator) -> None:
    path = tmp_path / f"x.{kind}"
    if kind.endswith("tif"):
        tifffile.imwrite(path, slice_hu(), compression="zlib" if kind.startswith("zlib") else None)
    elif kind == "dcm":
        dicom(path, slice_hu(), PatientID="x", WindowCenter=40, PixelSpacing=[1, 1])
    elif kind == "npy":
        np.save(path, slice_hu())
    else:
        nifti(path, slice_hu())
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    small = Limits(max_bytes=1 << 22)
    for round_ in range(250):
        damaged = whole.copy()
        places = rng.integers(0, min(whole.size, 700), rng.integers(1, 6))
        damaged[places] = rng.choice(np.array([0, 1, 255, 128, *rng.integers(0, 256, 4)], np.uint8), places.size)
        keep = whole.size if round_ % 3 else int(rng.integers(1, whole.size))
        path.write_bytes(damaged[:keep].tobytes())
        try:
            image = read_image(path, limits=small)
        except CTFastError:
            continue
        assert image.pixels.dtype.name in ("uint8", "int16", "uint16", "float32", "float64")
        assert image.pixels.ndim in (2, 3)
        assert 0 < image.pixels.nbytes <= 8 * small.max_bytes


@pytest.mark.parametrize("units", ["auto", "stored"])
@pytest.mark.parametrize("name", ["x.tif", "x.npy", "x.nii", "x.nii.gz", "x.dcm"])
def test_pixels_are_plain_writeable_arrays(tmp_path: Path, name: str, units: Any) -> None:
    path = tmp_path / name
    if name == "x.dcm":
        dicom(path, slice_hu())
    else:
        write_image(path, slice_hu())
    pixels = read_image(path, units=units).pixels
    assert type(pixels) is np.ndarray
    assert pixels.flags.writeable
    assert pixels.flags.c_contiguous
    assert pixels.dtype.isnative
