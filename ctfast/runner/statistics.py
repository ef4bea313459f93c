"""Per-image histograms and summaries of a run: appended while it goes on, put together when it ends.

``statistics.npz`` holds ``output`` and ``frame`` (which image a row is), ``edges``, ``counts`` (images x bins) and the
summary columns; ``summary.csv`` the same without the counts. The counts are streamed, never held in memory. A shard
writes files of its own (``statistics.2-of-8.npz``), so that no part looks like the whole.
"""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctfast.batch.atomic import replacing
from ctfast.batch.cells import safe_cell
from ctfast.batch.journal import Journal, JsonLines
from ctfast.runner.manifest import Row, Shard, part_name

Location = tuple[Path, int]
"""A file of statistics and the byte where a line begins."""


def close_statistics(out: Path, rows: Iterable[Row], shard: Shard = None) -> bool:
    """Write the archive and the table for the finished ``rows``, in this order; False where there are no statistics."""
    known = _locations(out)
    keys = [(row["output"], row["started"]) for row in rows if row["status"] == "ok"]
    locations = [known[key] for key in keys if key in known]
    if not locations:
        return False
    images: list[dict[str, Any]] = []
    edges: list[list[float]] = []
    for line in _lines(locations):
        histogram, summary = line.get("histogram"), line.get("summary") or {}
        frames = len(histogram["counts"]) if histogram else len(summary["count"])
        for frame in range(frames):
            columns = {name: column[frame] for name, column in summary.items()}
            images.append({"output": line["output"], "frame": frame, **columns})
        if histogram:
            edges.append(histogram["edges"])
    _write_archive(out / part_name("statistics", "npz", shard), locations, images, edges)
    _write_table(out / part_name("summary", "csv", shard), images)
    return True


def _locations(out: Path) -> dict[tuple[str, float], Location]:
    """Where the line begins that was written with a row, by the row's output and time: never an earlier pipeline's."""
    return {
        (line["output"], line.get("started", 0.0)): (path, start)  # the first versions did not note it
        for path in sorted(out.glob("statistics*.jsonl"))
        for start, line in Journal(path, JsonLines()).located()
        if isinstance(line.get("output"), str) and isinstance(line.get("started", 0.0), float)
    }


def _lines(locations: list[Location]) -> Iterator[dict[str, Any]]:
    with ExitStack() as stack:
        files = {path: stack.enter_context(path.open("rb")) for path in {path for path, _ in locations}}
        for path, start in locations:
            files[path].seek(start)
            line: dict[str, Any] = json.loads(files[path].readline())
            yield line


def _write_archive(
    path: Path, locations: list[Location], images: list[dict[str, Any]], edges: list[list[float]]
) -> None:
    columns: dict[str, NDArray[Any]] = {name: np.array([image[name] for image in images]) for name in images[0]}
    with replacing(path, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        if edges:
            columns["edges"] = np.array(edges[0] if all(e == edges[0] for e in edges) else edges)
            with archive.open("counts.npy", "w", force_zip64=True) as member:
                header = {"descr": "<i8", "fortran_order": False, "shape": (len(images), len(edges[0]) - 1)}
                np.lib.format.write_array_header_1_0(member, header)
                for line in _lines(locations):
                    member.write(np.array(line["histogram"]["counts"], "<i8").tobytes())
        for name, column in columns.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, column, allow_pickle=False)


def _write_table(path: Path, images: list[dict[str, Any]]) -> None:
    with replacing(path) as file:
        writer = csv.DictWriter(file, images[0])
        writer.writeheader()
        writer.writerows({**image, "output": safe_cell(image["output"])} for image in images)
