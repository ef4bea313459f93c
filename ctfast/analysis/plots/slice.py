"""The plots of one slice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ctfast.analysis.plots import COLORS, box_stats, draw_boxes
from ctfast.analysis.scan.distributions import Distribution
from ctfast.analysis.scan.records import SliceRecord
from ctfast.analysis.scan.tissues import TISSUES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_POINTS: Final = 3000
_BARS: Final = 100
_SHOWN_HU: Final = (-1100, 1600)


def histogram(counts: Distribution, is_hu: bool, ax: Axes) -> Axes:
    """Bars of the pixel values: -1100 to 1600 HU, or all values that are no HU."""
    low, high = _SHOWN_HU if is_hu else counts.range()
    edges = np.linspace(low, high if high > low else low + 1, _BARS + 1)
    shares, _ = np.histogram(counts.values, edges, weights=counts.counts / max(counts.total, 1))
    ax.bar(edges[:-1], shares * 100, np.diff(edges), align="edge", color=COLORS[0])
    ax.set_yscale("symlog", linthresh=0.1)
    ax.set_ylim(bottom=0)
    ax.set_yticks([0, 0.1, 1, 10, 100], ["0", "0.1", "1", "10", "100"])
    ax.set_xlabel("HU" if is_hu else "value")
    ax.set_ylabel("% of the pixels")
    return ax


def box(counts: Distribution, is_hu: bool, ax: Axes) -> Axes:
    """All pixels and, for HU, those of each tissue."""
    stats = [box_stats("all pixels", counts)]
    colors = [COLORS[0]]
    for tissue in TISSUES if is_hu else ():
        part = counts.between(tissue.low, tissue.high)
        if part.total:
            stats.append(box_stats(tissue.name, part))
            colors.append(tissue.color)
    draw_boxes(ax, stats, colors, vertical=False)
    ax.set_xlabel("HU" if is_hu else "value")
    return ax


def neighbours(pixels: NDArray[Any], ax: Axes) -> Axes:
    """Each pixel against its right neighbour."""
    first, second = pixels[:, :-1].ravel(), pixels[:, 1:].ravel()
    chosen = _sampled(first.size)
    ax.scatter(first[chosen], second[chosen], s=5, alpha=0.4, color=COLORS[0], linewidths=0, rasterized=True)
    ax.set_xlabel("pixel")
    ax.set_ylabel("its right neighbour")
    return ax


def before_after_values(before: NDArray[Any], after: NDArray[Any], ax: Axes) -> Axes:
    """Input values against grey values."""
    chosen = _sampled(before.size)
    ax.scatter(
        before.ravel()[chosen], after.ravel()[chosen], s=5, alpha=0.4, color=COLORS[1], linewidths=0, rasterized=True
    )
    ax.set_xlabel("before")
    ax.set_ylabel("after, grey value")
    return ax


def tissues(record: SliceRecord, ax: Axes) -> Axes:
    """One bar a tissue."""
    shares = [100 * float(record.stats[f"share_{t.key}"] or 0) for t in TISSUES]
    ax.barh([t.name for t in TISSUES], shares, color=[t.color for t in TISSUES])
    ax.invert_yaxis()
    for place, share in enumerate(shares):
        ax.annotate(f"{share:.1f}%", (share, place), (3, 0), textcoords="offset points", va="center", fontsize=7)
    ax.set_xlabel("% of the pixels")
    ax.margins(x=0.1)
    return ax


def _sampled(count: int) -> NDArray[np.int64]:
    """Up to 3,000 indices below ``count``, the same ones every time."""
    if count <= _MOST_POINTS:
        return np.arange(count)
    return np.random.default_rng(0).choice(count, _MOST_POINTS, replace=False)
