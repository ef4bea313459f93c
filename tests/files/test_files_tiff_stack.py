"""TIFF stacks that declare more images than they have directories, and the difference of display and data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from ctfast.errors import FileFormatError
from ctfast.files import Limits, read_image
from tests.files.files_build import slice_hu

STACK = np.stack([slice_hu(seed=k) for k in range(6)])


def shaped(path: Path, stack: np.ndarray, **options: Any) -> Path:
    tifffile.imwrite(path, stack, metadata={"axes": "ZYX"}, truncate=True, photometric="minisblack", **options)
    return path


def imagej(path: Path, stack: np.ndarray, images: int) -> Path:
    """As ImageJ writes stacks above 4 GB: one directory, the other images behind the first."""
    text = f"ImageJ=1.53t\nimages={images}\nslices={images}\n"
    tifffile.imwrite(path, stack[0], metadata=None, description=text, byteorder=">", photometric="minisblack")
    with path.open("r+b") as file, tifffile.TiffFile(path) as tif:
        file.seek(tif.pages[0].dataoffsets[0])  # type: ignore[union-attr]
        rest = file.read()
        file.seek(0, 2)
        behind = stack[1:].astype(stack.dtype.newbyteorder(">")).tobytes()
        assert rest[: stack[0].nbytes] == rest, "the pixels are the last part of the file"
        file.write(behind)
    return path


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32", "float64", "int32"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_one_directory_for_all_images_of_tifffile(tmp_path: Path, dtype: str, byteorder: Any) -> None:
    stack = np.abs(STACK).astype(dtype)
    path = shaped(tmp_path / "x.tif", stack, byteorder=byteorder)
    with tifffile.TiffFile(path) as tif:
        assert len(tif.pages) == 1
    np.testing.assert_array_equal(read_image(path).pixels, stack)
    np.testing.assert_array_equal(read_image(path).pixels, tifffile.imread(path))


def test_one_directory_for_all_images_of_imagej(tmp_path: Path) -> None:
    path = imagej(tmp_path / "x.tif", STACK, 6)
    np.testing.assert_array_equal(tifffile.imread(path), STACK)
    np.testing.assert_array_equal(read_image(path).pixels, STACK)


def test_declared_images_that_are_not_there(tmp_path: Path) -> None:
    path = shaped(tmp_path / "x.tif", STACK)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FileFormatError, match="declares 6 images"):
        read_image(path)
    path = imagej(tmp_path / "y.tif", STACK[:5], 6)
    with pytest.raises(FileFormatError, match="declares 6 images"):
        read_image(path)
    pages = tmp_path / "z.tif"
    with tifffile.TiffWriter(pages) as writer:
        for k, image in enumerate(STACK[:4]):
            text = "ImageJ=1.53t\nimages=6\nslices=6\n" if k == 0 else None
            writer.write(image, metadata=None, description=text, photometric="minisblack", contiguous=False)
    with pytest.raises(FileFormatError, match="declares 6 images in 4 pages"):
        read_image(pages)


@pytest.mark.parametrize("limits", [Limits(max_frames=5), Limits(max_bytes=STACK.nbytes - 1)])
def test_sizes_are_those_of_all_images(tmp_path: Path, limits: Limits) -> None:
    with pytest.raises(FileFormatError, match="the limit"):
        read_image(shaped(tmp_path / "x.tif", STACK), limits=limits)


def ome(path: Path, images: int, files: tuple[str, ...] = ()) -> Path:
    data = "".join(f'<TiffData IFD="0" PlaneCount="1"><UUID FileName="{name}">u</UUID></TiffData>' for name in files)
    text = (
        '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        f'<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="int16" SizeX="24" SizeY="20" '
        f'SizeC="1" SizeT="1" SizeZ="{images}">{data}</Pixels></Image></OME>'
    )
    with tifffile.TiffWriter(path) as writer:
        for k, image in enumerate(STACK[:5]):
            writer.write(
                image, metadata=None, description=text if k == 0 else None, photometric="minisblack", contiguous=False
            )
    return path


def test_ome_pages_that_are_missing(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_image(ome(tmp_path / "x.ome.tif", 5)).pixels, STACK[:5])
    with pytest.raises(FileFormatError, match="declares 8 images in 5 pages"):
        read_image(ome(tmp_path / "x.ome.tif", 8))
    image = read_image(ome(tmp_path / "x.ome.tif", 15, ("x.ome.tif", "y.ome.tif", "z.ome.tif")))
    assert image.pixels.shape == (5, 20, 24)
    assert image.meta["notes"] == "OME-TIFF of 3 files: 5 of 15 images are in this one"


@pytest.mark.parametrize("dtype", ["uint16", "uint8", "int16", "float32"])
def test_an_inverted_display_of_calibrated_values_changes_no_value(tmp_path: Path, dtype: str) -> None:
    """ImageJ's "Invert LUT" writes photometric 0 and the same pixels."""
    stored = np.abs(slice_hu() % 200).astype(dtype)
    text = "ImageJ=1.53t\ncf=0\nc0=-1024.0\nc1=1.0\n"
    images = []
    for photometric in ("minisblack", "miniswhite"):
        tifffile.imwrite(tmp_path / "x.tif", stored, metadata=None, description=text, photometric=photometric)
        images.append(read_image(tmp_path / "x.tif"))
    np.testing.assert_array_equal(images[0].pixels, images[1].pixels)
    np.testing.assert_array_equal(images[1].pixels, stored.astype(np.float64) - 1024)
    assert images[1].meta["inverted"] is False


@pytest.mark.parametrize(
    ("shape", "options", "said"),
    [
        ((2, 3, 1, 20, 24), {"imagej": True}, "2 x 3"),
        ((2, 3, 20, 24), {"ome": True, "metadata": {"axes": "TZYX"}}, "2 x 3"),
        ((2, 3, 20, 24), {}, "2 x 3"),
        ((1, 3, 1, 20, 24), {"imagej": True}, ""),
        ((6, 20, 24), {"ome": True, "metadata": {"axes": "ZYX"}}, ""),
        ((6, 20, 24), {}, ""),
        ((6, 20, 24), {"metadata": None}, ""),
    ],
    ids=str,
)
def test_images_along_several_axes_are_told(
    tmp_path: Path, shape: tuple[int, ...], options: dict[str, Any], said: str
) -> None:
    pixels = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    tifffile.imwrite(tmp_path / "x.tif", pixels, photometric="minisblack", **options)
    image = read_image(tmp_path / "x.tif")
    np.testing.assert_array_equal(image.pixels, pixels.reshape(-1, 20, 24))
    note = f"images along 2 axes ({said}): taken one after the other, as no volume"
    assert image.meta.get("notes", "") == (note if said else "")


IMAGEJ_SPACINGS = {
    "mm": ({"unit": "mm"}, (1 / 0.7, 1 / 0.8), None, (0.8, 0.7)),
    "micrometres": ({"unit": "um"}, (1 / 700, 1 / 800), None, (0.8, 0.7)),
    "micron": ({"unit": "micron"}, (1 / 700, 1 / 800), None, (0.8, 0.7)),
    "centimetres": ({"unit": "cm"}, (1 / 0.07, 1 / 0.08), "CENTIMETER", (0.8, 0.7)),
    "prints": ({"unit": "inch"}, (300, 300), "INCH", None),
    "pixels": ({"unit": "pixel"}, (1, 1), None, None),
    "no unit": ({}, (1 / 0.7, 1 / 0.8), None, None),
    "two units": ({"unit": "mm"}, (300, 300), "INCH", None),
}


@pytest.mark.parametrize("name", IMAGEJ_SPACINGS)
def test_spacing_of_imagej_is_read_where_its_unit_is_a_length(name: str, tmp_path: Path) -> None:
    facts, resolution, unit, expected = IMAGEJ_SPACINGS[name]
    metadata = {
        **facts,
        "axes": "ZYX",
        "spacing": {"micrometres": 2500, "micron": 2500, "centimetres": 0.25}.get(name, 2.5),
    }
    pixels = np.arange(3 * 20 * 30, dtype=np.uint16).reshape(3, 20, 30)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, imagej=True, resolution=resolution, resolutionunit=unit, metadata=metadata)
    image = read_image(path)
    assert image.spacing == (None if expected is None else pytest.approx(expected))
    assert image.meta.get("slice_spacing") == (None if expected is None else pytest.approx(2.5))


@pytest.mark.parametrize(
    ("sizes", "expected", "frame"),
    [
        ({"X": (700, "\u00b5m"), "Y": (0.08, "cm"), "Z": (2.5, "mm")}, (0.8, 0.7), 2.5),
        ({"X": (700, None), "Y": (800, None)}, (0.8, 0.7), None),
        ({"X": (0.7, "pixel"), "Y": (0.8, "pixel")}, None, None),
        ({}, None, None),
    ],
    ids=["each its unit", "micrometres where none is named", "pixels", "not said"],
)
def test_spacing_of_ome_tiff(
    sizes: dict[str, Any], expected: tuple[float, float] | None, frame: float | None, tmp_path: Path
) -> None:
    metadata: dict[str, Any] = {"axes": "ZYX"}
    for axis, (size, unit) in sizes.items():
        metadata[f"PhysicalSize{axis}"] = size
        metadata |= {f"PhysicalSize{axis}Unit": unit} if unit else {}
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, np.zeros((3, 20, 30), np.int16), ome=True, metadata=metadata)
    image = read_image(path)
    assert image.spacing == (None if expected is None else pytest.approx(expected))
    assert image.meta.get("slice_spacing") == (None if frame is None else pytest.approx(frame))


def test_times_are_no_planes_and_turned_pixels_turn_their_spacing(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    facts = {"axes": "TYX", "unit": "mm", "spacing": 2.5}
    resolution = (1 / 0.7, 1 / 0.8)
    tifffile.imwrite(path, np.zeros((3, 20, 30), np.uint16), imagej=True, resolution=resolution, metadata=facts)
    assert "slice_spacing" not in read_image(path).meta
    turned = [(274, "H", 1, 6, True)]
    tifffile.imwrite(
        path, np.zeros((20, 30), np.uint16), imagej=True, resolution=resolution, metadata={"unit": "mm"},
        extratags=turned,
    )  # fmt: skip
    image = read_image(path)
    assert image.pixels.shape == (30, 20)
    assert image.spacing == pytest.approx((0.7, 0.8))
