"""Which image files a user means by folders, patterns and names.

Policies: a file named explicitly is always taken (reading it says what is wrong with it). In folders and patterns
content decides: a file is taken whose first bytes are those of an image, whatever its name, and so is one whose name
claims to be an image, or that can't be looked at (dead links, no permission, folders that can't be listed), because
reading it then fails for all to see. PNG and JPEG pictures in a folder with DICOM or TIFF files are previews of them,
and left out. Hidden files and folders, macOS ``._`` files, files of other content and DICOM
objects that are no images (DICOMDIR, structure sets, reports) are left out. Links are followed, loops of links are
not. Every path that was seen is either taken or listed with the reason.
"""

from __future__ import annotations

import glob
import os
import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ctfast.batch.inside import on_disk, split
from ctfast.batch.stamp import Stamp
from ctfast.batch.urls import Url, place
from ctfast.errors import FileFormatError, UsageError
from ctfast.files.beside import is_picture, pictures_beside_images
from ctfast.files.formats import READ, by_extension, extension
from ctfast.files.recognize import foreign, is_store, likeliest, read_head

SPLITS: Final = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation",
    "test": "test", "testing": "test", "holdout": "test",
}  # fmt: skip
"""Folder names that stand for one side of a split."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """An image file, and where its output belongs; kept as text, because a set may have a million."""

    source: str
    output: str
    stamp: Stamp | None = None
    """Size and time, where they were seen (of a URL)."""

    @property
    def path(self) -> Path:
        """The file as the user would name it."""
        return place(self.source)

    @property
    def stem(self) -> Path:
        """Relative output path without extension: the path below the input folder (or the fixed part of the pattern);
        the bare name for a file that was named."""
        return Path(self.output)


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
    named: set[str] = field(default_factory=set)

    def name(self, path: Path) -> None:
        """Take a file that was named by itself."""
        file, inside = split(path)
        self.named.add(os.path.abspath(path))
        self.take(path, file.parent)
        if inside:
            name = "_".join([_without_extension(Path(file.name)).name, *filter(None, inside.split("/"))])
            self.items[os.path.abspath(path)] = FoundFile(str(path), name)

    def take(self, path: Path, base: Path) -> None:
        key = os.path.abspath(path)
        if key not in self.items:
            self._add(key, str(path), str(_without_extension(path.relative_to(base))))

    def _add(self, key: str, source: str, output: str) -> None:
        self.items[key] = FoundFile(key if key == source else source, output)  # one text where both are equal

    def leave(self, path: Path, reason: str) -> None:
        self.ignored.append(Ignored(path, reason))

    def offer(self, path: Path, base: Path) -> None:
        """Take or leave a file that was not named by itself."""
        reason = _why_not(path)
        if reason is None:
            self.take(path, base)
        else:
            self.leave(path, reason)

    def look_at(self, url: Url) -> None:
        """Take or leave the files that a URL stands for."""
        from ctfast.files.find_remote import remote_files

        root, offered = remote_files(url)
        self.roots += [] if root is None else [root]
        for path, below, stamp, reason in offered:
            if reason:
                self.leave(path, reason)
            elif (key := str(path)) not in self.items:
                self.items[key] = FoundFile(key, str(_without_extension(below)), stamp)
            if root is None:
                self.named.add(str(path))

    def leave_pictures(self) -> None:
        """Leave out the pictures beside images."""
        folders = {item.path.parent for item in self.items.values() if is_picture(item.path)}
        offered = {
            key: item.path
            for key, item in self.items.items()
            if folders and key not in self.named and item.path.parent in folders
        }
        reasons = pictures_beside_images(offered.values())
        for key, path in offered.items():
            if path in reasons:
                del self.items[key]
                self.leave(path, reasons[path])

    def walk(self, folder: Path, base: Path) -> None:
        """Offer all files below a folder in sorted order, each real folder once."""
        seen: set[tuple[int, int]] = set()
        unreadable: list[Path] = []
        walk = os.walk(folder, followlinks=True, onerror=lambda error: unreadable.append(Path(str(error.filename))))
        for here, folders, files in walk:
            status = os.stat(here)
            if (status.st_dev, status.st_ino) in seen:
                folders.clear()
                self.leave(Path(here), "a link to a folder that was searched already")
                continue
            seen.add((status.st_dev, status.st_ino))
            for name in sorted(name for name in folders if name.startswith(".")):
                self.leave(Path(here, name), "hidden folder")
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in [name for name in folders if is_store(os.path.join(here, name))]:
                folders.remove(name)
                self.take(Path(here, name), base)
            place, parent = os.path.abspath(here), str(Path(here).relative_to(base))
            for name in sorted(files):
                # As ``offer``, in a third of its time: what the files of a folder share is found once.
                path = Path(here, name)
                if (reason := _why_not(path)) is not None:
                    self.leave(path, reason)
                elif (key := os.path.join(place, name)) not in self.items:
                    known = extension(path)
                    stem = name[: -len(known)] or name if known else name
                    self._add(key, str(path), stem if parent == "." else os.path.join(parent, stem))
        for path in unreadable:  # taken, because nobody knows what is lost: reading it gives the reason
            self.take(path, base)


def find_images(inputs: Sequence[str | Path]) -> Found:
    """Find the image files that folders (searched to any depth), glob patterns and single files stand for.

    Args:
        inputs: Paths or patterns (``*``, ``?``, ``[...]``, ``**``); an existing path is never read as a pattern. URLs
            (``s3://bucket/folder``) are taken as paths are.

    Raises:
        UsageError: If there is no input, one does not exist, a pattern matches nothing, or no image is found.
        MachineError: If the storage of a URL can't be asked.
    """
    if isinstance(inputs, str | Path) or not inputs:
        raise UsageError(f"inputs={inputs!r}; a sequence of one or more folders, patterns or files is needed")
    search = _Search()
    for item in inputs:
        text = os.fspath(item)
        path = place(text)
        if not text or "\0" in text:
            raise UsageError(f"input {text!r} is no path")
        if isinstance(path, Url):
            search.look_at(path)
        elif path.is_dir() and not is_store(path):
            search.roots.append(path)
            search.walk(path, path)
        elif os.path.lexists(on_disk(path)):
            search.name(path)
        elif glob.has_magic(str(path)):
            _expand(str(path), search)
        else:
            raise UsageError(f"input {text!r} does not exist")
    search.leave_pictures()
    if not search.items:
        raise UsageError(_nothing(inputs, search.ignored))
    return Found(tuple(search.items.values()), tuple(search.ignored), tuple(dict.fromkeys(search.roots)))


def by_reason(ignored: Sequence[Ignored | Unread], most: int = 8) -> str:
    """What was left out, counted by reason: ``"2 x PNG image, 1 x hidden file"``; empty for nothing."""
    counts = Counter(item.reason for item in ignored).most_common()
    listed = [f"{number} x {reason}" for reason, number in counts[:most]]
    rest = sum(number for _, number in counts[most:])
    return ", ".join([*listed, f"{rest} for other reasons"] if rest else listed)


def _nothing(inputs: Sequence[str | Path], ignored: Sequence[Ignored]) -> str:
    listed = ", ".join(str(item) for item in inputs)
    left = f"; left out: {by_reason(ignored)}" if ignored else ""
    known = ", ".join(f"{row.title} ({' '.join(row.extensions)})" for row in READ)
    return f"no images found in {listed}{left}. Files of any name are read whose content is {known}"


def _expand(pattern: str, search: _Search) -> None:
    base = Path(pattern)
    while glob.has_magic(str(base)):
        base = base.parent
    search.roots.append(base)
    matches = sorted(Path(match) for match in glob.iglob(pattern, recursive=True))
    if not matches:
        raise UsageError(f"pattern {pattern!r} matches nothing")
    for match in matches:
        if match.is_dir() and not is_store(match):
            search.walk(match, base)
        else:
            search.offer(match, base)


def _why_not(path: Path) -> str | None:
    """Why a file is left out; None for one that is an image, claims to be one, or can't be looked at."""
    name = path.name
    if name.startswith("."):
        return "macOS AppleDouble file" if name.startswith("._") else "hidden file"
    if name.upper() == "DICOMDIR":
        return "DICOMDIR (an index of other files)"
    claimed = by_extension(path)
    try:
        if claimed is not None and claimed.without_pixels is None:
            # Reading it says what is wrong with it, if anything is.
            return None if stat.S_ISREG(path.stat().st_mode) or is_store(path) else "not a regular file"
        head = read_head(path)
    except FileFormatError:
        if not path.is_file():
            return "not a regular file"
        return "empty file" if claimed is None else None
    except OSError:
        return None  # a dead link, no permission, a failing disk: an image may be lost, so reading has to fail
    row = likeliest(head)
    if row is not None:
        return row.without_pixels(head) if row.without_pixels is not None else None
    return None if claimed is not None else f"{foreign(head) or 'no image'} ({path.suffix.lower() or 'no extension'})"


def _without_extension(path: Path) -> Path:
    known = extension(path)
    return path.with_name(path.name[: -len(known)] or path.name) if known else path
