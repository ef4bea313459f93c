"""Which files inputs stand for, and where their outputs belong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ctfast.errors import UsageError
from ctfast.files import find_images
from tests.files.files_build import dicom, raw_tiff, slice_hu


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
    assert set(reasons) == {"._a.tif", ".x.tif", "DICOMDIR", "overview.csv", "notes", "empty", "pipe.tif"}
    assert "AppleDouble" in reasons["._a.tif"]
    assert ".csv" in reasons["overview.csv"]


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


def test_broken_links_are_listed(tree: Path) -> None:
    (tree / "gone.tif").symlink_to(tree / "nowhere.tif")
    assert any(item.path.name == "gone.tif" for item in find_images([tree]).ignored)


@pytest.mark.parametrize("inputs", [[], "folder", ["absent.tif"], ["absent*.tif"], [""], ["a\0b"]])
def test_wrong_usage(inputs: list[str]) -> None:
    with pytest.raises(UsageError):
        find_images(inputs)
