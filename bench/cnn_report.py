"""The tables of `bench_cnn.py`: peers' time over ours, and what happens once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Row = Mapping[str, Any]


def rows_of(results: Mapping[str, Any]) -> list[Row]:
    """What each comparison of the network found."""
    return [b["extra_info"] for b in results["benchmarks"] if "cnn" in b["extra_info"]]


def _names(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row["seconds"]))


def _label(row: Row) -> str:
    what = "forward" if row["cnn"] == "forward" else "training step"
    channels = "gray" if row["channels"] == 1 else "RGB"
    return f"{what}, batch {row['batch']}, {channels}"


def cnn_tables(results: Mapping[str, Any]) -> str:
    """Markdown: ratios, first calls, peak memory; empty where the network was not measured."""
    rows = rows_of(results)
    if not rows:
        return ""
    peers = [name for name in _names(rows) if name != "ctfast"]
    lines = [
        "Time of the others / ours (above 1: ours is faster), all cores. The allocator keeps its memory for all, as "
        "`ctfast train` sets it, but for those *as it comes*: so is a process whose user has set nothing.",
        "",
        "| | ours, images/s | " + " | ".join(peers) + " |",
        "|---" * (len(peers) + 2) + "|",
    ]
    for row in rows:
        seconds = row["seconds"]
        cells = [f"{seconds[p] / seconds['ctfast']:.2f}" if p in seconds else "" for p in peers]
        lines.append(f"| {_label(row)} | {row['batch'] / seconds['ctfast']:.0f} | " + " | ".join(cells) + " |")
    lines += ["", "| once, and at most | " + " | ".join(_names(rows)) + " |", "|---" * (len(_names(rows)) + 1) + "|"]
    for row in rows:
        if row["batch"] in (16, 32):
            cells = [f"{row['first_call'][n]:.1f} s" if n in row["first_call"] else "" for n in _names(rows)]
            lines.append(f"| first {_label(row)} | " + " | ".join(cells) + " |")
    most = {n: max(row["peak_bytes"].get(n, 0) for row in rows) / 1e9 for n in _names(rows)}
    lines.append("| peak memory | " + " | ".join(f"{most[n]:.1f} GB" for n in _names(rows)) + " |")
    absent = sorted({name for row in rows for name in row["absent"]})
    if absent:
        lines += ["", f"Not installed where this was measured: {', '.join(absent)}."]
    return "\n".join(lines) + "\n"
