"""Curves of a training: loss and accuracy by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ctfast.batch.atomic import replacing

_PARTS: Final = (("loss", "loss"), ("accuracy", "accuracy"))


def save_curves(history: Sequence[Mapping[str, Any]], folder: Path) -> list[Path]:
    """Write ``loss.png`` and ``accuracy.png``; nothing where matplotlib is not installed.

    The files are an extra: a training must not fail for want of a drawing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    epochs = [row["epoch"] for row in history]
    written = []
    for key, label in _PARTS:
        figure = Figure(figsize=(6, 4), layout="constrained")
        axes = figure.add_subplot()
        for name, style in ((key, "-"), (f"validation_{key}", "--")):
            values = [row[name] for row in history if name in row]
            if len(values) == len(epochs):
                axes.plot(epochs, values, style, marker="." if len(epochs) < 40 else "", label=name.replace("_", " "))
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        axes.legend()
        written.append(folder / f"{key}.png")
        with replacing(written[-1], "wb") as file:
            figure.savefig(file, format="png", dpi=120)
    return written
