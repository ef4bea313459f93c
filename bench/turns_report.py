"""The tables of slices in turns in docs/measured.md, from the JSON of ``bench/turns.py``."""

from __future__ import annotations

from typing import Any

GOALS = {
    "median 3": 1.2,
    "Gaussian sigma 1": 1.8,
    "min-max": 1.0,
    "CLAHE 8x8 uint8": 5.0,
    "CLAHE 8x8": 15.0,
    "histogram 256": 3.0,
    "histogram 4096": 1.5,
}
"""What this project wants of each row, of OpenCV's time over ours; by row and dtype where these differ."""

TURNS_TABLES = {
    "AVX2": "turns table",
    "AVX-512": "turns table of AVX-512",
    "AVX2, the rest switched off for both sides": "turns table of AVX2 alone",
}
"""Names of the tables, by what of the processor was used."""

WAYS = {"hot": "one hot slice", "in turns": "in turns", "without out": "in turns, without `out=`"}


def turns_table(results: dict[str, Any]) -> str:
    """OpenCV's time over ours by operation, dtype and way of calling, and our nanoseconds a pixel."""
    lines = [
        f"{results['date']}, {results['machine']}, {results['cpu']} as {results['instructions']}, Python "
        f"{results['python']}{''.join(f', {name} {version}' for name, version in results['versions'].items())}. "
        f"OpenCV's time (with IPP's code for the same instructions where it has some) / ours, {results['slices']} "
        f"{results['images']} of {results['shape'][0]} x {results['shape'][1]} on one thread, by the processor's "
        "time. In brackets: our ns a pixel. *Copy*: ns a pixel that copying as many bytes takes, in turns.",
        "",
        "| | | " + " | ".join(WAYS.values()) + " | goal | copy |",
        "|---" * (len(WAYS) + 4) + "|",
    ]
    for row in results["turns"]:
        name, dtype, seconds = row["row"], row["column"], row["seconds"]
        scale = 1e9 / row["pixels"]
        shown = [
            f"**{seconds[f'peer {way}'] / seconds[f'ours {way}']:.2f}** ({seconds[f'ours {way}'] * scale:.3g})"
            for way in WAYS
        ]
        goal = GOALS.get(f"{name} {dtype}", GOALS[name])
        copied = seconds["copy in turns"] * scale
        lines.append(f"| {name} | {dtype} | " + " | ".join(shown) + f" | {goal:g} | {copied:.2g} |")
    return "\n".join(lines) + "\n"
