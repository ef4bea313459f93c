"""How counts, values and units are written for people, on the pages and in the lines of the command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ctfast.analysis.scan.records import SliceRecord

_UNITS: Final = {"hu": "HU", "stored": "stored values", "display": "brightness", "unknown": "unknown unit"}
_NOT_HU: Final = {
    "stored": "stored values: the file names no rescale to HU",
    "display": "the brightness of a picture, after a window that nobody knows",
    "unknown": "unit unknown: the file does not say that its values are HU",
}

CONFIRM_HU: Final = "If they are HU, say so with --units hu."


def units_text(units: str) -> str:
    """Units of pixel values, those of other DICOM Rescale Types by their name."""
    return _UNITS.get(units, units)


def not_hu_because(record: SliceRecord) -> str:
    """Why the values of a slice are not taken for HU."""
    known = _NOT_HU.get(record.units, f"the file names {record.units} as its unit")
    return str(record.facts.get("notes") or known)


def plural(count: int, word: str, more: str = "") -> str:
    """``1 slice``, ``2 slices``."""
    return f"{count:,} {word if count == 1 else more or word + 's'}"


def text_of(value: Any) -> str:
    """A value of the metadata or the statistics; nothing for None."""
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)
