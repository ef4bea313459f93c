"""The quick look at plain DICOM files: the same as pydicom finds, or left to pydicom."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

import ctfast.files.dicom as reader
from ctfast.files import Image, read_image
from ctfast.files._dicom_scan import scan
from tests.files.files_build import DEFLATED, EXPLICIT, IMPLICIT, data_set, dicom, rescale_group, save, slice_hu


def nested(depth: int, undefined: bool) -> Any:
    """A data set with sequences in sequences that nobody asks for."""
    item = pydicom.Dataset()
    item.Rows = 7
    item.PatientID = "someone else"
    if depth:
        item.ReferencedImageSequence = [nested(depth - 1, undefined), nested(0, undefined)]
        item["ReferencedImageSequence"].is_undefined_length = undefined
    item.is_undefined_length_sequence_item = undefined
    return item


def by_pydicom(path: Path, monkeypatch: pytest.MonkeyPatch) -> Image:
    with monkeypatch.context() as patch:
        patch.setattr(reader, "scan", lambda data: None)
        return read_image(path)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize("undefined", [True, False])
@pytest.mark.parametrize("depth", [0, 1, 3])
def test_same_as_pydicom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, syntax: str, undefined: bool, depth: int
) -> None:
    ds = data_set(
        slice_hu(),
        PatientID="P1",
        PixelSpacing=[0.7, 0.8],
        WindowCenter=[40, -600],
        WindowWidth=[400, 1500],
        PixelPaddingValue=-2000,
        ReferencedImageSequence=[nested(depth, undefined)],
        OtherPatientIDsSequence=[],
        AcquisitionNumber=None,
    )
    ds["ReferencedImageSequence"].is_undefined_length = undefined
    ds.add_new(0x00090010, "LO", "PRIVATE")
    ds.add_new(0x00091001, "UN", b"\xff\xfe\x00\xe0 looks like an item")
    ds.file_meta.TransferSyntaxUID = syntax
    path = save(ds, tmp_path / "x.dcm")
    assert scan(path.read_bytes()) is not None
    image, expected = read_image(path), by_pydicom(path, monkeypatch)
    np.testing.assert_array_equal(image.pixels, expected.pixels)
    assert (image.meta, image.padding, image.spacing) == (expected.meta, expected.padding, expected.spacing)
    assert image.meta["patient_id"] == "P1"


def too_deep(ds: Any) -> None:
    ds.ReferencedImageSequence = [nested(20, True)]
    ds["ReferencedImageSequence"].is_undefined_length = True


ODD: dict[str, Callable[[Any], None]] = {
    "text beyond ASCII": lambda ds: ds.update({"SpecificCharacterSet": "ISO_IR 100", "PatientID": "Müller"}),
    "frame groups": lambda ds: ds.update({"SharedFunctionalGroupsSequence": [rescale_group(1, 0)]}),
    "another syntax": lambda ds: setattr(ds.file_meta, "TransferSyntaxUID", DEFLATED),
    "nested too deeply": too_deep,
}


@pytest.mark.parametrize("name", ODD)
def test_left_to_pydicom(tmp_path: Path, name: str) -> None:
    ds = data_set(slice_hu())
    ODD[name](ds)
    path = save(ds, tmp_path / "x.dcm")
    assert scan(path.read_bytes()) is None
    np.testing.assert_array_equal(read_image(path).pixels, slice_hu())


def test_broken_order_is_left_to_pydicom(tmp_path: Path) -> None:
    whole = dicom(tmp_path / "x.dcm", slice_hu(), PatientID="P1").read_bytes()
    rows = whole.index(b"\x28\0\x10\0US")
    assert scan(whole[:rows] + whole[rows + 10 : rows + 20] + whole[rows : rows + 10] + whole[rows + 20 :]) is None
    assert scan(whole[:rows] + b"\x28\0\x10\0??" + whole[rows + 6 :]) is None
    assert scan(whole[:rows]) is None
    assert scan(b"") is None
