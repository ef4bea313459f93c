"""Harmless faults of a DICOM header: the file is read, and a note says what was wrong and how it was taken."""

from __future__ import annotations

from typing import Any, Final

from ctfast.files._dicom_tags import TAGS, number_or_none, text

_DECIMALS: Final = (
    "RescaleSlope",
    "RescaleIntercept",
    "PixelSpacing",
    "SliceThickness",
    "ImagePositionPatient",
    "ImageOrientationPatient",
)
_TERMS: Final = ("Modality", "PhotometricInterpretation", "RescaleType")


def harmless_faults(ds: Any) -> list[str]:
    """What is wrong in the header and was understood all the same, one note a fault.

    Faults are no frames beside pixels (DICOM PS3.3 C.7.6.6.1.1), decimal commas and terms in lower case (PS3.5 6.2, DS
    and CS).
    """
    notes = []
    if number_or_none(ds, "NumberOfFrames") == 0:
        notes.append("Number of Frames is 0: read as 1")
    for keyword in _DECIMALS:
        item = ds.get_item(TAGS[keyword])
        if item is not None and isinstance(item.value, bytes) and b"," in item.value:
            notes.append(f"{keyword} has a decimal comma ({text(ds, keyword)}): read as a point")
    for keyword in _TERMS:
        term = text(ds, keyword)
        if term != term.upper() and term.upper() not in ("HOUNSFIELD", "HOUNSFIELD UNITS"):
            notes.append(f"{keyword} is {term!r}: read as {term.upper()!r}")
    return notes
