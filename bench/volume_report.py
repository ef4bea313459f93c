"""The table of volumes in docs/measured.md, from the cases whose column begins with "volume"."""

from __future__ import annotations

import math
from typing import Any

Cell = dict[str, Any]
PEERS = ("DIPlib", "SimpleITK", "scipy", "scikit-image")
ALONE = "ctfast on 1 thread"
"""Ours, in turns with ours on more threads."""
HALVES = "two processes of ctfast"
"""With half of the volume each."""
TWO = "two threads"
"""The end of a column whose comparison is of ours alone."""


def of_volumes(column: str) -> bool:
    """Whether a comparison is of volumes."""
    return column.startswith("volume, ")


def _order(item: tuple[tuple[str, str], Cell]) -> tuple[str, int, str]:
    """By operation, its number, and column."""
    row, column = item[0]
    number = next((int(word) for word in row.split() if word.isdigit()), 0)
    return row.split()[0], number, column


def volume_table(table: dict[tuple[str, str], Cell], clock: str) -> str:
    """Our time and every peer's, ns a voxel, by operation, kind of voxels and threads; then what two threads gain.

    ``clock`` is that of one thread's rows; those of several are by the wall's.
    """
    lines = [
        f"Nanoseconds a voxel ({clock} time of one thread"
        + (
            ", of two the wall clock's in rounds in which no other program was at work; none: none"
            if clock == "processor"
            else ""
        )
        + "), volumes of 24 x 192 x 192 (medians from 5 on: 24 x 96 x 96, CLAHE: 24 x 384 x 384). SciPy and "
        "scikit-image have one thread only.",
        "",
        "| | voxels | threads | ours | " + " | ".join(PEERS) + " | best peer / ours |",
        "|---" * (len(PEERS) + 5) + "|",
    ]
    for (row, column), cell in sorted(table.items(), key=_order):
        _, kind, threads = column.split(", ")
        if threads == TWO or math.isnan(cell["seconds"]["ctfast"]):
            continue
        seconds = _nanoseconds(cell)
        ours = seconds.pop("ctfast")
        shown = [f"{seconds[name]:.3g}" if name in seconds else "" for name in PEERS]
        best = f"**{min(seconds.values()) / ours:.3g}**" if seconds else ""
        lines.append(f"| {row} | {kind} | {threads} | {ours:.3g} | " + " | ".join(shown) + f" | {best} |")
    absent = sorted({name for cell in table.values() for name in cell["absent"]})
    if absent:
        lines += ["", f"Not installed where this was measured: {', '.join(absent)}."]
    return "\n".join(lines + _two_threads(table)) + "\n"


def _nanoseconds(cell: Cell) -> dict[str, float]:
    """Of each candidate that was timed."""
    return {name: s * 1e9 / cell["pixels"] for name, s in cell["seconds"].items() if not math.isnan(s)}


def _two_threads(table: dict[tuple[str, str], Cell]) -> list[str]:
    lines = [
        "",
        "Two threads against one in volumes of 48 x 384 x 384, and two processes of ours with half of it each, which "
        "share nothing and show what two cores gain at best.",
        "",
        "| | voxels | one thread, ns a voxel | two threads, of its time | two processes, of its time |",
        "|---|---|---|---|---|",
    ]
    rows = []
    for (row, column), cell in sorted(table.items(), key=_order):
        seconds = _nanoseconds(cell)
        if column.endswith(TWO) and len(seconds) == 3:
            alone = seconds[ALONE]
            kind = column.split(", ")[1]
            shares = " | ".join(f"{seconds[name] / alone:.2f}" for name in ("ctfast", HALVES))
            rows.append(f"| {row} | {kind} | {alone:.3g} | {shares} |")
    return lines + rows if rows else []
