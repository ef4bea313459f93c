"""One slice, one file: the Kaggle set ships each slice as TIFF and as DICOM, under one name in two folders."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import Final

from ctfast.batch.packed import Packed
from ctfast.errors import FileFormatError
from ctfast.files.find import Found, FoundFile, Ignored
from ctfast.files.kaggle import parse_name
from ctfast.files.repeated import repeated

_REASONS: Final = {
    False: "a DICOM file of a slice whose TIFF was taken (orientation, spacing and padding are in DICOM alone)",
    True: "a TIFF of a slice whose DICOM file was taken",
}
"""By whether the file that was kept is DICOM."""


def without_twins(found: Found, *, keep_dicom: bool) -> Found:
    """Leave out the second file of each slice of the Kaggle set, with the reason.

    Twins are a TIFF and a DICOM file that have one name of the set's pattern, below one input. Files that come from
    inputs of their own (``tiff_images`` and ``dicom_dir`` both named) were both asked for and stay.

    Args:
        found: what the inputs stand for.
        keep_dicom: keep the DICOM file, which knows the patient, the acquisition and the place; else the TIFF, whose
            pixels ``train`` takes.
    """
    several = repeated(lambda: filter(None, map(_name, found.items)))
    first: dict[str, FoundFile] = {}
    left_out: dict[FoundFile, Ignored] = {}
    for item in found.items if several else ():
        name = _name(item)
        if name not in several:
            continue
        other = first.setdefault(name, item)
        if _are_twins(item, other):
            kept, left = (item, other) if _is_dicom(item) == keep_dicom else (other, item)
            left_out[left] = Ignored(left.path, _REASONS[_is_dicom(kept)])
    if not left_out:
        return found
    items = Packed(item for item in found.items if item not in left_out)
    return replace(found, items=items, ignored=Packed(chain(found.ignored, left_out.values())))


def _name(item: FoundFile) -> str:
    """Of a file of the set, without its extension; empty for others."""
    name = item.source.rpartition("/")[2]
    try:
        return "" if parse_name(name) is None else name.rpartition(".")[0].casefold()
    except FileFormatError:  # reading says what is wrong with it
        return ""


def _are_twins(a: FoundFile, b: FoundFile) -> bool:
    return _is_dicom(a) != _is_dicom(b) and (a.stem != b.stem or a.path.parent == b.path.parent)


def _is_dicom(item: FoundFile) -> bool:
    return item.source[-4:].lower() == ".dcm"
