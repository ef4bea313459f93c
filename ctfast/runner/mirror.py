"""The records of a run whose outputs go to a storage: a copy on this disk, and pieces that are sent while it goes on.

Objects can't be appended to. So a run sends what it did as objects of their own, named as parts of a run on a disk are
(``manifest.0123456789abcdef.jsonl``), every few seconds: a killed run loses the lines of these seconds, whose files are
done again. When it closes it fetches what is there, puts it together as on a disk, sends the result, and removes the
parts that are in it. There are no locks between machines: each gets a shard, whose records never meet those of others.
"""

from __future__ import annotations

import fnmatch
import secrets
import shutil
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ctfast.batch import remote
from ctfast.batch.stamp import Stamp
from ctfast.batch.urls import Url
from ctfast.runner.manifest import DONE, PART, STALE, Shard, part_name

_TO_READ: Final = ("manifest*.jsonl", "statistics*.jsonl", "run.json", "listed*.json")
_SECONDS: Final = 10.0
_BYTES: Final = 8 << 20


class Mirror:
    """Of one output folder; the copy is removed with it.

    Args:
        out: the folder.

    Attributes:
        folder: the copy.
        listed: what lies in the folder, when it was last asked.
        recorded: files that are done and whose lines were sent.

    Raises:
        MachineError: the storage can't be asked.
    """

    def __init__(self, out: Url) -> None:
        remote.check(out)
        self.out = out
        self.folder = Path(tempfile.mkdtemp(prefix="ctfast-")).resolve()
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        self.listed: dict[str, Stamp] = {}
        self.recorded = 0
        self.fetch(("manifest*.jsonl", "run.json"))

    def fetch(self, patterns: tuple[str, ...] = _TO_READ) -> list[str]:
        """Copy the records that are there now; their names."""
        self.listed = remote.listed(self.out)
        names = [name for name in map(self._name, self.listed) if _fits(name, patterns)]
        for path in self.folder.iterdir():
            if _fits(path.name, patterns):
                path.unlink()
        for name in names:
            (self.folder / name).write_bytes(remote.read(self.out / name))
        return names

    def send(self, name: str) -> None:
        """A record of the copy, where there is one."""
        if (self.folder / name).exists():
            with (self.folder / name).open("rb") as file:
                remote.write(self.out / name, file)

    @contextmanager
    def sending(self, shard: Shard) -> Iterator[tuple[Callable[[bytes], None], Callable[[bytes], None]]]:
        """Functions that take lines of the manifest and of statistics, which are sent now and then, and at the end."""
        parts = _Parts(self, shard)
        try:
            yield parts.take_rows, parts.take_statistics
        finally:
            parts.send()

    def close(self, shard: Shard, put_together: Callable[[], None]) -> None:
        """Put together what is there, send it, and remove the parts that are in it, and outputs that were replaced."""
        merged = [name for name in self.fetch() if PART.search(name)]
        own = [name for name in merged if shard is None or f".{shard[0]}-of-{shard[1]}." in name]
        put_together()
        for stem, ending in (
            *(("statistics", "jsonl"), ("statistics", "npz"), ("summary", "csv"), ("failures", "csv")),
            ("manifest", "jsonl"),
        ):
            self.send(part_name(stem, ending, shard))
        stale = [url for url in self.listed if url.endswith(STALE) and url.removesuffix(STALE) in self.listed]
        for url in [*(str(self.out / name) for name in own), *stale]:
            remote.remove(url)

    def remove(self, pattern: str) -> None:
        """Remove records, here and there."""
        for name in {*map(self._name, self.listed), *(path.name for path in self.folder.iterdir())}:
            if _fits(name, (pattern,)):
                remote.remove(self.out / name)
                (self.folder / name).unlink(missing_ok=True)

    def _name(self, url: str) -> str:
        return url[len(str(self.out)) :].lstrip("/")


class _Parts:
    """Lines that are waiting to be sent: statistics first, as a line of the manifest says that all is there."""

    def __init__(self, mirror: Mirror, shard: Shard) -> None:
        self._mirror, self._shard = mirror, shard
        self._rows: list[bytes] = []
        self._statistics: list[bytes] = []
        self._last, self._size = time.monotonic(), 0

    def take_rows(self, lines: bytes) -> None:
        self._rows.append(lines)
        self._size += len(lines)
        if self._size > _BYTES or time.monotonic() - self._last > _SECONDS:
            self.send()

    def take_statistics(self, lines: bytes) -> None:
        self._statistics.append(lines)
        self._size += len(lines)

    def send(self) -> None:
        ending = f"{secrets.token_hex(8)}.jsonl"
        for stem, lines in (("statistics", self._statistics), ("manifest", self._rows)):
            if data := b"".join(lines):
                remote.write(self._mirror.out / part_name(stem, ending, self._shard), data)
                if stem == "manifest":
                    self._mirror.recorded += data.count(DONE)
                lines.clear()
        self._last, self._size = time.monotonic(), 0


def _fits(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) and "/" not in name for pattern in patterns)
