"""Facts about a DICOM image worth carrying along: flat, JSON-able, and never a reason to refuse the file."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from ctfast.files._dicom_tags import TAGS, has, number_or_none, text
from ctfast.files.image import MetaValue

_TEXT: Final = {
    "modality": "Modality",
    "manufacturer": "Manufacturer",
    "model": "ManufacturerModelName",
    "patient_id": "PatientID",
    "patient_age": "PatientAge",
    "patient_sex": "PatientSex",
    "contrast_agent": "ContrastBolusAgent",
    "kernel": "ConvolutionKernel",
    "body_part": "BodyPartExamined",
    "photometric": "PhotometricInterpretation",
    "window_function": "VOILUTFunction",
    "sop_class": "SOPClassUID",
    "sop_instance": "SOPInstanceUID",
    "series": "SeriesInstanceUID",
    "study": "StudyInstanceUID",
}
_NUMBERS: Final = {
    "window_center": "WindowCenter",
    "window_width": "WindowWidth",
    "slice_thickness": "SliceThickness",
    "slice_location": "SliceLocation",
    "instance_number": "InstanceNumber",
    "kvp": "KVP",
    "bits_stored": "BitsStored",
}


@cache
def wanted() -> list[str | int]:
    """Every element that the reader looks at; pydicom skips the rest (private sequences may be broken)."""
    return list(TAGS.values())


def collect(ds: Any) -> dict[str, MetaValue]:
    """Text and numbers of a data set, without those that are missing or unreadable."""
    meta: dict[str, MetaValue] = {}
    for name, keyword in _TEXT.items():
        value = text(ds, keyword)
        if value:
            meta[name] = value
    for name, keyword in _NUMBERS.items():
        number = number_or_none(ds, keyword)
        if number is not None:
            meta[name] = number
    if "window_center" not in meta:
        for group in _frame_groups(ds):
            for voi in group.get("FrameVOILUTSequence") or []:
                meta.setdefault("window_center", number_or_none(voi, "WindowCenter"))
                meta.setdefault("window_width", number_or_none(voi, "WindowWidth"))
    syntax = ds.file_meta.get("TransferSyntaxUID") if hasattr(ds, "file_meta") else None
    if syntax is not None:
        meta["transfer_syntax"] = str(syntax.name)
    return meta


def _frame_groups(ds: Any) -> list[Any]:
    if not has(ds, "SharedFunctionalGroupsSequence") and not has(ds, "PerFrameFunctionalGroupsSequence"):
        return []
    shared = ds.get("SharedFunctionalGroupsSequence") or []
    per_frame = ds.get("PerFrameFunctionalGroupsSequence") or []
    return [*shared, *per_frame[:1]]
