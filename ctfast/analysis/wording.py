"""How counts, values and units are written for people, on the pages and in the lines of the command."""

from __future__ import annotations

from typing import Any, Final

UNITS_TEXT: Final = {"hu": "HU", "stored": "stored values", "unknown": "unknown unit"}

NOT_HU: Final = {
    "stored": "stored values: the file names no rescale to HU",
    "unknown": "unit unknown: the file does not say that its values are HU",
}
"""Why the values of a slice are not taken for HU, by its units."""

CONFIRM_HU: Final = "If they are HU, say so with --units hu."


def plural(count: int, word: str, more: str = "") -> str:
    """``1 slice``, ``2 slices``."""
    return f"{count:,} {word if count == 1 else more or word + 's'}"


def text_of(value: Any) -> str:
    """A value of the metadata or the statistics; nothing for None."""
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)
