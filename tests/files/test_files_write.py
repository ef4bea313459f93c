"""Writing: what is written is read back, and never half of it is left."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import skimage.io
import tifffile

from ctfast import Pipeline, Step, runner
from ctfast.errors import ArgumentError, DTypeError, MissingDependencyError, ShapeError
from ctfast.files import read_image, write_image
from tests.files.files_build import slice_hu

DTYPES = ["uint8", "int16", "uint16", "float32", "float64"]


@pytest.mark.parametrize("name", ["x.tif", "x.TIFF", "x.npy", "x.nii", "x.nii.gz"])
@pytest.mark.parametrize("shape", [(20, 24), (1, 1), (3, 20, 24), (1, 5, 6)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_round_trip(tmp_path: Path, dtype: str, shape: tuple[int, ...], name: str, rng: np.random.Generator) -> None:
    pixels = (rng.random(shape) * 200).astype(dtype)
    path = tmp_path / name
    write_image(path, pixels, units="hu", spacing=None if name == "x.npy" else (0.5, 0.25))
    image = read_image(path)
    expected = pixels[0] if len(shape) == 3 and shape[0] == 1 and name != "x.npy" else pixels
    np.testing.assert_array_equal(image.pixels, expected)
    if name != "x.npy":
        assert (image.units, image.spacing) == ("hu", (0.5, 0.25))
    assert [item.name for item in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(("compression", "level"), [("none", None), ("zlib", 1), ("zstd", 3), ("lzw", None)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_compressions(tmp_path: Path, dtype: str, compression: Any, level: int | None) -> None:
    pixels = np.stack([slice_hu(64, 64, seed=i) for i in range(2)]).astype(dtype)
    write_image(tmp_path / "x.tif", pixels, compression=compression, level=level)
    np.testing.assert_array_equal(read_image(tmp_path / "x.tif").pixels, pixels)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "x.tif"), pixels)


def test_any_memory_layout(tmp_path: Path) -> None:
    pixels = np.asfortranarray(slice_hu().astype(">i2"))[::-1, ::2]
    pixels.flags.writeable = False
    for name in ("x.tif", "x.npy", "x.nii"):
        write_image(tmp_path / name, pixels)
        np.testing.assert_array_equal(read_image(tmp_path / name).pixels, pixels)


def test_what_was_read_is_written_with_its_facts(tmp_path: Path) -> None:
    """An image in the place of an array: its units and its place go with it, as nibabel sees them."""
    pixels, affine = slice_hu(20, 24), np.array([[0.5, 0, 0, -40], [0, 0.25, 0, 30], [0, 0, 2, 7], [0, 0, 0, 1.0]])
    nibabel.save(nibabel.Nifti1Image(pixels.T[..., None], affine), tmp_path / "a.nii")
    image = read_image(tmp_path / "a.nii")
    write_image(tmp_path / "b.nii", image, units="hu")
    again = nibabel.load(tmp_path / "b.nii")
    np.testing.assert_array_equal(np.asarray(again.dataobj)[..., 0], pixels.T)
    np.testing.assert_allclose(again.affine, affine)
    write_image(tmp_path / "c.tif", replace(read_image(tmp_path / "b.nii"), padding=-2000.0))
    back = read_image(tmp_path / "c.tif")
    assert (back.units, back.spacing, back.padding) == ("hu", (0.25, 0.5), -2000.0)
    write_image(tmp_path / "d.tif", back, units="stored", spacing=(1, 2), padding=0)
    given = read_image(tmp_path / "d.tif")
    assert (given.units, given.spacing, given.padding) == ("stored", (1, 2), 0)
    write_image(tmp_path / "e.tif", back, units="unknown")
    assert read_image(tmp_path / "e.tif").units == "unknown"


def test_lists_and_tensors_are_arrays(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    write_image(tmp_path / "x.tif", torch.arange(6, dtype=torch.int16).reshape(2, 3))
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "x.tif"), np.arange(6).reshape(2, 3))
    with pytest.raises(DTypeError, match="int64"):
        write_image(tmp_path / "y.tif", [[1, 2], [3, 4]])


@pytest.mark.parametrize("name", ["x.tif", "x.npy", "x.nii.gz", "x.png"])
def test_equal_images_give_equal_files(tmp_path: Path, name: str) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_image(tmp_path / folder / name, np.abs(slice_hu()).astype(np.uint16))
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("shape", [(1, 1), (20, 24)])
def test_png_is_read_by_others(tmp_path: Path, shape: tuple[int, int], dtype: str, rng: np.random.Generator) -> None:
    pixels = rng.integers(0, np.iinfo(dtype).max, shape, dtype)
    write_image(tmp_path / "x.png", pixels)
    np.testing.assert_array_equal(skimage.io.imread(tmp_path / "x.png"), pixels)


def test_tiff_tags(tmp_path: Path) -> None:
    write_image(tmp_path / "x.tif", slice_hu(), spacing=(0.5, 0.25))
    with tifffile.TiffFile(tmp_path / "x.tif") as file:
        page = file.pages[0]
        assert (page.get_resolution("MILLIMETER")) == pytest.approx((4, 2))
        assert page.software.startswith("ctfast ")
        assert page.datetime is None


def test_a_failure_leaves_the_older_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.tif"
    write_image(path, slice_hu())
    before = path.read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tifffile.TiffWriter, "write", fail)
    with pytest.raises(OSError, match="No space"):
        write_image(path, slice_hu() + np.int16(1), compression="zlib")
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["x.tif"]


def test_long_names_leave_room_for_the_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 251 + ".tif")
    write_image(path, slice_hu())
    assert path.exists()


@pytest.mark.parametrize(
    ("pixels", "options", "error"),
    [
        (np.zeros((2, 2), np.int32), {}, DTypeError),
        (np.zeros((2, 2), bool), {}, DTypeError),
        (np.zeros(4, np.int16), {}, ShapeError),
        (np.zeros((0, 4), np.int16), {}, ShapeError),
        (np.zeros((2, 2, 2, 2), np.int16), {}, ShapeError),
        (np.zeros((2, 2), np.int16), {"format": "png"}, DTypeError),
        (np.zeros((2, 2, 2), np.uint8), {"format": "png"}, ShapeError),
        (np.zeros((2, 2), np.int16), {"format": "bmp"}, ArgumentError),
        (np.zeros((2, 2), np.int16), {"format": "npy", "compression": "zlib"}, ArgumentError),
        (np.zeros((2, 2), np.int16), {"compression": "jpeg"}, ArgumentError),
        (np.zeros((2, 2), np.int16), {"compression": "zlib", "level": 10}, ArgumentError),
        (np.zeros((2, 2), np.int16), {"compression": "lzw", "level": 1}, ArgumentError),
        (np.zeros((2, 2), np.int16), {"units": "grey"}, ArgumentError),
        (np.zeros((2, 2), np.int16), {"spacing": (0, 1)}, ArgumentError),
        (np.zeros((2, 2), np.int16), {"padding": float("nan")}, ArgumentError),
        (np.zeros((2, 2), np.int16), {"description": {"units": "hu"}}, ArgumentError),
        (np.zeros((2, 2), np.int16), {"description": {"a": [1]}}, ArgumentError),
        (np.zeros((2, 2), np.int16), {"description": {"a": float("inf")}}, ArgumentError),
    ],
)
def test_wrong_arguments(tmp_path: Path, pixels: np.ndarray, options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        write_image(tmp_path / "x.tif", pixels, **options)
    assert not list(tmp_path.iterdir())


def test_unknown_extension(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"\.nii\.gz"):
        write_image(tmp_path / "x.dcm", slice_hu())


def test_missing_codec_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "ctfast\[codecs\]"'):
        write_image(tmp_path / "x.tif", slice_hu(), compression="zstd")


@pytest.mark.parametrize("end", ["tif", "zarr", "nii", "mha", "nrrd"])
def test_frames_of_an_unknown_place_keep_their_distance(tmp_path: Path, end: str) -> None:
    """A stack of ImageJ has spacings and no place; a run and ``write_image`` hand them on."""
    (tmp_path / "in").mkdir()
    pixels = np.arange(3 * 20 * 30, dtype=np.uint16).reshape(3, 20, 30)
    facts = {"axes": "ZYX", "unit": "mm", "spacing": 2.5}
    source = tmp_path / "in" / "a.tif"
    tifffile.imwrite(source, pixels, imagej=True, resolution=(1 / 0.7, 1 / 0.8), metadata=facts)
    write_image(tmp_path / f"b.{end}", read_image(source))
    runner.run(tmp_path / "in", tmp_path / "out", Pipeline([Step("median_filter", size=1)]), format=end)
    for path in (tmp_path / f"b.{end}", next((tmp_path / "out").glob("a.*"))):
        image = read_image(path)
        assert image.spacing == pytest.approx((0.8, 0.7))
        assert image.meta["slice_spacing"] == pytest.approx(2.5)
        assert image.geometry is None
    if end in ("nii", "mha", "nrrd"):
        size = sitk.ReadImage(str(tmp_path / f"b.{end}")).GetSpacing()
        np.testing.assert_allclose(size, (0.7, 0.8, 2.5), rtol=1e-6)
    with pytest.raises(ArgumentError, match="slice_spacing"):
        write_image(tmp_path / f"c.{end}", pixels, spacing=(1.0, 1.0), slice_spacing=-1.0)
