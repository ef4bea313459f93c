"""Plain TIFFs go past tifffile: the same bytes written, the same images read, and everything else left to it."""

from __future__ import annotations

import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from ctfast.files import read_image, write_image
from ctfast.files._tiff_plain import plain_page
from ctfast.files.geometry import Geometry

AXIAL = Geometry(((0.0, 0.0, 0.7, -151.5), (0.0, 0.7, 0.0, -120.25), (2.5, 0.0, 0.0, 33.0)))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32", "float64"])
@pytest.mark.parametrize("geometry", [None, AXIAL])
def test_the_bytes_are_those_of_tifffile(tmp_path: Path, dtype: str, geometry: Geometry | None) -> None:
    for number, shape in enumerate([(5, 7), (64, 33), (5, 7)]):
        pixels = (np.arange(shape[0] * shape[1]).reshape(shape) + number).astype(dtype)
        path = tmp_path / f"{number}.tif"
        write_image(path, pixels, units="hu", geometry=geometry, description={"a": "b" * number})
        with tifffile.TiffFile(path) as file:
            page = file.pages[0]
            text, software = page.description, page.software
        more: dict[str, Any] = {}
        if geometry is not None:
            more = {"resolution": (10 / geometry.spacing[2], 10 / geometry.spacing[1]), "resolutionunit": "CENTIMETER"}
        expected = io.BytesIO()
        tifffile.imwrite(
            expected, pixels, description=text, photometric="minisblack", metadata=None, software=software, **more
        )
        assert path.read_bytes() == expected.getvalue()
        assert json.loads(text)["a"] == "b" * number


def written(**options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, np.arange(600, dtype=options.pop("dtype", "int16")).reshape(20, 30), **options)
    return file.getvalue()


PLAIN = [
    {},
    {"dtype": "float64"},
    {"metadata": None},
    {"photometric": "minisblack", "software": "other"},
    {"metadata": None, "description": '{"ctfast": "1", "units": "hu", "padding": -5}'},
    {"compression": "zlib"},
    {"compression": 32946},
    {"compression": "zlib", "predictor": 2, "rowsperstrip": 7},
    {"compression": "zlib", "predictor": 2, "dtype": "uint8"},
    {"compression": "zlib", "predictor": 2, "dtype": "uint32"},
    {"compression": "zlib", "rowsperstrip": 1, "dtype": "float64"},
]
ODD = [
    {"byteorder": ">"},
    {"bigtiff": True},
    {"compression": "zlib", "tile": (16, 16)},
    {"compression": "zlib", "predictor": 3, "dtype": "float32"},
    {"compression": "zlib", "byteorder": ">"},
    {"compression": "lzw"},
    {"compression": "zstd"},
    {"photometric": "miniswhite", "dtype": "uint16"},
    {"rowsperstrip": 4},
    {"tile": (16, 16)},
    {"imagej": True},
    {"description": "of another program"},
    {"extratags": [(274, "H", 1, 3, True)]},
    {"extratags": [(42113, "s", 0, "-5", True)]},
    {"subfiletype": 1},
]


@pytest.mark.parametrize("options", [*PLAIN, *ODD], ids=str)
def test_plain_ones_alone_are_taken_and_read_as_tifffile_reads_them(
    tmp_path: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = written(**options)
    assert (plain_page(data) is not None) == (options in PLAIN)
    path = tmp_path / "x.tif"
    path.write_bytes(data)
    images = [read_image(path), read_image(path, data=data)]
    monkeypatch.setattr("ctfast.files.tiff.plain_page", lambda _: None)
    slow = read_image(path)
    for image in images:
        np.testing.assert_array_equal(image.pixels, slow.pixels)
        assert (image.pixels.dtype, image.units, image.padding) == (slow.pixels.dtype, slow.units, slow.padding)
        assert image.meta == slow.meta


@pytest.mark.parametrize("options", [{}, {"compression": "zlib", "predictor": 2, "rowsperstrip": 7}], ids=str)
def test_every_damaged_head_is_left_to_tifffile_or_read_alike(tmp_path: Path, options: dict[str, Any]) -> None:
    """No byte of the directory can make the quick look see other pixels than are there."""
    data = written(metadata=None, **options)
    path = tmp_path / "x.tif"
    for place in range(4, 190):
        damaged = data[:place] + bytes([data[place] ^ 2]) + data[place + 1 :]
        page = plain_page(damaged)
        if page is not None and page.pixels.dtype == np.int16:
            path.write_bytes(damaged)
            np.testing.assert_array_equal(tifffile.imread(path), page.pixels)
    assert plain_page(data[:-1]) is None
    assert plain_page(data[:100]) is None


def test_damaged_deflated_strips_are_left_to_tifffile(tmp_path: Path) -> None:
    """By the checksum of zlib; a strip that holds more or less than its rows is none of a plain file either."""
    data = written(metadata=None, compression="zlib", rowsperstrip=10)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        start, size = file.pages[0].dataoffsets[1], file.pages[0].databytecounts[1]
    for place in range(start, start + size):
        damaged = data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :]
        page = plain_page(damaged)
        # Zlib's own header may be another one: how far back it looks, how well it was packed.
        assert page is None or (place < start + 2 and np.array_equal(page.pixels, plain_page(data).pixels))
    for rows in (9, 11):
        strip = zlib.compress(np.arange(300, 300 + 30 * rows, dtype="int16").tobytes())
        assert plain_page(_with_last_strip(data, start, size, strip)) is None
    assert plain_page(_with_last_strip(data, start, size, data[start : start + size])) is not None


def _with_last_strip(data: bytes, start: int, size: int, strip: bytes) -> bytes:
    """Behind the file; its place and its size are the only words of these values."""
    moved = data.replace(struct.pack("<I", start), struct.pack("<I", len(data)))
    return moved.replace(struct.pack("<H", size), struct.pack("<H", len(strip))) + strip
