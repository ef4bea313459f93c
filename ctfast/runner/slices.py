"""The slices of a series, by compiled code where they are plain; a file's bytes are read once, for its hash too."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from ctfast.batch.choices import UnitsChoice
from ctfast.batch.stamp import sha256_of
from ctfast.files import Image, Limits
from ctfast.files.plain import PlainReader

_LARGEST: Final = 8 << 20
"""Bytes of a file that may be plain."""


class SliceReader:
    """Reads slices into memory of its own, on the thread that makes it."""

    def __init__(self, units: UnitsChoice, limits: Limits) -> None:
        self._reader = PlainReader(units, limits)
        self._bytes = np.empty(1 << 20, np.uint8)
        self._hash = hashlib.sha256()
        self._hashed: list[str] = []

    def read(self, path: Path) -> Image | None:
        """A plain file's image, which the next one overwrites; None for what ``read_image`` has to look at."""
        name = os.fspath(path)
        try:
            size = os.stat(name).st_size
            if not 0 < size < _LARGEST:
                return None
            if self._bytes.size <= size:
                self._bytes = np.empty(2 * size, np.uint8)
            with open(name, "rb", buffering=0) as file:
                if file.readinto(self._bytes.data[: size + 1]) != size:
                    return None
        except OSError:
            return None
        self._hash.update(self._bytes.data[:size])
        self._hashed.append(name)
        plain = self._reader.read(name, self._bytes, size)
        return None if plain is None else plain.image

    def hash_of(self, files: Sequence[str]) -> str:
        """SHA-256 of the contents of these files, one after the other."""
        return self._hash.hexdigest() if self._hashed == list(files) else sha256_of(*files)
