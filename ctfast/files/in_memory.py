"""Images that are no files on this disk: bytes, and open binary files (``io.BytesIO``, sockets, fsspec's, uploads)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Protocol

from ctfast.batch import remote
from ctfast.batch.urls import Url
from ctfast.errors import ArgumentError, FileFormatError
from ctfast.files.formats import STORE
from ctfast.files.image import Limits
from ctfast.files.next_steps import COPY_AGAIN, MORE_BYTES

Bytes = bytes | bytearray | memoryview
UNNAMED: Final = "<bytes>"
"""What stands for a name in errors and in ``Image.source``."""
_OF_HEADERS: Final = 64 << 20
"""Bytes that a file may have beyond those of its pixels."""


class Readable(Protocol):
    """A file that is open for its bytes."""

    def read(self, size: int = ..., /) -> bytes:
        """The next bytes; none at the end."""


def in_memory(source: Bytes | Readable, limits: Limits) -> tuple[Path, bytes]:
    """The name, where there is one, and all bytes, from where a file stands to its end.

    Raises:
        ArgumentError: For anything else, closed files, and files that are open for text.
        FileFormatError: For no bytes, and for more than ``limits`` lets an image have.
    """
    if isinstance(source, Bytes):
        name, data = UNNAMED, bytes(source)
    else:
        if not callable(getattr(source, "read", None)):
            kind, to_open = type(source).__name__, hasattr(source, "open")
            raise ArgumentError(
                f"path is of type {kind}; a path, bytes, or a file that is open for its bytes is allowed"
                + (": take `with path as file: read_image(file)`" if to_open else "")
            )
        name = _name_of(source)
        data = _all_of(source, name, limits.max_bytes + _OF_HEADERS)
    if not data:
        raise FileFormatError(f"{name}: 0 bytes", "if they lie before where the file stands, seek(0) first")
    if data.startswith(STORE):
        raise FileFormatError(f"{name}: no image", "name the folder of a Zarr store")
    return Path(name), data


def remote_bytes(url: Url) -> bytes:
    """All bytes of a file that a URL names.

    Raises:
        OSError: It is not there, or the storage can't be asked (``MachineError``).
        FileFormatError: It is empty.
    """
    data = remote.read(url)
    if not data:
        raise FileFormatError(f"{url}: empty file (0 bytes)", COPY_AGAIN)
    return data


def _name_of(file: Any) -> str:
    """As the user knows it; a number is that of an open file without a name."""
    for name in (getattr(file, "full_name", None), getattr(file, "name", None), getattr(file, "path", None)):
        if isinstance(name, str) and name:
            return name
    return UNNAMED


def _all_of(file: Readable, name: str, most: int) -> bytes:
    try:
        parts, size = [], 0
        while size <= most and (part := file.read(most + 1 - size)):
            if not isinstance(part, bytes):
                raise ArgumentError(
                    f"{name}: read() gives {type(part).__name__}; open it for its bytes: open(..., 'rb')"
                )
            parts.append(part)
            size += len(part)
    except ValueError as error:  # a closed file
        if isinstance(error, ArgumentError):
            raise
        raise ArgumentError(f"{name}: {error}; an open file is needed") from error
    if size > most:
        raise FileFormatError(f"{name}: over {most} bytes; no image within the limits has as many", MORE_BYTES)
    return parts[0] if len(parts) == 1 else b"".join(parts)
