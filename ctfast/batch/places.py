"""Where files lie, as records say it: seen from the folder of the record, so that both can be moved together.

What shares nothing with that folder but the root (another disk, another bucket) is named in full. ``folder`` is a real
path, without links, and so are paths that lie near it.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Final

_SCHEME: Final = "://"


def noted(path: str, folder: str) -> str:
    """A path as a record in ``folder`` names it; relative ones, and none, as they are."""
    if path.startswith(folder) and path[len(folder) : len(folder) + 1] == "/":
        return path[len(folder) + 1 :]
    if not (path.startswith("/") or _SCHEME in path):
        return path
    above, _, name = path.rpartition("/")
    near = _way(above, folder)
    return path if near is None else f"{near}/{name}"


def found(name: str, folder: str) -> str:
    """The path that a record in ``folder`` names."""
    if not name or name.startswith("/") or _SCHEME in name:
        return name
    if not name.startswith("../"):
        return f"{folder}/{name}"
    above, _, last = name.rpartition("/")
    return f"{_back(above, folder)}/{last}"


@lru_cache(maxsize=64)
def _way(above: str, folder: str) -> str | None:
    """From one folder to another; None where they share the root alone."""
    (root, there), (own, here) = _split(above), _split(folder)
    if root != own or not there or not here or there.split("/")[0] != here.split("/")[0]:
        return None
    return os.path.relpath(f"/{there}", f"/{here}")


@lru_cache(maxsize=64)
def _back(way: str, folder: str) -> str:
    root, here = _split(folder)
    return root + os.path.normpath(f"/{here}/{way}")[1:]


def _split(path: str) -> tuple[str, str]:
    """The root, ``/`` or ``s3://``, and the rest."""
    scheme, mark, rest = path.partition(_SCHEME)
    return (scheme + mark, rest) if mark else ("/", path.removeprefix("/"))
