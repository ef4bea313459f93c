"""Which files inputs stand for, and where their outputs belong."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctfast.errors import FileFormatError, UsageError
from ctfast.files import find_images, read_image
from tests.files.files_build import data_set, dicom, raw_tiff, save, slice_hu


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "in"
    (root / "b" / "deep").mkdir(parents=True)
    (root / ".hidden").mkdir()
    raw_tiff(root / "a.tif", bytes(256))
    raw_tiff(root / "b" / "B.TIFF", bytes(256))
    raw_tiff(root / "b" / "deep" / "scan", bytes(256))
    dicom(root / "b" / "IM.0001", slice_hu())
    raw_tiff(root / ".hidden" / "x.tif", bytes(256))
    (root / "b" / "v.nii.gz").write_bytes(b"x")
    for name in ("._a.tif", ".x.tif", "DICOMDIR", "overview.csv", "notes", "empty"):
        (root / name).write_bytes(b"" if name == "empty" else b"text of no image at all")
    os.mkfifo(root / "pipe.tif")
    return root


def stems(*inputs: str | Path) -> list[str]:
    return [str(item.stem) for item in find_images(inputs).items]


def test_folders(tree: Path) -> None:
    found = find_images([tree])
    assert [str(item.stem) for item in found.items] == ["a", "b/B", "b/IM.0001", "b/v", "b/deep/scan"]
    assert [item.path for item in found.items][:2] == [tree / "a.tif", tree / "b" / "B.TIFF"]
    assert found.roots == (tree,)
    reasons = {item.path.name: item.reason for item in found.ignored}
    assert set(reasons) == {"._a.tif", ".x.tif", "DICOMDIR", "overview.csv", "notes", "empty", "pipe.tif", ".hidden"}
    assert "AppleDouble" in reasons["._a.tif"]
    assert reasons["overview.csv"] == "no image (.csv)"
    assert reasons["pipe.tif"] == "not a regular file"
    assert reasons[".hidden"] == "hidden folder"


def test_files_are_taken_as_named(tree: Path) -> None:
    assert stems(tree / "overview.csv", tree / "._a.tif", tree / "b" / "v.nii.gz") == ["overview.csv", "._a", "v"]


def test_patterns(tree: Path) -> None:
    assert stems(f"{tree}/*") == ["a", "b/B", "b/IM.0001", "b/v", "b/deep/scan"]
    assert stems(f"{tree}/*.tif") == ["a"]
    assert stems(f"{tree}/**/B*") == ["b/B"]
    assert stems(f"{tree}/[b]/*.TIFF") == ["b/B"]


def test_an_existing_name_is_never_a_pattern(tree: Path) -> None:
    raw_tiff(tree / "x[1].tif", bytes(256))
    assert stems(f"{tree}/x[1].tif") == ["x[1]"]


def test_each_file_once(tree: Path) -> None:
    assert stems(tree / "a.tif", tree, f"{tree}/*.tif") == ["a", "b/B", "b/IM.0001", "b/v", "b/deep/scan"]


def test_link_loops_end(tree: Path) -> None:
    (tree / "b" / "loop").symlink_to(tree)
    (tree / "z").symlink_to(tree / "b" / "deep")
    found = find_images([tree])
    assert [str(item.stem) for item in found.items] == ["a", "b/B", "b/IM.0001", "b/v", "b/deep/scan"]
    assert sum("link" in item.reason for item in found.ignored) == 2


def test_a_link_to_another_input_is_searched_once(tree: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    raw_tiff(other / "c.tif", bytes(256))
    (other / "link").symlink_to(tree / "b")
    found = find_images([tree, other])
    assert [str(item.stem) for item in found.items] == ["a", "b/B", "b/IM.0001", "b/v", "b/deep/scan", "c"]
    assert [item.path for item in found.ignored if "link" in item.reason] == [other / "link"]
    again = find_images([tree, tree / "b", other / "c.tif"])
    assert [item.reason for item in again.ignored if "link" in item.reason] == []
    assert len(again.items) == 6


@pytest.mark.parametrize(
    "name", ["I10.img", "CT.1.2.3.CT", "scan.acr", "Dr.Smith_slice1", "a.dcm_anon", "x.csv", "IM_01"]
)
def test_content_decides_not_the_name(tree: Path, name: str) -> None:
    dicom(tree / name, slice_hu())
    [item] = [item for item in find_images([tree]).items if item.path.name == name]
    assert item.stem == Path(name)
    assert read_image(item.path).format == "dicom"


def test_what_cannot_be_looked_at_is_taken_so_that_reading_fails(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "gone.tif").symlink_to(tree / "nowhere.tif")
    (tree / "gone").symlink_to(tree / "nowhere")
    (tree / "locked").mkdir()
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = find_images([tree])
    taken = {item.path.name for item in found.items}
    assert {"gone.tif", "gone", "locked"} <= taken
    for name in ("gone.tif", "gone", "locked"):
        with pytest.raises((OSError, FileFormatError)):
            read_image(tree / name)


@pytest.mark.parametrize(
    ("uid", "reason"),
    [
        ("1.2.840.10008.5.1.4.1.1.481.3", "DICOM RT structure set"),
        ("1.2.840.10008.5.1.4.1.1.481.5", "DICOM RT plan"),
        ("1.2.840.10008.5.1.4.1.1.88.67", "DICOM structured report"),
        ("1.2.840.10008.5.1.4.1.1.11.1", "DICOM presentation state"),
        ("1.2.840.10008.5.1.4.1.1.104.1", "DICOM encapsulated document"),
        ("1.2.840.10008.1.3.10", "DICOM directory (an index of other files)"),
        ("1.2.840.10008.5.1.4.1.1.2", None),
        ("1.2.840.10008.5.1.4.1.1.2.1", None),
        ("1.2.840.10008.5.1.4.1.1.481.2", None),
        ("1.2.840.10008.5.1.4.1.1.66.4", None),
        ("1.2.840.10008.5.1.4.1.1.7", None),
    ],
)
def test_dicom_objects_without_pixels_are_left_out(tree: Path, uid: str, reason: str | None) -> None:
    for name in ("rs.dcm", "IM99"):
        ds = data_set(slice_hu(), SOPClassUID=uid)
        ds.file_meta.MediaStorageSOPClassUID = uid
        save(ds, tree / name)
    left = {item.path.name: item.reason for item in find_images([tree]).ignored}
    assert [left.get(name) for name in ("rs.dcm", "IM99")] == [reason, reason]


def test_tables_of_small_integers_are_no_data_sets(tree: Path) -> None:
    (tree / "a.bin").write_bytes(np.array([8, 16, 24, 32, 40, 48], "<u4").tobytes())
    assert "no image (.bin)" in {item.reason for item in find_images([tree]).ignored}


def test_nothing_found_says_what_was_left_out_and_what_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.gif").write_bytes(b"GIF89a")
    (tmp_path / "b.gif").write_bytes(b"GIF89a")
    (tmp_path / "c.txt").write_text("text")
    with pytest.raises(UsageError, match=r"2 x a GIF image \(.gif\), 1 x no image \(.txt\).*NIfTI \(.nii .nii.gz\)"):
        find_images([tmp_path])


@pytest.mark.parametrize("inputs", [[], "folder", ["absent.tif"], ["absent*.tif"], [""], ["a\0b"]])
def test_wrong_usage(inputs: list[str]) -> None:
    with pytest.raises(UsageError):
        find_images(inputs)
