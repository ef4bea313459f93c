"""Where decoded slices are kept: in memory, or in a memory-mapped file of the user's cache folder when they are many.

A cache is a folder ``<set>-<key>``: ``set`` names the files and their preprocessing, ``key`` every file's size and
time. It is written under a temporary name, flushed to the disk, and renamed when it is complete, so that what a killed
process left behind is never found; a changed file changes the key. Finished caches of the same set with another key
are removed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from ctfast.batch.atomic import write_json
from ctfast.batch.cache_folder import user_cache
from ctfast.batch.limits import available_bytes
from ctfast.batch.parsing import parsed_json
from ctfast.batch.progress import Progress
from ctfast.batch.stamp import stamp_of
from ctfast.errors import UsageError
from ctfast.files.values import Values
from ctfast.model.data.decoding import HU_BINS, Decoded, hash_of
from ctfast.model.data.labels import Sample
from ctfast.model.data.preprocessing import Preprocessing

FORMAT: Final = 4
_IMAGES, _FACTS, _SHARES = "images.u16", "facts.json", "hu_shares.npy"
_MEMORY_SHARE: Final = 4
_CHECKED: Final = 8
_ABANDONED_SECONDS: Final = 86_400
RESERVED_BYTES: Final = 256 << 20
"""Bytes that stay free on the disk."""

Kept = tuple[NDArray[np.uint16], list[Decoded]]


class Cache:
    """The images of one set with one preprocessing."""

    def __init__(
        self,
        samples: Sequence[Sample],
        preprocessing: Preprocessing,
        values: Values,
        modality: str,
        folder: str | Path | None,
        memory: int | None,
    ) -> None:
        self.folder = Path(folder) if folder is not None else user_cache("datasets")
        self.memory = available_bytes() // _MEMORY_SHARE if memory is None else memory
        self.shape = (*preprocessing.image_size, *((3,) if preprocessing.channels == 3 else ()))
        self.count = len(samples)
        name, key = hashlib.sha256(), hashlib.sha256()
        for text in (str(FORMAT), preprocessing.hash, str(values), modality):
            name.update(f"{text}\0".encode())
        for sample in samples:
            for path in sample.paths:
                whole = os.path.abspath(path).encode(errors="surrogateescape")
                name.update(whole + b"\0")
                key.update(_stamp_bytes(path))
        self.name = name.hexdigest()[:16]
        self.final = self.folder / f"{self.name}-{key.hexdigest()[:16]}"

    def find(self) -> Kept | None:
        """What an earlier run left, if it is whole."""
        try:
            facts = parsed_json((self.final / _FACTS).read_text(encoding="utf-8"))
            decoded = [
                Decoded(**{**d, "hashes": tuple(d["hashes"]), "shape": tuple(d["shape"])}) for d in facts["files"]
            ]
            shares = np.load(self.final / _SHARES, allow_pickle=False)
            hashes = [h for d in decoded for h in d.hashes]
            images = self._map(self.final / _IMAGES, len(hashes))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        whole = facts["format"] == FORMAT and len(decoded) == self.count and shares.shape == (len(hashes), HU_BINS)
        if not whole or any(hash_of(images[k]) != hashes[k] for k in _spread(len(hashes))):
            return None
        return images, _with_shares(decoded, shares)

    def fill(self, results: Iterable[tuple[NDArray[np.uint16], Decoded]], progress: Progress) -> Kept:
        """Take in every result; in memory as long as they fit, else in the cache.

        Raises:
            UsageError: If the disk has no room.
        """
        decoded: list[Decoded] = []
        waiting: list[NDArray[np.uint16]] = []
        held = failed = 0
        spill: _Spill | None = None
        try:
            for frames, facts in results:
                decoded.append(facts)
                failed += bool(facts.error)
                if spill is None:
                    waiting.append(frames)
                    held += frames.nbytes
                    if held > self.memory:
                        spill = _Spill(self.folder, self.name)
                        for earlier in waiting:
                            spill.append(earlier)
                        waiting.clear()
                else:
                    spill.append(frames)
                progress(done=len(decoded), failed=failed)
            if spill is None:
                return np.concatenate(waiting) if waiting else np.empty((0, *self.shape), np.uint16), decoded
            return self._finish(spill, decoded)
        finally:
            if spill is not None:
                spill.discard()

    def _finish(self, spill: _Spill, decoded: list[Decoded]) -> Kept:
        shares = [_shares_of(d) for d in decoded if d.hashes]
        spill.finish(decoded, np.concatenate(shares) if shares else np.empty((0, HU_BINS), np.float32))
        if self.final.exists():
            shutil.rmtree(self.final)  # there, yet ``find`` did not take it: damaged
        try:
            os.rename(spill.folder, self.final)
        except OSError:
            if not self.final.exists():  # else another process was faster, with the same content
                raise
        for other in self.folder.glob(f"{self.name}-*"):
            if other != self.final:
                shutil.rmtree(other, ignore_errors=True)  # mapped files live on until their users let go
        return self._map(self.final / _IMAGES, sum(len(d.hashes) for d in decoded)), decoded

    def _map(self, path: Path, number: int) -> NDArray[np.uint16]:
        expected = number * int(np.prod(self.shape)) * 2
        if path.stat().st_size != expected or not expected:
            raise ValueError(f"{path} is not of {expected} bytes")
        return np.memmap(path, np.uint16, "r", shape=(number, *self.shape))


class _Spill:
    """A cache that is being written, under a temporary name."""

    def __init__(self, folder: Path, name: str) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(folder)
            self.folder = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=folder))
        except OSError as error:
            raise UsageError(
                f"the images do not fit into memory and {folder} can't be written ({error.strerror}): give cache=FOLDER"
            ) from error
        self.file: BinaryIO = (self.folder / _IMAGES).open("wb")

    def append(self, frames: NDArray[np.uint16]) -> None:
        free = shutil.disk_usage(self.folder).free
        if free < frames.nbytes + RESERVED_BYTES:
            raise UsageError(
                f"no room for the decoded images: {free >> 20} MB left in {self.folder.parent}; give cache=FOLDER on a "
                "larger disk, or a smaller image_size"
            )
        self.file.write(np.ascontiguousarray(frames).data)

    def finish(self, decoded: list[Decoded], shares: NDArray[np.float32]) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        np.save(self.folder / _SHARES, shares, allow_pickle=False)
        rows: list[dict[str, Any]] = []
        for facts in decoded:
            row = asdict(facts)
            row["hu_shares"] = None
            rows.append(row)
        write_json(self.folder / _FACTS, {"format": FORMAT, "files": rows}, indent=None, durable=True)

    def discard(self) -> None:
        """Close, and remove what was not renamed."""
        self.file.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _remove_abandoned(folder: Path) -> None:
    for left in folder.glob(".*"):
        if left.is_dir() and time.time() - left.stat().st_mtime > _ABANDONED_SECONDS:
            shutil.rmtree(left, ignore_errors=True)


def _stamp_bytes(path: Path) -> bytes:
    try:
        stamp = stamp_of(path)
    except OSError:
        return b"absent\0"
    return f"{stamp.size} {stamp.modified}\0".encode()


def _spread(number: int) -> list[int]:
    return sorted({round(k) for k in np.linspace(0, number - 1, min(number, _CHECKED))}) if number else []


def _shares_of(decoded: Decoded) -> NDArray[np.float32]:
    if decoded.hu_shares is None:
        return np.full((len(decoded.hashes), HU_BINS), np.nan, np.float32)
    return decoded.hu_shares


def _with_shares(decoded: list[Decoded], shares: NDArray[np.float32]) -> list[Decoded]:
    result, start = [], 0
    for facts in decoded:
        rows = shares[start : start + len(facts.hashes)]
        start += len(facts.hashes)
        result.append(replace(facts, hu_shares=None if np.isnan(rows).any() else rows))
    return result
