"""Facts about a slice that are not in its pixels: from its name, its folder, ``overview.csv`` and its header."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ctfast.analysis.scan.records import MOST_CLASSES, Fact
from ctfast.files import CONTRAST, SPLITS, Image, Overview, parse_name

_HEADER: Final = (
    "modality", "kernel", "slice_thickness", "kvp", "contrast_agent", "body_part", "patient_sex", "series", "study",
    "rescale_slope", "rescale_intercept", "rescale_per_frame", "window_center", "window_width", "photometric",
    "inverted", "transfer_syntax", "compression", "stored_dtype", "bits_stored", "slice_location", "instance_number",
    "orientation", "turned", "loss", "notes",
)  # fmt: skip


def facts_of(image: Image, name: str, overview: Overview) -> dict[str, Fact]:
    """Everything known about a file; what the table says wins over the name, the name over the header."""
    facts: dict[str, Fact] = {k: image.meta[k] for k in _HEADER if image.meta.get(k) not in (None, "")}
    scanner = [str(image.meta[k]) for k in ("manufacturer", "model") if image.meta.get(k)]
    if scanner:
        facts["scanner"] = " ".join(scanner)
    patient = image.meta.get("patient_id")
    if patient:
        facts["patient"] = str(patient)
    age = _age(image.meta.get("patient_age"))
    if age is not None:
        facts["age"] = age
    parts = Path(name).parts[:-1]
    facts["folder"] = "/".join(parts)
    facts["split"] = next((SPLITS[p.lower()] for p in parts if p.lower() in SPLITS), None)
    _add_labels(facts, image.source.name, overview)
    return {k: v for k, v in facts.items() if v is not None and v != ""}


def _add_labels(facts: dict[str, Fact], file_name: str, overview: Overview) -> None:
    row = overview.rows.get(file_name)
    if row is not None:
        facts |= {"id": row.id, "age": row.age, "label": CONTRAST[row.contrast], "contrast_tag": row.contrast_tag}
        return
    known = parse_name(file_name)
    if known is not None:
        facts |= {"id": known.id, "age": known.age, "label": CONTRAST[known.contrast]}


def _age(text: object) -> float | None:
    """DICOM age string (018M, 074Y) in years."""
    years = {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0}
    value = str(text or "").strip().upper()
    if len(value) == 4 and value[:3].isdigit() and value[3] in years:
        age = int(value[:3]) / years[value[3]]
        return int(age) if age.is_integer() else round(age, 2)
    return None


def label_by_folder(facts: list[dict[str, Fact]]) -> bool:
    """Where no slice has a label: 2 to 12 folders become the classes. Returns whether they did."""
    if any("label" in f for f in facts):
        return False
    names = {_class_folder(f) for f in facts}
    if "" in names or not 2 <= len(names) <= MOST_CLASSES:
        return False
    for f in facts:
        f["label"] = _class_folder(f)
    return True


def _class_folder(facts: dict[str, Fact]) -> str:
    parts = [p for p in str(facts.get("folder", "")).split("/") if p and p.lower() not in SPLITS]
    return parts[-1] if parts else ""
