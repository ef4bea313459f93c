"""The table of drop-ins in docs/embed.md, from the JSON of ``bench/drop_ins.py``."""

from __future__ import annotations

from typing import Any


def drop_ins_table(results: dict[str, Any]) -> str:
    """The original's time over ours, by function and input, and both in nanoseconds a pixel."""
    lines = [
        f"{results['date']}, {results['machine']}, {results['cpu']} as {results['instructions']}, Python "
        f"{results['python']}{''.join(f', {name} {version}' for name, version in results['versions'].items())}. "
        f"The original's time / ours on {results['images']} of 512 x 512 (volumes: 8 or 16 of them), one thread, by "
        "the processor's time, in turns; values compared before.",
        "",
        "| | | original / ours | ours, ns a pixel | original | goal |",
        "|---|---|---|---|---|---|",
    ]
    for row in results["drop_ins"]:
        ours, original = (row[name] * 1e9 / row["pixels"] for name in ("ours", "original"))
        lines.append(
            f"| `{row['group']}` | {row['row']} | **{original / ours:.3g}** | {ours:.3g} | {original:.3g} "
            f"| {row['goal']:g} |"
        )
    return "\n".join(lines) + "\n"
