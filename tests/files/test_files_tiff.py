"""TIFF: every layout gives the right pixels, every policy of the module holds."""

from __future__ import annotations

import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from ctfast.errors import FileFormatError, MissingDependencyError
from ctfast.files import Limits, read_image, write_image
from tests.files.files_build import raw_tiff, slice_hu

KAGGLE = "ID_0007_AGE_0061_CONTRAST_1_CT.tif"


def put(path: Path, pixels: np.ndarray, **options: Any) -> Path:
    tifffile.imwrite(path, pixels, **{"photometric": "minisblack", "metadata": None, **options})
    return path


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32", "float64"])
def test_supported_dtypes_come_as_they_are(tmp_path: Path, dtype: str, order: str) -> None:
    pixels = (np.abs(slice_hu()) % 200).astype(dtype)
    if dtype == "float64":
        pixels += 0.5
    image = read_image(put(tmp_path / "x.tif", pixels, byteorder=order))
    assert image.pixels.dtype == np.dtype(dtype)
    assert image.pixels.dtype.isnative
    assert image.pixels.flags.c_contiguous
    np.testing.assert_array_equal(image.pixels, pixels)
    assert (image.format, image.units, image.meta["stored_dtype"]) == ("tiff", "unknown", dtype)


@pytest.mark.parametrize(
    ("stored", "high", "expected"),
    [
        ("int8", 100, "int16"),
        ("int32", 3000, "int16"),
        ("int32", 2**31 - 1, "float64"),
        ("uint32", 3000, "int16"),
        ("uint32", 65535, "uint16"),
        ("uint32", 2**32 - 1, "float64"),
        ("float16", 60000, "float32"),
        ("float64", 32767, "int16"),
        ("float64", 32768, "float64"),
    ],
)
def test_other_dtypes_become_the_smallest_that_is_exact(tmp_path: Path, stored: str, high: int, expected: str) -> None:
    pixels = np.zeros((5, 7), stored)
    pixels[2, 3] = high
    image = read_image(put(tmp_path / "x.tif", pixels))
    assert image.pixels.dtype == expected
    np.testing.assert_array_equal(image.pixels, pixels.astype(np.float64))


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "zlib"},
        {"compression": "zlib", "predictor": 2},
        {"compression": "lzw"},
        {"compression": "zstd"},
        {"compression": "lzma"},
        {"compression": "packbits"},
        {"tile": (16, 32)},
        {"tile": (16, 16), "compression": "zstd"},
        {"rowsperstrip": 7},
        {"rowsperstrip": 7, "compression": "zlib"},
        {"bigtiff": True},
        {"byteorder": ">", "tile": (16, 16)},
    ],
    ids=str,
)
@pytest.mark.parametrize("shape", [(70, 50), (3, 2), (1, 80), (3, 40, 37)], ids=str)
def test_layouts(tmp_path: Path, shape: tuple[int, ...], options: dict[str, Any]) -> None:
    pixels = np.stack([slice_hu(*shape[-2:], seed=i) for i in range(5)])[: shape[0] if len(shape) == 3 else 1]
    pixels = pixels.reshape(shape)
    if options.get("compression") == "packbits":
        pixels = np.abs(pixels).astype(np.uint8)
    image = read_image(put(tmp_path / "x.tif", pixels, **options))
    np.testing.assert_array_equal(image.pixels, pixels)
    assert image.pixels.dtype == pixels.dtype


def test_lossless_jpeg2000(tmp_path: Path) -> None:
    pixels = np.abs(slice_hu()).astype(np.uint16)
    path = put(tmp_path / "x.tif", pixels, compression="jpeg2000", compressionargs={"level": 0})
    np.testing.assert_array_equal(read_image(path).pixels, pixels)


def test_kaggle_whole_float64_becomes_int16_hu(tmp_path: Path) -> None:
    pixels = slice_hu(512, 512)
    image = read_image(put(tmp_path / KAGGLE.lower(), pixels.astype(np.float64)))
    assert image.pixels.dtype == np.int16
    np.testing.assert_array_equal(image.pixels, pixels)
    assert (image.units, image.meta["stored_dtype"]) == ("hu", "float64")


def test_unsigned_pixels_under_a_kaggle_name_are_no_hu(tmp_path: Path) -> None:
    assert read_image(put(tmp_path / KAGGLE, np.ones((4, 5), np.uint8))).units == "unknown"


def test_values_overrides_the_meaning(tmp_path: Path) -> None:
    path = put(tmp_path / "x.tif", slice_hu())
    assert read_image(path, units="hu").units == "hu"
    assert read_image(path, units="stored").units == "stored"


def test_description_of_other_programs_is_no_claim(tmp_path: Path) -> None:
    for number, text in enumerate(["{broken", '{"meaning": "hu"}', '["ctfast"]', '{"ctfast": 1, "meaning": {"a": 1}}']):
        image = read_image(put(tmp_path / f"{number}.tif", slice_hu(), description=text))
        assert image.units == "unknown"


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_miniswhite_unsigned_is_inverted_unless_told_otherwise(tmp_path: Path, dtype: str) -> None:
    pixels = np.arange(12, dtype=dtype).reshape(3, 4)
    path = put(tmp_path / "x.tif", pixels, photometric="miniswhite")
    image = read_image(path)
    np.testing.assert_array_equal(image.pixels, np.iinfo(dtype).max - pixels)
    assert image.pixels.dtype == dtype
    assert image.meta["inverted"] is True
    for units in ("stored", "hu"):
        np.testing.assert_array_equal(read_image(path, units=units).pixels, pixels)


def test_miniswhite_signed_needs_a_word_from_the_user(tmp_path: Path) -> None:
    path = put(tmp_path / "x.tif", slice_hu(), photometric="miniswhite")
    with pytest.raises(FileFormatError, match="MINISWHITE"):
        read_image(path)
    np.testing.assert_array_equal(read_image(path, units="hu").pixels, slice_hu())


def test_two_to_fifteen_bits_are_read_as_they_are(tmp_path: Path) -> None:
    path = raw_tiff(tmp_path / "x.tif", bytes(range(128)), bits=4)
    pixels = read_image(path).pixels
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels[0, :6], [0, 0, 0, 1, 0, 2])


@pytest.mark.parametrize(
    ("shape", "options", "word"),
    [
        ((8, 9, 3), {"photometric": "rgb"}, "RGB"),
        ((8, 9, 4), {"photometric": "separated"}, "CMYK"),
        ((8, 9), {"photometric": "palette", "colormap": np.zeros((3, 256), np.uint16)}, "palette"),
        ((8, 9, 2), {"planarconfig": "contig", "extrasamples": ["unassalpha"]}, "2 samples"),
    ],
    ids=["rgb", "cmyk", "palette", "alpha"],
)
def test_colour_is_refused(tmp_path: Path, shape: tuple[int, ...], options: dict[str, Any], word: str) -> None:
    with pytest.raises(FileFormatError, match=word):
        read_image(put(tmp_path / "x.tif", np.ones(shape, np.uint8), **options))


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"bits": 1}, "mask"),
        ({"bits": 1000}, "not supported"),
        ({"bits": 64}, "not supported"),
        ({"width": None}, "ImageWidth"),
        ({"width": 0}, "no image"),
        ({"length": 0}, "no image"),
        ({"photometric": None}, "PhotometricInterpretation"),
        ({"offset": None}, "offsets"),
        ({"offset": 0}, "no data"),
        ({"count": 0}, "no data"),
        ({"count": 255}, "255 bytes, 256 are needed"),
        ({"offset": 1_000_000}, "truncated"),
        ({"compression": 4242}, "compression 4242"),
        ({"compression": 8}, "cannot be read as TIFF"),
        ({"compression": 5}, "cannot be read as TIFF"),
        ({"samples": 65535}, "65535 samples"),
        ({"rows": 4}, "1 offsets and 1 byte counts for 4 strips"),
    ],
    ids=str,
)
def test_damaged_directories_are_refused(tmp_path: Path, changes: dict[str, int | None], word: str) -> None:
    path = raw_tiff(tmp_path / "x.tif", bytes(range(256)), **changes)
    with pytest.raises(FileFormatError, match=word) as caught:
        read_image(path)
    assert str(path) in str(caught.value)


def test_the_undamaged_file_of_these_tests_is_read(tmp_path: Path) -> None:
    pixels = read_image(raw_tiff(tmp_path / "x.tif", bytes(range(256)))).pixels
    np.testing.assert_array_equal(pixels.ravel(), np.arange(256))


@pytest.mark.parametrize("keep", [1, 7, 8, 9, 50, 150, 400])
def test_truncated_files_are_refused(tmp_path: Path, keep: int) -> None:
    path = put(tmp_path / "x.tif", slice_hu().astype(np.float64))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(FileFormatError):
        read_image(path)


def test_short_compressed_strips_are_refused_not_filled(tmp_path: Path) -> None:
    for compression in (8, 32773):
        data = zlib.compress(bytes(200)) if compression == 8 else b"\x81\0" + b"\x47\0"
        with pytest.raises(FileFormatError):
            read_image(raw_tiff(tmp_path / "x.tif", data, compression=compression))


def test_equal_pages_become_frames_and_mixed_pages_are_refused(tmp_path: Path) -> None:
    frames = np.stack([slice_hu(seed=i) for i in range(4)])
    np.testing.assert_array_equal(read_image(put(tmp_path / "x.tif", frames)).pixels, frames)
    for other in (slice_hu(21), slice_hu().astype(np.float32)):
        with tifffile.TiffWriter(tmp_path / "mixed.tif") as writer:
            writer.write(slice_hu(), metadata=None)
            writer.write(other, metadata=None)
        with pytest.raises(FileFormatError, match="differs from the first"):
            read_image(tmp_path / "mixed.tif")


def test_thumbnails_are_left_out(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "x.tif") as writer:
        writer.write(slice_hu()[::4, ::4], subfiletype=1, metadata=None)
        writer.write(slice_hu(), metadata=None)
    np.testing.assert_array_equal(read_image(tmp_path / "x.tif").pixels, slice_hu())


def test_declared_size_is_checked_before_decoding(tmp_path: Path) -> None:
    path = put(tmp_path / "x.tif", np.zeros((2, 64, 64), np.int16), compression="zlib")
    assert read_image(path, limits=Limits(max_bytes=2 * 64 * 64 * 2)).pixels.shape == (2, 64, 64)
    with pytest.raises(FileFormatError, match="the limit is 16383"):
        read_image(path, limits=Limits(max_bytes=2 * 64 * 64 * 2 - 1))
    with pytest.raises(FileFormatError, match="limit is 1"):
        read_image(path, limits=Limits(max_frames=1))
    with pytest.raises(FileFormatError, match="bomb"):
        read_image(path, limits=Limits(ratio_from_bytes=1000, max_ratio=50))


@pytest.mark.parametrize("codecs", [True, False])
def test_a_strip_that_inflates_beyond_its_pixels_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codecs: bool
) -> None:
    path = raw_tiff(tmp_path / "x.tif", zlib.compress(bytes(1 << 22)), compression=8)
    if not codecs:
        monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(FileFormatError):
        read_image(path)


def test_a_jpeg_larger_than_its_strip_is_refused(tmp_path: Path) -> None:
    import imagecodecs

    big = np.zeros((300, 300), np.uint8)
    for code, data in ((7, imagecodecs.jpeg_encode(big)), (34712, imagecodecs.jpeg2k_encode(big))):
        with pytest.raises(FileFormatError, match="holds more than"):
            read_image(raw_tiff(tmp_path / "x.tif", data, compression=code))


def test_missing_codec_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path / "x.tif", slice_hu(), compression="zstd")
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "ctfast\[codecs\]"'):
        read_image(path)


def test_nonfinite_pixels_are_kept_and_counted(tmp_path: Path) -> None:
    pixels = slice_hu().astype(np.float64)
    pixels[0, 0], pixels[1, 1] = np.nan, -np.inf
    image = read_image(put(tmp_path / "x.tif", pixels))
    np.testing.assert_array_equal(image.pixels, pixels)
    assert image.meta["nonfinite"] == 2
    with pytest.raises(FileFormatError, match="no pixel is a finite number"):
        read_image(put(tmp_path / "x.tif", np.full((3, 4), np.nan)))


def test_gdal_nodata_is_padding(tmp_path: Path) -> None:
    assert read_image(put(tmp_path / "x.tif", slice_hu(), extratags=[(42113, 2, 0, "-2000", True)])).padding == -2000


def test_own_description_round_trip(tmp_path: Path) -> None:
    path = tmp_path / KAGGLE
    write_image(
        path, slice_hu(), units="stored", spacing=(0.7, 0.8), padding=-2000, description={"pipeline": "abc", "n": 3}
    )
    image = read_image(path)
    assert (image.units, image.spacing, image.padding) == ("stored", (0.7, 0.8), -2000)
    assert (image.meta["pipeline"], image.meta["n"]) == ("abc", 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_as_other_viewers_show_it(tmp_path: Path, orientation: int) -> None:
    from PIL import Image

    path = put(
        tmp_path / "x.tif", np.arange(16, dtype=np.uint8).reshape(4, 4), extratags=[(274, 3, 1, orientation, True)]
    )
    with Image.open(path) as shown:  # square, as Pillow mixes up rows and columns of uncompressed files
        shown.load()
        np.testing.assert_array_equal(read_image(path).pixels, np.asarray(shown))


def test_imagej_calibration_is_applied(tmp_path: Path) -> None:
    stored = (slice_hu().astype(np.int32) + 32768).astype(np.uint16)
    text = "ImageJ=1.53t\nunit=mm\ncf=0\nc0=-32768.0\nc1=1.0\nvunit=Gray Value\nmin=0.0\nmax=1.0\n"
    path = put(tmp_path / "x.tif", stored, description=text)
    image = read_image(path)
    np.testing.assert_array_equal(image.pixels, slice_hu())
    assert (image.pixels.dtype, image.units) == (np.int16, "unknown")
    np.testing.assert_array_equal(read_image(path, units="stored").pixels, stored)


def test_a_quarter_turn_swaps_rows_and_columns(tmp_path: Path) -> None:
    path = put(tmp_path / "x.tif", slice_hu(), extratags=[(274, 3, 1, 6, True)])
    np.testing.assert_array_equal(read_image(path).pixels, np.rot90(slice_hu(), -1))
