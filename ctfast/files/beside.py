"""Pictures beside CT images: previews and screenshots, which are no slices of their own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from ctfast.errors import FileFormatError
from ctfast.files.formats import by_extension
from ctfast.files.recognize import detect, read_head

_PICTURES: Final = ("png", "jpeg")
_IMAGES: Final = ("dicom", "tiff")


def folders_of_images_and_pictures(paths: Callable[[], Iterable[Path]]) -> dict[Path, str]:
    """Folders where PNG or JPEG files lie beside DICOM or TIFF files, with the reason to leave these pictures out.

    ``paths()`` goes through the files.
    """
    formats: dict[Path, set[str]] = defaultdict(set)
    with_pictures = {path.parent for path in paths() if is_picture(path)}
    for path in paths() if with_pictures else ():
        if path.parent in with_pictures:
            formats[path.parent].add(_format(path))
    return {
        folder: f"picture beside {'DICOM' if 'dicom' in there else 'TIFF'} files (named by itself, it is taken)"
        for folder, there in formats.items()
        if there.intersection(_IMAGES)
    }


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
