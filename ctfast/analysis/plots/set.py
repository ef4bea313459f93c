"""Figures of a set of slices: box plots, scatter plots, histograms and stacked bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from ctfast.analysis.flags.outliers import LARGEST_Z, modified_z
from ctfast.analysis.plots.axes import (
    COLORS,
    SHOWN_HU,
    box_of,
    box_of_pixels,
    class_colors,
    draw_boxes,
    draw_nothing,
    name_classes,
    new_axes,
)
from ctfast.analysis.scan.analyze import Analysis
from ctfast.analysis.scan.distributions import Distribution
from ctfast.analysis.scan.records import SliceRecord
from ctfast.analysis.scan.table import title_of
from ctfast.analysis.scan.tissues import TISSUES
from ctfast.errors import ArgumentError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_SLICES: Final = 60
BIN: Final = 25
_SLICE_BOX: Final = ("p1", "q1", "median", "q3", "p99")
INNER: Final = TISSUES[2:]
"""Without padding and air, which would dwarf what the body is made of."""


def box(analysis: Analysis, *, by: Literal["slice", "class", "tissue"] = "class", ax: Axes | None = None) -> Axes:
    """Box plots of HU: median and quartiles, whiskers at the 5th and 95th percentile (1st and 99th for slices).

    Args:
        analysis: what ``analyze`` returned.
        by: one box a slice (at most 60, spread over the set by their median), a class, or a tissue and class.
        ax: axes to draw on.
    """
    ax = new_axes() if ax is None else ax
    if by == "slice":
        return _box_slices(analysis, ax)
    if by == "class":
        boxes = [box_of_pixels(name, counts) for name, counts in _without_padding(analysis).items()]
        draw_boxes(ax, boxes, [COLORS[i % len(COLORS)] for i in range(len(boxes))], vertical=False)
        ax.set_xlabel("HU")
        return ax
    if by != "tissue":
        raise ArgumentError(f"by={by!r}: slice, class or tissue is allowed")
    return _box_tissues(analysis, ax)


def _box_slices(analysis: Analysis, ax: Axes) -> Axes:
    records = [r for r in analysis.collection.hu if r.stats.get("median") is not None]
    records.sort(key=lambda r: (r.label, r.stats["median"]))
    records = _spread(records)
    colors = class_colors(r.label for r in records)
    boxes = [box_of(r.id, [r.stats[key] for key in _SLICE_BOX]) for r in records]
    draw_boxes(ax, boxes, [colors[r.label] for r in records], vertical=True)
    ax.tick_params(axis="x", rotation=90, labelsize=6)
    ax.set_ylabel("HU")
    name_classes(ax, colors)
    return ax


def _box_tissues(analysis: Analysis, ax: Axes) -> Axes:
    groups = analysis.pixels
    several = len(groups) > 1
    boxes: list[dict[str, Any]] = []
    colors: list[str] = []
    for tissue in TISSUES[1:]:
        for i, (name, counts) in enumerate(groups.items()):
            part = counts.between(tissue.low, tissue.high)
            if part.total:
                boxes.append(box_of_pixels(f"{tissue.name}, {name}" if several else tissue.name, part))
                colors.append(COLORS[i % len(COLORS)])
    draw_boxes(ax, boxes, colors, vertical=False)
    ax.set_xlabel("HU")
    name_classes(ax, class_colors(groups) if several else {})
    return ax


def _without_padding(analysis: Analysis) -> dict[str, Distribution]:
    return {name: d.between(TISSUES[1].low, np.inf) for name, d in analysis.pixels.items()}


def scatter(analysis: Analysis, x: str = "mean", y: str = "sd", *, outliers: int = 5, ax: Axes | None = None) -> Axes:
    """One point a slice, coloured by class, the furthest ones named.

    Args:
        analysis: what ``analyze`` returned.
        x: column of the table, such as ``"mean"`` or ``"age"``.
        y: column of the table.
        outliers: how many slices to name: those with the largest modified z-score in either column, above 3.5.
        ax: axes to draw on.
    """
    ax = new_axes() if ax is None else ax
    table = analysis.table
    for name in (x, y):
        if name not in table.columns:
            raise ArgumentError(f"column {name!r}: one of {', '.join(table.columns)} is allowed")
    rows: list[dict[str, Any]] = [
        r for r in table if isinstance(r.get(x), (int, float)) and isinstance(r.get(y), (int, float))
    ]
    colors = class_colors(str(r.get("label") or "") for r in rows)
    for label, color in colors.items():
        chosen = [r for r in rows if str(r.get("label") or "") == label]
        ax.scatter([r[x] for r in chosen], [r[y] for r in chosen], s=16, color=color, alpha=0.8,
                   linewidths=0, rasterized=len(rows) > 2000)  # fmt: skip
    z = np.fmax(np.abs(modified_z([r[x] for r in rows])), np.abs(modified_z([r[y] for r in rows])))
    for index in np.argsort(-np.nan_to_num(z))[:outliers]:
        if z[index] > LARGEST_Z:
            row = rows[index]
            ax.annotate(str(row["slice"]), (row[x], row[y]), (3, 3), textcoords="offset points", fontsize=7)
    ax.set_xlabel(title_of(x))
    ax.set_ylabel(title_of(y))
    ax.grid(linewidth=0.5, alpha=0.5)
    ax.set_axisbelow(True)
    name_classes(ax, colors)
    return ax


def bar(
    analysis: Analysis,
    what: Literal["histogram", "tissues", "tissues_by_slice"] = "histogram",
    *,
    ax: Axes | None = None,
) -> Axes:
    """Bar charts of all pixels: the histogram of each class, or what the body is made of.

    Args:
        analysis: what ``analyze`` returned.
        what: ``"histogram"`` (25 HU bins, share of the pixels, -1100 to 1600 HU), ``"tissues"`` (stacked, one bar a
            class) or ``"tissues_by_slice"`` (stacked, at most 60 slices).
        ax: axes to draw on.
    """
    ax = new_axes() if ax is None else ax
    if what == "histogram":
        return _histogram(analysis, ax)
    if what not in ("tissues", "tissues_by_slice"):
        raise ArgumentError(f"what={what!r}: histogram, tissues or tissues_by_slice is allowed")
    return _composition(analysis, ax, by_slice=what == "tissues_by_slice")


def _histogram(analysis: Analysis, ax: Axes) -> Axes:
    low, high = SHOWN_HU
    edges = np.arange(low, high + BIN, BIN)
    groups = _without_padding(analysis)
    if not groups:
        draw_nothing(ax)
    for i, counts in enumerate(groups.values()):
        shares, _ = np.histogram(counts.values, edges, weights=counts.counts / max(counts.total, 1))
        ax.stairs(shares * 100, edges, color=COLORS[i % len(COLORS)], fill=True, alpha=0.35)
        ax.stairs(shares * 100, edges, color=COLORS[i % len(COLORS)], linewidth=1.2)
    ax.set_yscale("symlog", linthresh=0.1)
    ax.set_ylim(bottom=0)
    ax.set_yticks([0, 0.1, 1, 10, 50], ["0", "0.1", "1", "10", "50"])
    ax.set_xlabel("HU")
    ax.set_ylabel(f"% of the pixels in {BIN} HU")
    ax.grid(axis="y", linewidth=0.5, alpha=0.5)
    name_classes(ax, class_colors(groups) if len(groups) > 1 else {})
    return ax


def _composition(analysis: Analysis, ax: Axes, *, by_slice: bool) -> Axes:
    names, shares = _shares_of_slices(analysis) if by_slice else _shares_of_classes(analysis)
    if not names:
        draw_nothing(ax)
        return ax
    shares = 100 * shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-12)
    start = np.zeros(len(names))
    for share, tissue in zip(shares.T, INNER, strict=True):
        if by_slice:
            # One step patch a tissue: 60 x 9 single bars take 0.7 s longer to draw.
            edges = np.arange(len(names) + 1) - 0.5
            ax.stairs(start + share, edges, baseline=start, fill=True, color=tissue.color, label=tissue.name)
        else:
            ax.barh(range(len(names)), share, 0.85, left=start, color=tissue.color, label=tissue.name)
        start = start + share
    title = f"% of the pixels above {INNER[0].low:g} HU"
    if by_slice:
        ax.set_xticks(range(len(names)), names, rotation=90, fontsize=6)
        ax.set_ylabel(title)
        ax.set_xlim(-0.6, len(names) - 0.4)
    else:
        ax.set_yticks(range(len(names)), names)
        ax.set_xlabel(title)
        ax.invert_yaxis()
    ax.legend(fontsize=7, ncols=5, loc="upper center", bbox_to_anchor=(0.5, -0.22 if by_slice else -0.3), frameon=False)
    return ax


def _shares_of_slices(analysis: Analysis) -> tuple[list[str], NDArray[np.float64]]:
    records = _spread(sorted(analysis.collection.hu, key=lambda r: (r.label, r.stats["contrast_band_share"])))
    shares = [[r.stats[f"share_{t.key}"] for t in INNER] for r in records]
    return [r.id for r in records], np.array(shares, np.float64)


def _shares_of_classes(analysis: Analysis) -> tuple[list[str], NDArray[np.float64]]:
    pixels = [[counts.count(t.low, t.high) for t in INNER] for counts in analysis.pixels.values()]
    return list(analysis.pixels), np.array(pixels, np.float64)


def _spread(records: list[SliceRecord]) -> list[SliceRecord]:
    """At most 60 of them, evenly."""
    if len(records) <= MOST_SLICES:
        return records
    return [records[i] for i in np.linspace(0, len(records) - 1, MOST_SLICES).round().astype(int)]
