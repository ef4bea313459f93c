"""Figures for papers and notebooks; every function draws on matplotlib axes and returns them.

>>> ax = plots.box(found, by="tissue")
>>> ax.figure.savefig("box.pdf")

Without ``ax`` a new figure is made. Units are HU, and only slices whose values are known to be HU are drawn, unless a
function says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from ctfast.analysis.flags.rules_set import modified_z
from ctfast.analysis.plots.pictures import before_after, new_axes, tissue_overlay
from ctfast.analysis.scan.analyze import Analysis
from ctfast.analysis.scan.distributions import Distribution
from ctfast.analysis.scan.table import title_of
from ctfast.analysis.scan.tissues import TISSUES
from ctfast.errors import ArgumentError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["COLORS", "bar", "before_after", "box", "scatter", "tissue_overlay"]

COLORS: Final = ("#1f77b4", "#e07b00", "#2a9d6f", "#c23b76", "#7b61c9", "#8c6d31", "#17a2b8", "#bb4430")
"""Colours of classes: readable on white and on black, told apart by most colour-blind readers."""
NO_CLASS: Final = ("", "no class", "all slices")
_WHISKERS: Final = (5.0, 25.0, 50.0, 75.0, 95.0)
_MOST_BOXES: Final = 60
_BIN: Final = 25
_SHOWN_HU: Final = (-1100, 1600)


def class_colors(labels: Iterable[str]) -> dict[str, str]:
    """A colour for every class, the same in every figure; slices without a class come last."""
    ordered = sorted(set(labels), key=lambda label: (label in NO_CLASS, label))
    return {label: COLORS[i % len(COLORS)] for i, label in enumerate(ordered)}


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
        stats = [box_stats(name, d) for name, d in _without_padding(analysis).items()]
        draw_boxes(ax, stats, [COLORS[i % len(COLORS)] for i in range(len(stats))], vertical=False)
        ax.set_xlabel("HU")
        return ax
    if by != "tissue":
        raise ArgumentError(f"by={by!r}: slice, class or tissue is allowed")
    return _box_tissues(analysis, ax)


def _box_slices(analysis: Analysis, ax: Axes) -> Axes:
    records = [r for r in analysis.collection.hu if r.stats.get("median") is not None]
    records.sort(key=lambda r: (r.label, r.stats["median"]))
    if len(records) > _MOST_BOXES:
        chosen = np.linspace(0, len(records) - 1, _MOST_BOXES).round().astype(int)
        records = [records[i] for i in chosen]
    colors = class_colors(r.label for r in records)
    keys = dict(zip(("whislo", "q1", "med", "q3", "whishi"), ("p1", "q1", "median", "q3", "p99"), strict=True))
    stats: list[dict[str, Any]] = [
        {**{k: r.stats[v] for k, v in keys.items()}, "label": r.id, "fliers": []} for r in records
    ]
    draw_boxes(ax, stats, [colors[r.label] for r in records], vertical=True)
    ax.tick_params(axis="x", rotation=90, labelsize=6)
    ax.set_ylabel("HU")
    _legend(ax, colors)
    return ax


def _box_tissues(analysis: Analysis, ax: Axes) -> Axes:
    groups = analysis.pixels
    stats: list[dict[str, Any]] = []
    colors: list[str] = []
    for tissue in TISSUES[1:]:
        for i, (name, counts) in enumerate(groups.items()):
            part = counts.between(tissue.low, tissue.high)
            if part.total:
                several = len(groups) > 1
                stats.append(box_stats(f"{tissue.name}, {name}" if several else tissue.name, part))
                colors.append(COLORS[i % len(COLORS)])
    draw_boxes(ax, stats, colors, vertical=False)
    ax.set_xlabel("HU")
    _legend(ax, class_colors(groups) if len(groups) > 1 else {})
    return ax


def _without_padding(analysis: Analysis) -> dict[str, Distribution]:
    return {name: d.between(TISSUES[1].low, np.inf) for name, d in analysis.pixels.items()}


def box_stats(name: str, counts: Distribution) -> dict[str, Any]:
    """A box of :func:`draw_boxes`: quartiles, median, 5th and 95th percentile."""
    keys = ("whislo", "q1", "med", "q3", "whishi")
    return {**dict(zip(keys, counts.percentiles(_WHISKERS), strict=True)), "label": name, "fliers": []}


def draw_boxes(ax: Axes, stats: list[dict[str, Any]], colors: Sequence[str], *, vertical: bool) -> None:
    """Draw boxes with matplotlib's ``bxp``; the first one of horizontal ones is at the top."""
    if not stats:
        _say(ax, "no slices with known HU")
        return
    ink = _ink()
    drawn = ax.bxp(
        stats,
        orientation="vertical" if vertical else "horizontal",
        showfliers=False,
        patch_artist=True,
        widths=0.6,
        medianprops={"color": ink, "linewidth": 1.6},
        whiskerprops={"color": ink, "linewidth": 0.8},
        capprops={"color": ink, "linewidth": 0.8},
    )
    for patch, color in zip(drawn["boxes"], colors, strict=True):
        patch.set(facecolor=color, edgecolor=ink, linewidth=0.6, alpha=0.85)
    if not vertical:
        ax.invert_yaxis()
    ax.grid(axis="y" if vertical else "x", linewidth=0.5, alpha=0.5)
    ax.set_axisbelow(True)


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
    for place in np.argsort(-np.nan_to_num(z))[:outliers]:
        if z[place] > 3.5:
            row = rows[place]
            ax.annotate(str(row["slice"]), (row[x], row[y]), (3, 3), textcoords="offset points", fontsize=7)
    ax.set_xlabel(title_of(x))
    ax.set_ylabel(title_of(y))
    ax.grid(linewidth=0.5, alpha=0.5)
    ax.set_axisbelow(True)
    _legend(ax, colors)
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
    low, high = _SHOWN_HU
    edges = np.arange(low, high + _BIN, _BIN)
    groups = _without_padding(analysis)
    if not groups:
        _say(ax, "no slices with known HU")
    for i, counts in enumerate(groups.values()):
        shares, _ = np.histogram(counts.values, edges, weights=counts.counts / max(counts.total, 1))
        ax.stairs(shares * 100, edges, color=COLORS[i % len(COLORS)], fill=True, alpha=0.35)
        ax.stairs(shares * 100, edges, color=COLORS[i % len(COLORS)], linewidth=1.2)
    ax.set_yscale("symlog", linthresh=0.1)
    ax.set_ylim(bottom=0)
    ax.set_yticks([0, 0.1, 1, 10, 50], ["0", "0.1", "1", "10", "50"])
    ax.set_xlabel("HU")
    ax.set_ylabel(f"% of the pixels in {_BIN} HU")
    ax.grid(axis="y", linewidth=0.5, alpha=0.5)
    _legend(ax, class_colors(groups) if len(groups) > 1 else {})
    return ax


def _composition(analysis: Analysis, ax: Axes, *, by_slice: bool) -> Axes:
    inner = TISSUES[2:]
    if by_slice:
        records = sorted(analysis.collection.hu, key=lambda r: (r.label, r.stats["contrast_band_share"]))
        if len(records) > _MOST_BOXES:
            records = [records[i] for i in np.linspace(0, len(records) - 1, _MOST_BOXES).round().astype(int)]
        names = [r.id for r in records]
        parts = np.array([[r.stats[f"share_{t.key}"] for t in inner] for r in records], float).reshape(-1, len(inner))
    else:
        names = list(analysis.pixels)
        parts = np.array([[d.count(t.low, t.high) for t in inner] for d in analysis.pixels.values()], float)
    if not len(parts):
        _say(ax, "no slices with known HU")
        return ax
    parts = 100 * parts / np.maximum(parts.sum(axis=1, keepdims=True), 1e-12)
    start = np.zeros(len(parts))
    for k, tissue in enumerate(inner):
        if by_slice:
            # One step patch a tissue: 60 x 9 single bars take 0.7 s longer to draw.
            edges = np.arange(len(parts) + 1) - 0.5
            tops = start + parts[:, k]
            ax.stairs(tops, edges, baseline=start, fill=True, color=tissue.color, label=tissue.name)
        else:
            ax.barh(range(len(parts)), parts[:, k], 0.85, left=start, color=tissue.color, label=tissue.name)
        start = start + parts[:, k]
    if by_slice:
        ax.set_xticks(range(len(names)), names, rotation=90, fontsize=6)
        ax.set_ylabel("% of the pixels above -950 HU")
        ax.set_xlim(-0.6, len(names) - 0.4)
    else:
        ax.set_yticks(range(len(names)), names)
        ax.set_xlabel("% of the pixels above -950 HU")
        ax.invert_yaxis()
    ax.legend(fontsize=7, ncols=5, loc="upper center", bbox_to_anchor=(0.5, -0.22 if by_slice else -0.3), frameon=False)
    return ax


def _ink() -> str:
    import matplotlib

    return str(matplotlib.rcParams["text.color"])


def _say(ax: Axes, text: str) -> None:
    ax.text(0.5, 0.5, text, ha="center", va="center", transform=ax.transAxes)
    ax.set_xticks([])
    ax.set_yticks([])


def _legend(ax: Axes, colors: dict[str, str]) -> None:
    """Coloured names of the classes."""
    named = {label: color for label, color in colors.items() if label}
    if not named:
        return
    from matplotlib.patches import Patch

    handles = [Patch(color=color, label=label) for label, color in named.items()]
    ax.legend(handles=handles, fontsize=8, frameon=False, loc="best")
