"""Harmless faults of headers: read as meant, with a note; what is not understood is refused by field and value."""

from __future__ import annotations

import ast
import gzip
from pathlib import Path

import numpy as np
import pytest

import ctfast
from ctfast.errors import FileFormatError
from ctfast.files import read_image, write_image
from ctfast.files.asked import LeftOutError, check_modality
from tests.files.files_build import dicom, slice_hu

STORED = (slice_hu(40, 40) + 1024).astype(np.uint16)


def with_bytes(path: Path, before: bytes, after: bytes) -> Path:
    """The file with other bytes of the same length, as a writer with these faults leaves it."""
    data = path.read_bytes()
    assert len(before) == len(after)
    assert data.count(before) == 1
    path.write_bytes(data.replace(before, after))
    return path


def test_no_frames(tmp_path: Path) -> None:
    image = read_image(dicom(tmp_path / "a.dcm", STORED, NumberOfFrames=0, RescaleIntercept="-1024"))
    np.testing.assert_array_equal(image.pixels, slice_hu(40, 40))
    assert image.meta["notes"] == "Number of Frames is 0: read as 1"


def test_decimal_commas(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", STORED, RescaleIntercept="-1024.50", PixelSpacing=["0.125", "0.250"])
    with_bytes(with_bytes(path, b"-1024.50", b"-1024,50"), rb"0.125\0.250", rb"0,125\0,250")
    image = read_image(path)
    np.testing.assert_array_equal(image.pixels, STORED.astype(np.float32) - 1024.5)
    assert image.spacing == (0.125, 0.25)
    assert image.meta["notes"] == (
        "RescaleIntercept has a decimal comma (-1024,50): read as a point; "
        "PixelSpacing has a decimal comma (0,125/0,250): read as a point"
    )


def test_terms_in_lower_case(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", STORED, RescaleIntercept="-1024", RescaleType="HU")
    with_bytes(with_bytes(path, b"CS\x02\0CT", b"CS\x02\0ct"), b"MONOCHROME2", b"monochrome2")
    image = read_image(path)
    assert (image.units, image.meta["modality"]) == ("hu", "ct")
    assert "Modality is 'ct': read as 'CT'" in str(image.meta["notes"])
    check_modality(image.meta["modality"], "CT")
    with pytest.raises(LeftOutError, match="--modality PT takes it"):
        check_modality("PT", "ct,mr")


def test_gzip_that_the_name_does_not_say(tmp_path: Path) -> None:
    pytest.importorskip("nibabel")
    write_image(tmp_path / "a.nii.gz", slice_hu(40, 40), units="hu")
    plain = read_image((tmp_path / "a.nii.gz").rename(tmp_path / "b.nii"))
    assert plain.meta["notes"] == "compressed by gzip, which its name does not say"
    (tmp_path / "c.nii").write_bytes(gzip.decompress((tmp_path / "b.nii").read_bytes()))
    assert "notes" not in read_image(tmp_path / "c.nii").meta


def test_what_is_no_number_is_named(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", STORED, RescaleIntercept="-1024.50")
    with pytest.raises(FileFormatError, match=r"RescaleIntercept is '-1024\.5x', no number"):
        read_image(with_bytes(path, b"-1024.50", b"-1024.5x"))


def test_every_refusal_of_a_file_says_what_to_do() -> None:
    told_elsewhere = {"series.py"}  # a series' problem ends in its next step (`_series_order.py`)
    calls = [
        (path, node)
        for path in sorted(Path(ctfast.__file__).parent.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "FileFormatError"
    ]
    assert len(calls) > 100
    silent = {f"{path.name}:{node.lineno}" for path, node in calls if len(node.args) < 2}
    assert {place.partition(":")[0] for place in silent} <= told_elsewhere, silent
