"""Where ctfast keeps what it can make again."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache(*parts: str) -> Path:
    """The user's cache folder of ctfast or a path in it, below ``$XDG_CACHE_HOME`` or ``~/.cache``; it is not made."""
    home = os.environ.get("XDG_CACHE_HOME")
    return Path(home or Path.home() / ".cache").joinpath("ctfast", *parts)
