"""PNG and JPEG against what Pillow and imagecodecs wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import PIL.Image
import pytest
from typer.testing import CliRunner

import ctfast
from ctfast import runner
from ctfast.cli import app
from ctfast.errors import ArgumentError, FileFormatError, UsageError
from ctfast.files import Limits, find_images, read_image, write_image
from ctfast.model.data.preprocessing import Preprocessing
from tests.files.files_build import dicom, slice_hu

GRAY = np.arange(20 * 24, dtype=np.uint16).reshape(20, 24)
BYTES = (GRAY % 251).astype(np.uint8)


def saved(path: Path, pixels: np.ndarray, mode: str = "", **options: Any) -> Path:
    picture = PIL.Image.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(path, **options)
    return path


def encoded(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(imagecodecs.png_encode(pixels))
    return path


def test_sixteen_bits_of_a_known_offset(tmp_path: Path) -> None:
    hu = slice_hu()
    path = encoded(tmp_path / "x.png", (hu.astype(np.int32) + 32768).astype(np.uint16))
    plain = read_image(path)
    assert (plain.units, plain.pixels.dtype, plain.format) == ("unknown", np.uint16, "png")
    image = read_image(path, units="hu", offset=-32768)
    np.testing.assert_array_equal(image.pixels, hu)
    assert (image.units, image.pixels.dtype, image.meta["notes"]) == ("hu", np.int16, "-32768 was added")
    given = np.empty(hu.shape, np.int16)
    assert read_image(path, offset=-32768, allocate=lambda *_: given).pixels is given
    np.testing.assert_array_equal(given, hu)


def test_eight_bits_are_brightness(tmp_path: Path) -> None:
    for path in (encoded(tmp_path / "x.png", BYTES), saved(tmp_path / "x.jpg", BYTES, quality=95)):
        image = read_image(path)
        assert (image.units, image.pixels.dtype, image.spacing) == ("display", np.uint8, None)
        assert read_image(path, units="hu").units == "hu"
        assert read_image(path, units="stored").units == "stored"
        np.testing.assert_array_equal(image.pixels, np.asarray(PIL.Image.open(path)))


def test_own_files_are_read(tmp_path: Path) -> None:
    for pixels in (GRAY, BYTES):
        write_image(tmp_path / "x.png", pixels)
        np.testing.assert_array_equal(read_image(tmp_path / "x.png").pixels, pixels)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_gray_saved_as_colour(tmp_path: Path, mode: str) -> None:
    image = read_image(saved(tmp_path / "x.png", BYTES, mode))
    np.testing.assert_array_equal(image.pixels, BYTES)
    assert image.meta["notes"] == f"gray saved as {mode}: one of its equal channels is read"
    assert image.units == "display"


def test_gray_saved_as_colour_jpeg(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.jpeg", np.repeat(BYTES[..., None], 3, axis=-1))
    np.testing.assert_array_equal(read_image(path).pixels, np.asarray(PIL.Image.open(path))[..., 0])


def test_what_is_refused(tmp_path: Path) -> None:
    colour = np.stack([BYTES, BYTES, BYTES.T.reshape(20, 24)], axis=-1)
    clear = np.stack([BYTES, BYTES, BYTES, BYTES], axis=-1)
    frames = [PIL.Image.fromarray(BYTES), PIL.Image.fromarray(255 - BYTES)]
    path = tmp_path / "x.png"
    cases: list[tuple[str, Any]] = [
        ("colour, not gray; save one gray channel", lambda: saved(path, colour)),
        ("transparent pixels", lambda: saved(path, clear)),
        ("stands for transparency", lambda: saved(path, BYTES, transparency=0)),
        ("16 bits, with several channels", lambda: encoded(path, np.stack([GRAY, GRAY, GRAY], axis=-1))),
        ("1 bits, gray", lambda: saved(path, BYTES > 9)),
        ("2 pictures in one file", lambda: frames[0].save(path, save_all=True, append_images=frames[1:])),
        ("header is not whole", lambda: path.write_bytes(b"\x89PNG\r\n\x1a\n")),
        ("cannot be read as PNG", lambda: path.write_bytes(imagecodecs.png_encode(GRAY)[:-60])),
    ]
    for match, make in cases:
        make()
        with pytest.raises(FileFormatError, match=match):
            read_image(path)
    jpeg = saved(tmp_path / "x.jpg", BYTES, "CMYK")
    with pytest.raises(FileFormatError, match="mode CMYK"):
        read_image(jpeg)


def test_sizes_are_checked_before_decoding(tmp_path: Path) -> None:
    path = encoded(tmp_path / "x.png", np.zeros((4000, 4000), np.uint8))
    with pytest.raises(FileFormatError, match="bomb"):
        read_image(path)
    with pytest.raises(FileFormatError, match="limit is 100"):
        read_image(encoded(path, BYTES), limits=Limits(max_bytes=100))


def test_a_pipeline_that_names_hu_takes_no_brightness(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    encoded(tmp_path / "in" / "x.png", BYTES)
    window = ctfast.Pipeline([ctfast.Step("window", center=40, width=400, dtype="uint16")])
    whole = ctfast.Pipeline([ctfast.Step("normalize", dtype="uint16")])
    refused = runner.run(tmp_path / "in", tmp_path / "a", window)
    assert [row["units"] for row in refused.failures] == ["display"]
    assert "--units hu" in refused.failures[0]["error"]
    assert runner.run(tmp_path / "in", tmp_path / "b", window, units="hu").ok == 1
    assert runner.run(tmp_path / "in", tmp_path / "c", whole).ok == 1
    with pytest.raises(FileFormatError, match="brightness of a picture"):
        Preprocessing(window, (16, 16)).read(tmp_path / "in" / "x.png")
    assert Preprocessing(whole, (16, 16)).read(tmp_path / "in" / "x.png")[1].units == "display"


def test_a_set_that_documents_its_values(tmp_path: Path) -> None:
    hu = slice_hu()
    path = encoded(tmp_path / "in" / "x.png", (hu.astype(np.int32) + 32768).astype(np.uint16))
    image = read_image(path, dataset="deeplesion")
    np.testing.assert_array_equal(image.pixels, hu)
    assert (image.units, image.meta["notes"]) == ("hu", "-32768 was added")
    elsewhere = (slice_hu(64, 64).astype(np.int32) + 4096).astype(np.uint16)
    wrong = read_image(encoded(tmp_path / "wrong.png", elsewhere), dataset="deeplesion")
    assert wrong.units == "unknown"
    assert "cannot be HU" in str(wrong.meta["notes"])
    assert read_image(encoded(tmp_path / "in" / "y.png", BYTES), dataset="deeplesion").units == "display"
    assert read_image(path, dataset="deeplesion", units="stored").pixels.dtype == np.uint16
    with pytest.raises(ArgumentError, match="one of them"):
        read_image(path, dataset="deeplesion", offset=1)


@pytest.mark.parametrize("options", [["--dataset", "deeplesion"], ["--offset=-32768", "--units", "hu"]])
def test_such_a_set_on_the_command_line(tmp_path: Path, options: list[str]) -> None:
    hu = slice_hu()
    encoded(tmp_path / "in" / "x.png", (hu.astype(np.int32) + 32768).astype(np.uint16))
    command = ["run", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--step", "window center=40 width=400"]
    done = CliRunner().invoke(app, [*command, "--pool", "threads", *options])
    assert done.exit_code == 0, done.output
    np.testing.assert_array_equal(
        read_image(tmp_path / "out" / "x.tif").pixels, ctfast.window(hu, center=40, width=400)
    )
    with pytest.raises(UsageError, match=r"another run .*, 5 now"):
        runner.plan(tmp_path / "in", tmp_path / "out", ctfast.Pipeline([{"operation": "normalize"}]), offset=5)


def test_pictures_beside_images_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    write_image(tmp_path / "a" / "slice.tif", slice_hu(), units="hu")
    for name in ("a/preview.png", "b/alone.png"):
        encoded(tmp_path / name, BYTES)
    saved(tmp_path / "a" / "shot.JPG", BYTES)
    found = find_images([tmp_path])
    assert [item.path.name for item in found.items] == ["slice.tif", "alone.png"]
    assert {(item.path.name, item.reason) for item in found.ignored} == {
        (name, "picture beside TIFF files (named by itself, it is taken)") for name in ("preview.png", "shot.JPG")
    }
    both = find_images([tmp_path / "a" / "preview.png", tmp_path / "a"])
    assert [item.path.name for item in both.items] == ["preview.png", "slice.tif"]
    dicom(tmp_path / "b" / "IM0001", slice_hu())
    assert [item.path.name for item in find_images([tmp_path / "b"]).items] == ["IM0001"]


def test_pixels_that_do_not_fit_their_checksum(tmp_path: Path) -> None:
    pixels = (slice_hu() + 1024).astype(np.uint16)
    write_image(tmp_path / "x.png", pixels)
    whole = (tmp_path / "x.png").read_bytes()
    at = whole.index(b"IEND") - 8  # the checksum of the chunk before
    (tmp_path / "x.png").write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    with pytest.raises(FileFormatError):
        read_image(tmp_path / "x.png")
