"""The Kaggle layout: names and ``overview.csv``."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctfast.errors import FileFormatError
from ctfast.files import KaggleName, parse_name, read_overview

HEADER = ",Age,Contrast,ContrastTag,raw_input_path,id,tiff_name,dicom_name"
ROW = r"2,74,True,APPLIED,../data\a b.dcm,2,ID_0002_AGE_0074_CONTRAST_1_CT.tif,ID_0002_AGE_0074_CONTRAST_1_CT.dcm"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ID_0000_AGE_0060_CONTRAST_1_CT.tif", KaggleName(0, 60, True)),
        ("id_0012_age_0074_contrast_0_ct.TIFF", KaggleName(12, 74, False)),
        ("ID_12345_AGE_0101_CONTRAST_1_CT.dcm", KaggleName(12345, 101, True)),
        ("ID_0000_AGE_0060_CONTRAST_1_CT.png", None),
        ("ID_0000_AGE_0060_CONTRAST_1_CT.tif.bak", None),
        ("slice.tif", None),
        ("", None),
    ],
)
def test_names(name: str, expected: KaggleName | None) -> None:
    assert parse_name(name) == expected


@pytest.mark.parametrize(
    "name",
    [
        "ID_0003_AGE_00-5_CONTRAST_2_CT.tif",
        "ID_0003_AGE_0005_CONTRAST_2_CT.tif",
        "ID_0003_AGE_0121_CONTRAST_1_CT.tif",
        "ID_003_AGE_0021_CONTRAST_1_CT.tif",
        "ID_\u0663\u0663\u0663\u0663_AGE_0021_CONTRAST_1_CT.tif",
        "ID_0003_AGE__CONTRAST_1_CT.tif",
    ],
)
def test_broken_names_are_errors(name: str) -> None:
    with pytest.raises(FileFormatError, match="ID_"):
        parse_name(name)


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("index", ["", "index"])
def test_overview(tmp_path: Path, bom: bytes, end: str, index: str) -> None:
    path = tmp_path / "overview.csv"
    path.write_bytes(bom + end.join([index + HEADER, ROW, ""]).encode())
    (row,) = read_overview(path)
    assert (row.index, row.age, row.contrast, row.contrast_tag, row.id) == (2, 74, True, "APPLIED", 2)
    assert row.raw_input_path == r"../data\a b.dcm"
    assert row.tiff_name == "ID_0002_AGE_0074_CONTRAST_1_CT.tif"


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("74,True", "-5,True", "Age is '-5'"),
        ("74,True", "121,True", "Age is '121'"),
        ("74,True", ",True", "Age is ''"),
        ("74,True", "74,yes", "Contrast is 'yes'"),
        ("74,True", "74,False", "contradicts"),
        ("74,True", "75,True", "contradicts"),
        ("ID_0002_AGE_0074_CONTRAST_1_CT.tif", "../../etc/passwd", "tiff_name is"),
        ("ID_0002_AGE_0074_CONTRAST_1_CT.dcm", "/tmp/ID_0002_AGE_0074_CONTRAST_1_CT.dcm", "dicom_name is"),
        ("ID_0002_AGE_0074_CONTRAST_1_CT.tif", "..\\\\ID_0002_AGE_0074_CONTRAST_1_CT.tif", "tiff_name is"),
        ("APPLIED", "AP\0LIED", "NUL"),
        (",APPLIED", "", "7 cells for 8 columns"),
        ("APPLIED", '"open', "line 2"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, old: str, new: str, word: str) -> None:
    path = tmp_path / "overview.csv"
    path.write_text(f"{HEADER}\n{ROW.replace(old, new)}\n")
    with pytest.raises(FileFormatError, match=word) as caught:
        read_overview(path)
    assert "line 2" in str(caught.value)


@pytest.mark.parametrize("text", ["", "a,b\n", HEADER.replace(",id", ""), HEADER + ",id", "\xff\xfe"])
def test_bad_tables(tmp_path: Path, text: str) -> None:
    path = tmp_path / "overview.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(FileFormatError, match=r"overview\.csv"):
        read_overview(path)
