"""Which image files a user means by folders, patterns and names.

Policies: a file named explicitly is always taken (reading it says what is wrong with it). In folders and patterns only
names with a known extension are taken; names without one (or with a number for one, as scanners write) are taken when
their first bytes are those of an image. Hidden files, macOS ``._`` files and DICOMDIR are skipped. Links are followed,
loops of links are not. Everything left out is listed with the reason.
"""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ctfast.errors import FileFormatError, UsageError
from ctfast.files.formats import extension
from ctfast.files.recognize import detect, read_head

SPLITS: Final = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation",
    "test": "test", "testing": "test", "holdout": "test",
}  # fmt: skip
"""Folder names that stand for one side of a split."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """An image file, and where its output belongs.

    Attributes:
        path: The file as the user would name it.
        stem: Relative output path without extension: the path below the input folder (or the fixed part of the
            pattern); the bare name for a file that was named.
    """

    path: Path
    stem: Path


@dataclass(frozen=True, slots=True)
class Ignored:
    """A file or folder that was left out, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Unread:
    """A file that could not be read or measured, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Found:
    """What the inputs stand for, in a stable order.

    Attributes:
        items: The image files, each once.
        ignored: What was left out.
        roots: The input folders (also those that patterns start from).
    """

    items: tuple[FoundFile, ...]
    ignored: tuple[Ignored, ...]
    roots: tuple[Path, ...]


@dataclass(slots=True)
class _Search:
    items: dict[str, FoundFile] = field(default_factory=dict)
    ignored: list[Ignored] = field(default_factory=list)
    roots: list[Path] = field(default_factory=list)

    def take(self, path: Path, base: Path) -> None:
        stem = path.relative_to(base)
        self.items.setdefault(os.path.abspath(path), FoundFile(path, _without_extension(stem)))

    def leave(self, path: Path, reason: str) -> None:
        self.ignored.append(Ignored(path, reason))

    def offer(self, path: Path, base: Path) -> None:
        """Take or leave a file that was not named by itself."""
        reason = _why_not(path)
        if reason is None:
            self.take(path, base)
        else:
            self.leave(path, reason)

    def walk(self, folder: Path, base: Path) -> None:
        for path in _files_below(folder, self):
            self.offer(path, base)


def find_images(inputs: Sequence[str | Path]) -> Found:
    """Find the image files that folders (searched to any depth), glob patterns and single files stand for.

    Args:
        inputs: Paths or patterns (``*``, ``?``, ``[...]``, ``**``); an existing path is never read as a pattern.

    Raises:
        UsageError: If there is no input, one does not exist, or a pattern matches nothing.
    """
    if isinstance(inputs, str | Path) or not inputs:
        raise UsageError(f"inputs={inputs!r}; a sequence of one or more folders, patterns or files is needed")
    search = _Search()
    for item in inputs:
        text = os.fspath(item)
        path = Path(text)
        if not text or "\0" in text:
            raise UsageError(f"input {text!r} is no path")
        if path.is_dir():
            search.roots.append(path)
            search.walk(path, path)
        elif os.path.lexists(path):
            search.take(path, path.parent)
        elif glob.has_magic(text):
            _expand(text, search)
        else:
            raise UsageError(f"input {text!r} does not exist")
    return Found(tuple(search.items.values()), tuple(search.ignored), tuple(dict.fromkeys(search.roots)))


def _expand(pattern: str, search: _Search) -> None:
    base = Path(pattern)
    while glob.has_magic(str(base)):
        base = base.parent
    search.roots.append(base)
    matches = sorted(Path(match) for match in glob.iglob(pattern, recursive=True))
    if not matches:
        raise UsageError(f"pattern {pattern!r} matches nothing")
    for match in matches:
        if match.is_dir():
            search.walk(match, base)
        else:
            search.offer(match, base)


def _files_below(folder: Path, search: _Search) -> Iterator[Path]:
    """Files in a folder and its subfolders in sorted order, each real folder once."""
    seen: set[tuple[int, int]] = set()
    for here, folders, files in os.walk(
        folder, followlinks=True, onerror=lambda error: search.leave(Path(str(error.filename)), f"unreadable: {error}")
    ):
        status = os.stat(here)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            search.leave(Path(here), "a link to a folder that was searched already")
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(here, name) for name in sorted(files))


def _why_not(path: Path) -> str | None:
    name = path.name
    if name.startswith("._"):
        return "macOS AppleDouble file"
    if name.startswith("."):
        return "hidden file"
    if name.upper() == "DICOMDIR":
        return "DICOMDIR (an index of other files)"
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return "not a regular file"
        if extension(path):
            return None
        if path.suffix and not path.suffix[1:].isdigit():
            return f"other extension ({path.suffix})"
        return None if detect(read_head(path)) else "no extension, and not the content of an image"
    except FileFormatError:
        return "empty file"
    except OSError as error:
        return f"unreadable: {error.strerror}"


def _without_extension(path: Path) -> Path:
    known = extension(path)
    return path.with_name(path.name[: -len(known)] or path.name) if known else path
