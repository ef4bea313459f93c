"""Pictures beside CT images: previews and screenshots, which are no slices of their own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from ctfast.errors import FileFormatError
from ctfast.files.formats import by_extension
from ctfast.files.recognize import detect, read_head

_PICTURES: Final = ("png", "jpeg")
_IMAGES: Final = ("dicom", "tiff")


def pictures_beside_images(paths: Iterable[Path]) -> dict[Path, str]:
    """The PNG and JPEG files in folders that hold DICOM or TIFF files too, each with the reason to leave it out."""
    folders: dict[Path, list[Path]] = defaultdict(list)
    for path in paths:
        folders[path.parent].append(path)
    left_out = {}
    for files in folders.values():
        pictures = [path for path in files if is_picture(path)]
        if pictures and (beside := {_format(path) for path in files}.intersection(_IMAGES)):
            kind = "DICOM" if "dicom" in beside else "TIFF"
            left_out.update(dict.fromkeys(pictures, f"picture beside {kind} files (named by itself, it is taken)"))
    return left_out


def is_picture(path: Path) -> bool:
    """Whether a file's name claims that it is a PNG or JPEG."""
    return _claims(path) in _PICTURES


def _claims(path: Path) -> str:
    claimed = by_extension(path)
    return "" if claimed is None else claimed.name


def _format(path: Path) -> str:
    """By the extension, else by the first bytes; empty for what can't be looked at."""
    claimed = _claims(path)
    if claimed:
        return claimed
    try:
        return next((row.name for row in detect(read_head(path))), "")
    except (OSError, FileFormatError):
        return ""
