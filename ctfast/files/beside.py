"""Pictures beside CT images: previews and screenshots, which are no slices of their own."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final

from ctfast.batch.urls import place
from ctfast.errors import FileFormatError
from ctfast.files.formats import by_extension
from ctfast.files.recognize import detect, read_head

_PICTURES: Final = ("png", "jpeg")
_IMAGES: Final = ("dicom", "tiff")


def folders_of_images_and_pictures(files: Callable[[], Iterable[str]]) -> dict[str, str]:
    """Folders where PNG or JPEG files lie beside DICOM or TIFF files, with the reason to leave these pictures out.

    ``files()`` goes through the files, as text, since there may be a million.
    """
    formats: dict[str, set[str]] = defaultdict(set)
    with_pictures = {os.path.dirname(file) for file in files() if is_picture(file)}
    for file in files() if with_pictures else ():
        if (folder := os.path.dirname(file)) in with_pictures:
            formats[folder].add(_format(file))
    return {
        folder: f"picture beside {'DICOM' if 'dicom' in there else 'TIFF'} files (named by itself, it is taken)"
        for folder, there in formats.items()
        if there.intersection(_IMAGES)
    }


def is_picture(file: str) -> bool:
    """Whether a file's name claims that it is a PNG or JPEG."""
    return _claims(file) in _PICTURES


def _claims(file: str) -> str:
    claimed = by_extension(file)
    return "" if claimed is None else claimed.name


def _format(file: str) -> str:
    """By the extension, else by the first bytes; empty for what can't be looked at."""
    claimed = _claims(file)
    if claimed:
        return claimed
    try:
        return next((row.name for row in detect(read_head(place(file)))), "")
    except (OSError, FileFormatError):
        return ""
