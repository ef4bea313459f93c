"""Per-image histograms and summaries of a run: appended while it goes on, put together when it ends.

``statistics.npz`` holds ``output`` and ``frame`` (which image a row is), ``edges``, ``counts`` (images x bins) and the
summary columns; ``summary.csv`` the same without the counts. All is streamed: what grows with the number of images are
the columns, eight bytes a number. A shard writes files of its own (``statistics.2-of-8.npz``), so that no part looks
like the whole.
"""

from __future__ import annotations

import csv
import json
import os
import tempfile
import zipfile
from array import array
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from ctfast.batch.atomic import replacing
from ctfast.batch.cells import safe_cell
from ctfast.batch.places import noted
from ctfast.runner.index import Index
from ctfast.runner.manifest import Shard, part_name

_EDGES: Final = b'"edges":['
_NAMES_AT_ONCE: Final = 4096


def close_statistics(out: Path, index: Index, shard: Shard = None, *, folder: str = "") -> None:
    """Write the archive and the table for the rows that are done, in their order, where there are any.

    ``folder``: what ``out`` is called in full, where it is a copy.
    """
    for path in sorted(out.glob("statistics*.jsonl")):
        index.add_statistics(path)
    lines, longest = index.done()
    if not lines:
        return
    with (
        tempfile.TemporaryFile(dir=out) as counts,
        tempfile.TemporaryFile(dir=out) as names,
        replacing(out / part_name("summary", "csv", shard)) as table,
    ):
        columns = _Columns(counts, names, csv.writer(table), folder or os.path.realpath(out))
        for line in index.statistics():
            columns.take(line)
        _write_archive(out / part_name("statistics", "npz", shard), columns, _Names(names, longest))


class _Columns:
    """The columns of all images, their counts and outputs in files; each image goes to the table as it comes."""

    def __init__(self, counts: IO[bytes], names: IO[bytes], table: Any, folder: str) -> None:
        self.counts, self._names, self._table, self._folder = counts, names, table, folder
        self.numbers: dict[str, array[Any]] = {}
        self.edges: list[list[float]] = []
        """One list, or one a line where they differ."""
        self._edges_text = b""
        self._lines = 0

    def take(self, text: bytes) -> None:
        """The images of one line."""
        line, edges = _parsed(text)
        output = noted(line["output"], self._folder)
        summary = line.get("summary") or {}
        if line.get("histogram"):
            self._take_edges(edges)
            self.counts.write(np.array(line["histogram"]["counts"], "<i8").tobytes())
        frames = len(line["histogram"]["counts"] if line.get("histogram") else line["summary"]["count"])
        self._names.write(json.dumps([output, frames]).encode() + b"\n")
        for frame in range(frames):
            image = {"frame": frame, **{name: column[frame] for name, column in summary.items()}}
            if not self.numbers:
                self.numbers = {name: array("q" if isinstance(value, int) else "d") for name, value in image.items()}
                self._table.writerow(["output", *image])
            for name, column in self.numbers.items():
                column.append(image[name])
            self._table.writerow([safe_cell(output), *image.values()])

    def _take_edges(self, text: bytes) -> None:
        if text != self._edges_text:
            if len(self.edges) == 1:
                self.edges *= self._lines
            self._edges_text = text
            self.edges.append(json.loads(text))
        elif len(self.edges) > 1:
            self.edges.append(self.edges[-1])
        self._lines += 1


def _parsed(text: bytes) -> tuple[dict[str, Any], bytes]:
    """A line without its edges, which are mostly those of the line before, and their text."""
    before, mark, behind = text.partition(_EDGES)
    if not mark:  # none, or of an earlier version
        line = json.loads(text)
        return line, json.dumps((line.get("histogram") or {}).get("edges")).encode()
    edges, end, behind = behind.partition(b"]")
    return json.loads(before + mark + end + behind), b"[" + edges + end


def _write_archive(path: Path, columns: _Columns, names: _Names) -> None:
    images = len(columns.numbers["frame"])
    with replacing(path, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:

        def member(name: str, descr: str, shape: tuple[int, ...], pieces: Iterable[bytes | memoryview]) -> None:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as into:
                header = {"descr": descr, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(into, header)
                for piece in pieces:
                    into.write(piece)

        if columns.edges:
            columns.counts.seek(0)
            pieces = iter(lambda: columns.counts.read(1 << 20), b"")
            member("counts", "<i8", (images, len(columns.edges[0]) - 1), pieces)
        member("output", names.descr, (images,), names)
        for name, numbers in columns.numbers.items():
            member(name, "<i8" if numbers.typecode == "q" else "<f8", (images,), [memoryview(numbers).cast("B")])
        if columns.edges:
            edges = np.array(columns.edges if len(columns.edges) > 1 else columns.edges[0])
            member("edges", edges.dtype.str, edges.shape, [edges.tobytes()])


class _Names:
    """The output of each image, in pieces, as an array of text holds them."""

    def __init__(self, names: IO[bytes], longest: int) -> None:
        self._names = names
        self.descr = f"<U{max(longest, 1)}"

    def __iter__(self) -> Iterator[bytes]:
        self._names.seek(0)
        names = (name for name, frames in map(json.loads, self._names) for _ in range(frames))
        while some := list(islice(names, _NAMES_AT_ONCE)):
            yield np.array(some, self.descr).tobytes()
