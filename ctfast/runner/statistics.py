"""Per-image histograms and summaries of a run: appended while it goes on, put together when it ends.

``statistics.npz`` holds ``output`` and ``frame`` (which image a row is), ``edges``, ``counts`` (images x bins) and the
summary columns; ``summary.csv`` the same without the counts. All is streamed, through files without a name. A shard
writes files of its own (``statistics.2-of-8.npz``), so that no part looks like the whole.
"""

from __future__ import annotations

import csv
import json
import os
import struct
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from ctfast.batch.atomic import replacing
from ctfast.batch.cells import safe_cell
from ctfast.batch.listing import matching
from ctfast.batch.places import noted
from ctfast.runner.index import Index
from ctfast.runner.manifest import Shard, part_name

_HISTOGRAM, _COUNTS, _END = b'"histogram":{"edges":', b',"counts":[[', b"]]}"
"""What stands around the numbers of one image."""
_AT_ONCE: Final = 4096
_DTYPES: Final = {"q": "<i8", "d": "<f8"}


def close_statistics(out: Path, index: Index, shard: Shard = None, *, folder: str = "") -> None:
    """Write the archive and the table for the rows that are done, in their order, where there are any.

    ``folder``: what ``out`` is called in full, where it is a copy.
    """
    for path in sorted(matching(out, "statistics*.jsonl")):
        index.add_statistics(path)
    lines, longest = index.done()
    if not lines:
        return
    with (
        tempfile.TemporaryFile(dir=out) as numbers,
        tempfile.TemporaryFile(dir=out) as counts,
        tempfile.TemporaryFile(dir=out) as edges,
        tempfile.TemporaryFile(dir=out) as names,
        replacing(out / part_name("summary", "csv", shard)) as table,
    ):
        columns = _Columns(
            numbers, counts, _Edges(edges), _Names(names, longest), csv.writer(table), folder or os.path.realpath(out)
        )
        for line in index.statistics():
            columns.take(line)
        _write_archive(out / part_name("statistics", "npz", shard), columns)


class _Columns:
    """The columns of all images, their counts and outputs in files; each image goes to the table as it comes."""

    def __init__(
        self, numbers: IO[bytes], counts: IO[bytes], edges: _Edges, names: _Names, table: Any, folder: str
    ) -> None:
        self._numbers, self.counts, self.edges, self.names = numbers, counts, edges, names
        self._table, self._folder = table, folder
        self._packed = struct.Struct("")
        self.kinds: dict[str, str] = {}
        """Of the numbers of an image, which one after the other lie in a file."""
        self.images = 0

    def take(self, text: bytes) -> None:
        """The images of one line."""
        line, edges, counts = _parsed(text)
        output = noted(line["output"], self._folder)
        summary = line.get("summary") or {}
        if line.get("histogram"):
            self.edges.take(edges)
            self.counts.write(counts.tobytes())
        frames = len(counts) if line.get("histogram") else len(line["summary"]["count"])
        if not self.kinds:
            first = {"frame": 0, **{name: column[0] for name, column in summary.items()}}
            self.kinds = {name: "q" if isinstance(value, int) else "d" for name, value in first.items()}
            self._packed = struct.Struct("<" + "".join(self.kinds.values()))
            self._table.writerow(["output", *first])
        self.names.take(output, frames)
        cell, columns = safe_cell(output), [summary[name] for name in self.kinds if name != "frame"]
        for frame in range(frames):
            numbers = [frame, *(column[frame] for column in columns)]
            self._numbers.write(self._packed.pack(*numbers))
            self._table.writerow([cell, *numbers])
        self.images += frames

    def column(self, name: str) -> Iterator[bytes]:
        """All numbers of one kind, in pieces."""
        kind = np.dtype([(other, _DTYPES[word]) for other, word in self.kinds.items()])
        self._numbers.seek(0)
        while piece := self._numbers.read(_AT_ONCE * kind.itemsize):
            yield np.frombuffer(piece, kind)[name].tobytes()


class _Edges:
    """The edges of histograms in a file: once where all lines have the same, or once a line.

    Attributes:
        lists: how many were written.
        length: numbers in one.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.lists = self.length = 0
        self._text = self._bytes = b""
        self._lines = 0

    def take(self, text: bytes) -> None:
        """Those of the next line, as JSON."""
        if text != self._text:
            for _ in range(self._lines - 1 if self.lists == 1 else 0):
                self._write()
            edges = np.array(json.loads(text), "<f8")
            self._text, self._bytes, self.length = text, edges.tobytes(), edges.size
            self._write()
        elif self.lists > 1:
            self._write()
        self._lines += 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all of them."""
        return (self.length,) if self.lists == 1 else (self.lists, self.length)

    def _write(self) -> None:
        self.file.write(self._bytes)
        self.lists += 1


class _Names:
    """The output of each image in a file, as arrays of text hold them, of at most ``longest`` characters."""

    def __init__(self, file: IO[bytes], longest: int) -> None:
        self.file = file
        self._longest = max(longest, 1)
        self.descr = f"<U{self._longest}"

    def take(self, output: str, frames: int) -> None:
        """That of the next images."""
        name = output.encode("utf-32-le", "surrogatepass").ljust(4 * self._longest, b"\0")
        for _ in range(frames):
            self.file.write(name)


def _parsed(text: bytes) -> tuple[dict[str, Any], bytes, NDArray[np.int64]]:
    """A line; the text of its edges, which are mostly those of the line before; and its counts, a row an image."""
    before, _, behind = text.partition(_HISTOGRAM)
    edges, _, behind = behind.partition(_COUNTS)
    counts, end, behind = behind.partition(_END)
    if end and not counts.translate(None, b"0123456789,"):
        numbers = np.fromstring(counts.decode(), "<i8", sep=",")  # a third of JSON's time
        if numbers.size == edges.count(b","):
            return json.loads((before + b'"histogram":true' + behind).decode()), edges, numbers[np.newaxis]
    line = json.loads(text.decode())  # none, of several images, or of an earlier version
    histogram = line.get("histogram") or {"edges": [], "counts": []}
    edges = json.dumps(histogram["edges"], separators=(",", ":")).encode()
    return line, edges, np.array(histogram["counts"], "<i8")


def _write_archive(path: Path, columns: _Columns) -> None:
    with replacing(path, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:

        def member(name: str, descr: str, shape: tuple[int, ...], pieces: Iterable[bytes]) -> None:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as into:
                header = {"descr": descr, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(into, header)
                for piece in pieces:
                    into.write(piece)

        edges = columns.edges
        if edges.lists:
            member("counts", "<i8", (columns.images, edges.length - 1), _pieces(columns.counts))
        member("output", columns.names.descr, (columns.images,), _pieces(columns.names.file))
        for name, kind in columns.kinds.items():
            member(name, _DTYPES[kind], (columns.images,), columns.column(name))
        if edges.lists:
            member("edges", "<f8", edges.shape, _pieces(edges.file))


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    return iter(lambda: file.read(1 << 20), b"")
