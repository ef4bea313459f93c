"""Per-image histograms and summaries of a run: appended while it goes on, put together when it ends.

``statistics.npz`` holds ``output`` and ``frame`` (which image a row is), ``edges``, ``counts`` (images x bins) and the
summary columns; ``summary.csv`` the same without the counts. The counts are streamed, never held in memory.
"""

from __future__ import annotations

import csv
import json
import os
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctfast.runner.manifest import parse_line

LIVE = "statistics.jsonl"
ARCHIVE = "statistics.npz"
TABLE = "summary.csv"

Place = tuple[Path, int]
"""A file of live statistics and the byte where a line begins."""


def live_name(shard: tuple[int, int] | None) -> str:
    """File that a (sharded) run appends its statistics to."""
    return LIVE if shard is None else f"statistics.{shard[0]}-of-{shard[1]}.jsonl"


def close_statistics(out: Path, outputs: list[str]) -> bool:
    """Write the archive and the table for ``outputs``, in this order; False where there are no statistics."""
    places: dict[str, Place] = {}
    for path in sorted(out.glob("statistics*.jsonl")):
        places |= _places(path)
    wanted = [places[output] for output in outputs if output in places]
    if not wanted:
        return False
    tables: list[dict[str, Any]] = []
    edges: list[list[float]] = []
    for line in _lines(wanted):
        histogram, summary = line.get("histogram"), line.get("summary") or {}
        frames = len(histogram["counts"]) if histogram else len(summary["count"])
        for frame in range(frames):
            figures = {name: column[frame] for name, column in summary.items()}
            tables.append({"output": line["output"], "frame": frame, **figures})
        if histogram:
            edges.append(histogram["edges"])
    _write_archive(out, wanted, tables, edges)
    _write_table(out / TABLE, tables)
    return True


def _places(path: Path) -> dict[str, Place]:
    """Where each output's latest whole line begins."""
    found: dict[str, Place] = {}
    with path.open("rb") as file:
        start = 0
        for text in file:
            line = parse_line(text)
            if line is not None:
                found[line["output"]] = (path, start)
            start += len(text)
    return found


def _lines(places: list[Place]) -> Iterator[dict[str, Any]]:
    with ExitStack() as stack:
        files = {path: stack.enter_context(path.open("rb")) for path in {path for path, _ in places}}
        for path, start in places:
            files[path].seek(start)
            line: dict[str, Any] = json.loads(files[path].readline())
            yield line


def _write_archive(out: Path, places: list[Place], tables: list[dict[str, Any]], edges: list[list[float]]) -> None:
    columns: dict[str, NDArray[Any]] = {name: np.array([t[name] for t in tables]) for name in tables[0]}
    temporary = out / f".{ARCHIVE}.{os.getpid()}"
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        if edges:
            columns["edges"] = np.array(edges[0] if all(e == edges[0] for e in edges) else edges)
            with archive.open("counts.npy", "w", force_zip64=True) as member:
                header = {"descr": "<i8", "fortran_order": False, "shape": (len(tables), len(edges[0]) - 1)}
                np.lib.format.write_array_header_1_0(member, header)
                for line in _lines(places):
                    member.write(np.array(line["histogram"]["counts"], "<i8").tobytes())
        for name, column in columns.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, column, allow_pickle=False)
    os.replace(temporary, out / ARCHIVE)


def _write_table(path: Path, tables: list[dict[str, Any]]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, tables[0])
        writer.writeheader()
        writer.writerows(tables)
    os.replace(temporary, path)
