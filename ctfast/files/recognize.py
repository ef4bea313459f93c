"""Which format a file has, by its first bytes; an extension that says otherwise is an error.

Policy: content decides, but a known extension must agree with it (a DICOM file named ``.tif`` was mislabelled by
something that may have damaged more than the name). A file that is two things (PS3.10 allows a TIFF header in the
DICOM preamble) is what its extension says, without one the first row of the table that fits.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from ctfast.batch import remote
from ctfast.batch.inside import on_disk
from ctfast.batch.urls import Url, place
from ctfast.errors import FileFormatError
from ctfast.files.formats import FORMATS, READ, STORE, Format, by_extension
from ctfast.files.next_steps import COPY_AGAIN

HEAD_BYTES: Final = 1024

_FOREIGN: Final[dict[bytes, str]] = {
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "gzip-compressed data",
    b"GIF8": "a GIF image",
    b"\x00\x05\x16\x07": "macOS AppleDouble metadata, not the image of that name",
    b"version https://git-lfs": "a Git LFS pointer, not the image itself (run 'git lfs pull')",
}


_STORE_FILES: Final = ("zarr.json", ".zarray", ".zgroup")


def is_store(folder: str | Path) -> bool:
    """Whether a folder is a Zarr store, of version 3 or 2."""
    return any(os.path.isfile(os.path.join(folder, name)) for name in _STORE_FILES)


def read_head(path: str | Path) -> bytes:
    """The first bytes of a regular file; ``STORE`` of a folder that is a Zarr store.

    Raises:
        OSError: If it cannot be opened.
        FileFormatError: For a folder, a named pipe (which would wait forever), a device, or an empty file.
    """
    path = on_disk(path)
    if ":/" in path:
        named = place(path)
        if isinstance(named, Url):
            return _read_remote_head(named)
        path = str(named)
    try:
        mode = os.stat(path).st_mode
    except ValueError as error:  # a NUL in the name
        raise FileFormatError(f"{path!r}: not a file name ({error})", "rename the file") from error
    if stat.S_ISDIR(mode) and is_store(path):
        return STORE
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe, socket or device"
        if stat.S_ISDIR(mode):
            os.scandir(path).close()  # one that can't be listed says so
        raise FileFormatError(f"{path}: {kind}, not an image file", "give image files, or a folder of them")
    file = os.open(path, os.O_RDONLY)  # a third of the time of open(), which counts in folders of thousands of files
    try:
        head = os.read(file, HEAD_BYTES)
    finally:
        os.close(file)
    if not head:
        raise FileFormatError(f"{path}: empty file (0 bytes)", "copy it again")
    return head


def _read_remote_head(url: Url) -> bytes:
    (head,) = remote.heads([url], HEAD_BYTES)
    if isinstance(head, OSError):
        raise head
    if not head:
        raise FileFormatError(f"{url}: empty file (0 bytes)", COPY_AGAIN)
    return head


def detect(head: bytes) -> tuple[Format, ...]:
    """Formats that the first bytes of a file fit, likeliest first; empty when none does."""
    fitting = tuple(row for row in READ if row.fits(head))
    return fitting or tuple(row for row in READ if row.without_magic is not None and row.without_magic(head))


def likeliest(head: bytes) -> Format | None:
    """The first of them."""
    return next((row for row in READ if row.fits(head)), None) or next(iter(detect(head)), None)


def check_format(path: Path, head: bytes) -> Format:
    """The format of a file by content, in agreement with its extension.

    Raises:
        FileFormatError: For unknown content, or content that contradicts the extension.
    """
    claimed = by_extension(path)
    if claimed is None:
        return format_of(path, head)
    if claimed.fits(head):
        return claimed  # nearly every file, so the others are not asked
    fitting = detect(head)
    if claimed in fitting:
        return claimed
    if fitting:
        holds, advice = f"{fitting[0].title} data", "rename it if that is what it is"
    else:
        holds, advice = _other(head), f"{COPY_AGAIN}, or convert it"
    raise FileFormatError(f"{path}: named as {claimed.title} but holds {holds}", advice)


def format_of(path: Path, head: bytes) -> Format:
    """The format of a file by content alone, whatever its name.

    Raises:
        FileFormatError: For unknown content.
    """
    fitting = detect(head)
    if fitting:
        return fitting[0]
    titles = [row.title for row in READ]
    raise FileFormatError(
        f"{path}: holds {_other(head)}; {', '.join(titles[:-1])} and {titles[-1]} are read",
        "convert it to one of these",
    )


def _other(head: bytes) -> str:
    return foreign(head) or f"something else (it starts with {head[:8]!r})"


def foreign(head: bytes) -> str | None:
    """What well-known content that is not read the first bytes show, such as ``"a PNG image"``."""
    for row in FORMATS:
        if not row.reader and row.fits(head):
            return f"a {row.title} image"
    for magic, title in _FOREIGN.items():
        if head.startswith(magic):
            return title
    return "an HTML page (a saved error page?)" if head.lstrip()[:5].lower() in (b"<!doc", b"<html") else None
