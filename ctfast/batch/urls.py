"""Names of files that are not on this machine's disks: ``s3://bucket/folder/slice.dcm``."""

from __future__ import annotations

import os
import re
from pathlib import Path, PosixPath
from typing import Final

from ctfast.errors import UsageError

SCHEME: Final = "://"
_WITHOUT_A_SLASH: Final = re.compile(r"(s3a?|gc?s|abfss?|az|memory|file|https?|hdfs|s?ftp):/")
_LOCAL: Final = ("file://", "local://")


class Url(PosixPath):
    """A URL that is taken apart as a path is (``name``, ``parent``, ``/``); nothing of it is on the disk."""

    def __str__(self) -> str:
        scheme, colon, rest = super().__str__().partition(":/")
        return f"{scheme}{SCHEME}{rest}" if colon else scheme

    def __fspath__(self) -> str:
        return str(self)


def is_url(path: str | Path) -> bool:
    """Whether a path is a URL."""
    return SCHEME in os.fspath(path)


def place(path: str | Path) -> Path:
    """A path that a user gave: on the disk (``file://`` too), or a ``Url``.

    Raises:
        UsageError: a URL that went through ``pathlib.Path``.
    """
    text = os.fspath(path)
    if SCHEME not in text:
        if ":/" in text and _WITHOUT_A_SLASH.match(text):
            raise UsageError(f"{text}: pathlib takes a slash out of URLs; give it as text")
        return Path(text)
    if text.startswith(_LOCAL):
        return Path(text.partition(SCHEME)[2])
    return Url(text)


def scheme_of(url: str | Path) -> str:
    """``s3`` of ``s3://bucket/x``."""
    return os.fspath(url).partition(SCHEME)[0]
