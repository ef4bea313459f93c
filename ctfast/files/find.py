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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from ctfast.batch.inside import on_disk, split
from ctfast.batch.packed import Packed
from ctfast.batch.stamp import Stamp
from ctfast.batch.urls import Url, is_url, place
from ctfast.errors import FileFormatError, UsageError
from ctfast.files.beside import folders_of_images_and_pictures, is_picture
from ctfast.files.formats import READ, by_extension, extension
from ctfast.files.recognize import foreign, is_store, likeliest, read_head
from ctfast.files.repeated import repeated

SPLITS: Final = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation",
    "test": "test", "testing": "test", "holdout": "test",
}  # fmt: skip
"""Folder names that stand for one side of a split."""


class FoundFile(NamedTuple):
    """An image file, and where its output belongs; as text, because a set may have a million.

    Attributes:
        source: the file as the user would name it.
        output: ``stem`` as text.
        stamp: size and time, where they were seen (of a URL).
    """

    source: str
    output: str
    stamp: Stamp | None = None

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

    items: Sequence[FoundFile]
    ignored: Sequence[Ignored]
    roots: tuple[Path, ...]


@dataclass(slots=True)
class _Search:
    items: Packed[FoundFile] = field(default_factory=Packed)
    ignored: Packed[Ignored] = field(default_factory=Packed)
    roots: list[Path] = field(default_factory=list)
    named: set[str] = field(default_factory=set)
    searched: dict[tuple[int, int], str] = field(default_factory=dict)
    """Folders by what they are on the disk, and how they were reached."""

    def name(self, path: Path) -> None:
        """Take a file that was named by itself."""
        file, inside = split(path)
        self.named.add(_key(str(path)))
        if inside:
            name = "_".join([_without_extension(Path(file.name)).name, *filter(None, inside.split("/"))])
            self.items.append(FoundFile(str(path), name))
        else:
            self.take(path, file.parent)

    def take(self, path: Path, base: Path) -> None:
        self.items.append(FoundFile(str(path), str(_without_extension(path.relative_to(base)))))

    def leave(self, path: Path, reason: str) -> None:
        self.ignored.append(Ignored(path, reason))

    def offer(self, path: Path, base: Path) -> None:
        """Take or leave a file that was not named by itself."""
        reason = _why_not(str(path))
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
            else:
                self.items.append(FoundFile(str(path), str(_without_extension(below)), stamp))
            if root is None:
                self.named.add(str(path))

    def leave_second_times(self) -> None:
        """Each file once, where it was met first."""
        if many := repeated(lambda: (_key(item.source) for item in self.items)):
            met: set[str] = set()
            self.items = Packed(
                item for item in self.items if (key := _key(item.source)) not in many or _is_new(key, met)
            )

    def leave_pictures(self) -> None:
        """Leave out the pictures beside images."""
        folders = folders_of_images_and_pictures(lambda: (it.source for it in self.items if not self._is_named(it)))
        if folders:
            self.items = Packed(self._without_pictures(self.items, folders))

    def _without_pictures(self, items: Iterable[FoundFile], folders: Mapping[str, str]) -> Iterator[FoundFile]:
        for item in items:
            reason = folders.get(os.path.dirname(item.source)) if is_picture(item.source) else None
            if reason is None or self._is_named(item):
                yield item
            else:
                self.leave(item.path, reason)

    def _is_named(self, item: FoundFile) -> bool:
        return bool(self.named) and _key(item.source) in self.named

    def walk(self, folder: Path, base: Path) -> None:
        """Offer all files below a folder in sorted order, each real folder once."""
        unreadable: list[Path] = []
        walk = os.walk(folder, followlinks=True, onerror=lambda error: unreadable.append(Path(str(error.filename))))
        for here, folders, files in walk:
            status = os.stat(here)
            before = self.searched.setdefault((status.st_dev, status.st_ino), _key(here))
            if before != _key(here):
                folders.clear()
                self.leave(Path(here), "a link to a folder that was searched already")
                continue
            for name in sorted(name for name in folders if name.startswith(".")):
                self.leave(Path(here, name), "hidden folder")
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in [name for name in folders if is_store(os.path.join(here, name))]:
                folders.remove(name)
                self.take(Path(here, name), base)
            # As ``offer``, in a tenth of its time: what the files of a folder share is found once, and names stay text.
            shown, below = (_in_front(path) for path in (Path(here), Path(here).relative_to(base)))
            for name in sorted(files):
                file = shown + name
                if (reason := _why_not(file)) is not None:
                    self.leave(Path(file), reason)
                else:
                    known = extension(name)
                    self.items.append(FoundFile(file, below + (name[: -len(known)] or name if known else name)))
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
    search, patterns = _Search(), False
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
            patterns = True
        else:
            raise UsageError(f"input {text!r} does not exist")
    if len(inputs) > 1 or patterns:  # a walk meets each file once
        search.leave_second_times()
    search.leave_pictures()
    if not search.items:
        raise UsageError(_nothing(inputs, search.ignored))
    return Found(search.items, search.ignored, tuple(dict.fromkeys(search.roots)))


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


def _in_front(folder: Path) -> str:
    """What stands in front of a name in a folder."""
    return "" if folder == Path() else os.path.join(folder, "")


def _why_not(file: str) -> str | None:
    """Why a file is left out; None for one that is an image, claims to be one, or can't be looked at."""
    name = os.path.basename(file)
    if name.startswith("."):
        return "macOS AppleDouble file" if name.startswith("._") else "hidden file"
    if name.upper() == "DICOMDIR":
        return "DICOMDIR (an index of other files)"
    claimed = by_extension(name)
    try:
        if claimed is not None and claimed.without_pixels is None:
            # Reading it says what is wrong with it, if anything is.
            return None if stat.S_ISREG(os.stat(file).st_mode) or is_store(file) else "not a regular file"
        head = read_head(file)
    except FileFormatError:
        if not os.path.isfile(file):
            return "not a regular file"
        return "empty file" if claimed is None else None
    except OSError:
        return None  # a dead link, no permission, a failing disk: an image may be lost, so reading has to fail
    row = likeliest(head)
    if row is not None:
        return row.without_pixels(head) if row.without_pixels is not None else None
    ending = Path(name).suffix.lower() or "no extension"
    return None if claimed is not None else f"{foreign(head) or 'no image'} ({ending})"


def _key(source: str) -> str:
    """One text for all ways of writing a file's name."""
    return source if is_url(source) else os.path.abspath(source)


def _is_new(key: str, met: set[str]) -> bool:
    before = len(met)
    met.add(key)
    return len(met) > before


def _without_extension(path: Path) -> Path:
    known = extension(path)
    return path.with_name(path.name[: -len(known)] or path.name) if known else path
