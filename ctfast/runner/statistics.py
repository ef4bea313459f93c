"""Per-image histograms and summaries of a run: appended while it goes on, put together when it ends.

``statistics.npz`` holds ``output`` and ``frame`` (which image a row is), ``edges``, ``counts`` (images x bins) and the
summary columns; ``summary.csv`` the same without the counts. The counts are streamed, never held in memory.
"""

from __future__ import annotations

import csv
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctfast.errors import CTFastError
from ctfast.runner.manifest import read_lines

LIVE = "statistics.jsonl"
ARCHIVE = "statistics.npz"
TABLE = "summary.csv"


def live_name(shard: tuple[int, int] | None) -> str:
    """File that a (sharded) run appends its statistics to."""
    return LIVE if shard is None else f"statistics.{shard[0]}-of-{shard[1]}.jsonl"


def close_statistics(out: Path, outputs: list[str]) -> bool:
    """Write the archive and the table for ``outputs`` (in this order); False where there are no statistics."""
    sources = sorted(out.glob("statistics*.jsonl"))
    place = {(path, line["output"]): i for path in sources for i, line in enumerate(read_lines(path))}
    chosen: dict[str, tuple[Path, int]] = {output: (path, i) for (path, output), i in place.items()}
    wanted = [o for o in outputs if o in chosen]
    if not wanted:
        return False
    tables: list[dict[str, Any]] = []
    edges: list[list[float]] = []
    frames = 0
    bins = set()
    for line in _chosen_lines(sources, chosen, set(wanted)):
        histogram, summary = line.get("histogram"), line.get("summary")
        number = len(histogram["counts"]) if histogram else len(summary["count"])
        for frame in range(number):
            row = {"output": line["output"], "frame": frame}
            row |= {name: column[frame] for name, column in (summary or {}).items()}
            tables.append(row)
        if histogram:
            edges.append(histogram["edges"])
            bins.add(len(histogram["edges"]))
        frames += number
    if len(bins) > 1:
        raise CTFastError(f"{out}: histograms of different numbers of bins can't be put together: {sorted(bins)}")
    _write_archive(out, sources, chosen, set(wanted), tables, edges)
    _write_table(out / TABLE, tables)
    return True


def _chosen_lines(
    sources: list[Path], chosen: dict[str, tuple[Path, int]], wanted: set[str]
) -> Iterator[dict[str, Any]]:
    for path in sources:
        for i, line in enumerate(read_lines(path)):
            if line["output"] in wanted and chosen[line["output"]] == (path, i):
                yield line


def _write_archive(
    out: Path,
    sources: list[Path],
    chosen: dict[str, tuple[Path, int]],
    wanted: set[str],
    tables: list[dict[str, Any]],
    edges: list[list[float]],
) -> None:
    columns: dict[str, NDArray[Any]] = {name: np.array([t[name] for t in tables]) for name in tables[0]}
    temporary = out / f".{ARCHIVE}.{os.getpid()}"
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        if edges:
            shared = all(e == edges[0] for e in edges)
            columns["edges"] = np.array(edges[0] if shared else edges)
            with archive.open("counts.npy", "w", force_zip64=True) as member:
                header = {"descr": "<i8", "fortran_order": False, "shape": (len(tables), len(edges[0]) - 1)}
                np.lib.format.write_array_header_1_0(member, header)
                for line in _chosen_lines(sources, chosen, wanted):
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
