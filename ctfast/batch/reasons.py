"""Why a file failed, as a person reads it."""

from __future__ import annotations

from pathlib import Path

from ctfast.errors import CTFastError


def reason(error: BaseException, path: str | Path = "") -> str:
    """One line; errors that are not ours say what they are. ``path`` is left out where the text begins with it."""
    text = " ".join([str(error), *getattr(error, "__notes__", [])]).strip()
    if not isinstance(error, CTFastError):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
        if isinstance(error, MemoryError):
            text += "; fewer --workers leave more memory to each file"
    return " ".join(text.split()).removeprefix(f"{path}: ")
