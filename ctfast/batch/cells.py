"""Text that is safe to show, and in a cell of a CSV file."""

from __future__ import annotations

from typing import Final

_ACTIVE: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "'")
"""First characters that make a spreadsheet run a cell as a formula, and the apostrophe itself, so that two texts never
become one."""


def printable(text: str) -> str:
    """Valid UTF-8: bytes of file names that are none appear as escapes, such as ``\\udcf6``."""
    return text.encode(errors="backslashreplace").decode()


def safe_cell(text: str) -> str:
    """Text as a cell: valid UTF-8, and no formula (an apostrophe is put in front); numbers stay as they are."""
    text = printable(text)
    return f"'{text}" if text.startswith(_ACTIVE) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text == text.strip()
