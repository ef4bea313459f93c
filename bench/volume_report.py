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


def of_volumes(column: str) -> bool:
    """Whether a comparison is of volumes."""
    return column.startswith("volume, ")


def _order(item: tuple[tuple[str, str], Cell]) -> tuple[str, int, str]:
    """By operation, its number, and column."""
    row, column = item[0]
    number = next((int(word) for word in row.split() if word.isdigit()), 0)
    return row.split()[0], number, column


def volume_table(table: dict[tuple[str, str], Cell], clock: str) -> str:
    """Our time and every peer's, ns a voxel, by operation, kind of voxels and threads.

    ``clock`` is that of one thread's rows; those of several are by the wall's.
    """
    several = any(not column.endswith(", 1") for _, column in table)
    lines = [
        f"Nanoseconds a voxel ({clock} time of one thread"
        + (
            ", of two the wall clock's in rounds in which no other program was at work; none: none"
            if several and clock == "processor"
            else ""
        )
        + "), volumes of 24 x 192 x 192 (medians from 5 on: 24 x 96 x 96, CLAHE: 24 x "
        "384 x 384). SciPy and scikit-image have one thread only."
        + (
            " Two processes of ours, which filter half a volume each, show what two cores gain at best."
            if several
            else ""
        ),
        "",
        "| | voxels | threads | ours | "
        + " | ".join(PEERS)
        + " | best peer / ours |"
        + (" of our time on one thread | by two processes |" if several else ""),
        "|---" * (len(PEERS) + 5 + 2 * several) + "|",
    ]
    for (row, column), cell in sorted(table.items(), key=_order):
        _, kind, threads = column.split(", ")
        if math.isnan(cell["seconds"]["ctfast"]) or math.isnan(cell["seconds"].get(ALONE, 0)):
            continue
        scale = 1e9 / cell["pixels"]
        seconds = {name: s * scale for name, s in cell["seconds"].items() if not math.isnan(s)}
        ours, alone, halves = seconds.pop("ctfast"), seconds.pop(ALONE, None), seconds.pop(HALVES, None)
        shown = [f"{seconds[name]:.3g}" if name in seconds else "" for name in PEERS]
        best = f"**{min(seconds.values()) / ours:.3g}**" if seconds else ""
        share, bound = ("" if alone is None or part is None else f"{part / alone:.2f}" for part in (ours, halves))
        lines.append(
            f"| {row} | {kind} | {threads} | {ours:.3g} | "
            + " | ".join(shown)
            + f" | {best} |"
            + (f" {share} | {bound} |" if several else "")
        )
    absent = sorted({name for cell in table.values() for name in cell["absent"]})
    if absent:
        lines += ["", f"Not installed where this was measured: {', '.join(absent)}."]
    return "\n".join(lines) + "\n"
