"""Text that is safe in a cell of a CSV file."""

from __future__ import annotations

from typing import Final

_ACTIVE: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "'")
"""First characters that make a spreadsheet run a cell as a formula, and the apostrophe itself, so that two texts never
become one."""


def safe_cell(text: str) -> str:
    """Text as a cell: valid UTF-8, and no formula (an apostrophe is put in front); numbers stay as they are."""
    text = text.encode(errors="backslashreplace").decode()
    return f"'{text}" if text.startswith(_ACTIVE) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text == text.strip()
