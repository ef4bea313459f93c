"""Data sets inside of files: ``FILE::/PATH`` names one, and ``FILE`` is what lies on the disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from ctfast.batch.urls import place

_MARK: Final = "::"


def split(path: str | Path) -> tuple[Path, str]:
    """The file, and the path inside of it; empty where none is named, or a file is really called so."""
    file, mark, inside = os.fspath(path).partition(_MARK)
    return (place(file), inside) if mark and not os.path.lexists(path) else (place(path), "")


def on_disk(path: str | Path) -> str:
    """The file alone."""
    text = os.fspath(path)
    return str(split(text)[0]) if _MARK in text else text
