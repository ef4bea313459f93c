"""The images that a URL stands for, by the rules of ``find``: a folder with all below it, a pattern, or a file.

Names are taken at their word where they claim to be images: looking into each costs a request, and reading tells. Of
others, the first bytes are asked for, many at once.
"""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from ctfast.batch import remote
from ctfast.batch.stamp import Stamp
from ctfast.batch.urls import Url
from ctfast.errors import UsageError
from ctfast.files.formats import by_extension
from ctfast.files.recognize import HEAD_BYTES, foreign, likeliest

_ZARR: Final = ".zarr"

Offered = tuple[Url, Path, Stamp | None, str]
"""A file, its path below what was named, its stamp, and why it is left out; empty where it is not."""


def remote_files(url: Url) -> tuple[Url | None, list[Offered]]:
    """The folder that was searched, None for a file that was named by itself; and what is there.

    Raises:
        UsageError: there is no such file or folder, or the pattern matches nothing.
        MachineError: the storage can't be asked.
    """
    if glob.has_magic(str(url)):
        base = url
        while glob.has_magic(str(base)):
            base = base.parent
        found = {name: remote.stamp(name) for name in remote.matching(url)}
        if not found:
            raise UsageError(f"pattern {str(url)!r} matches nothing")
        return base, list(_looked_at(base, found.items()))
    folder = remote.is_folder(url)
    if folder is None:
        raise UsageError(f"input {str(url)!r} does not exist")
    if not folder:
        return None, [(url, Path(url.name), remote.stamp(url), "")]
    return url, list(_looked_at(url, remote.listed(url).items()))


def _looked_at(base: Url, found: Iterable[tuple[str, Stamp]]) -> Iterator[Offered]:
    unknown: list[tuple[Url, Path, Stamp]] = []
    for name, stamp in found:
        url, below = Url(name), Path(name[len(str(base)) :].lstrip("/"))
        reason = _why_not(below)
        if reason or by_extension(below) is not None:
            yield url, below, stamp, reason
        elif stamp.size == 0:
            yield url, below, stamp, "empty file"
        else:
            unknown.append((url, below, stamp))
    heads = remote.heads((url for url, _, _ in unknown), HEAD_BYTES)
    for (url, below, stamp), head in zip(unknown, heads, strict=True):
        yield url, below, stamp, "" if isinstance(head, OSError) else _what(head, below)  # reading tells what is wrong


def _why_not(below: Path) -> str:
    """Why a file is left out, by its name; empty where its name does not say so."""
    *folders, name = below.parts
    if any(folder.startswith(".") for folder in folders):
        return "in a hidden folder"
    if any(folder.endswith(_ZARR) for folder in folders):
        return "part of a Zarr store, which is read on disks alone: copy it to one"
    if name.startswith("."):
        return "macOS AppleDouble file" if name.startswith("._") else "hidden file"
    return "DICOMDIR (an index of other files)" if name.upper() == "DICOMDIR" else ""


def _what(head: bytes, below: Path) -> str:
    row = likeliest(head)
    if row is None:
        return f"{foreign(head) or 'no image'} ({below.suffix.lower() or 'no extension'})"
    return (row.without_pixels(head) or "") if row.without_pixels is not None else ""
