"""Figures of one slice; the page of a slice draws the lower ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ctfast import ops
from ctfast.analysis.plots.axes import COLORS, SHOWN_HU, box_of_pixels, draw_boxes, new_axes
from ctfast.analysis.plots.pictures import describe, overlay, step_pictures, window_of
from ctfast.analysis.scan.distributions import Distribution
from ctfast.analysis.scan.records import SliceRecord
from ctfast.analysis.scan.tissues import TISSUES
from ctfast.errors import ArgumentError, ShapeError
from ctfast.pipeline import Pipeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_POINTS: Final = 3000
_BARS: Final = 100


def tissue_overlay(hu: NDArray[Any], *, ax: Axes | None = None, legend: bool = True) -> Axes:
    """A slice ``(H, W)`` in HU with the colours of the tissue table over it, and the legend of those that occur."""
    if hu.ndim != 2:
        raise ShapeError(f"shape {hu.shape}: one image (H, W) is needed")
    ax = new_axes(6.5, 5) if ax is None else ax
    from matplotlib.patches import Patch

    ax.imshow(overlay(hu), interpolation="nearest")
    ax.set_axis_off()
    if legend:
        labels = set(np.unique(ops.label_tissue(hu)).tolist())
        handles = [Patch(color=t.color, label=f"{t.name} ({t.range_text})") for t in TISSUES if t.label in labels]
        ax.legend(handles=handles, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return ax


def before_after(image: NDArray[Any], pipeline: Pipeline, *, axes: Sequence[Axes] | None = None) -> list[Axes]:
    """A slice ``(H, W)`` of HU before (mediastinum window) and after each step of a pipeline that changes it.

    Args:
        image: ``(H, W)`` in HU.
        pipeline: its statistics steps are left out.
        axes: one for the image and one for each such step.
    """
    steps = [s for s in pipeline.steps if not s.is_statistic]
    if axes is None:
        axes = np.ravel(new_axes(3.2 * (len(steps) + 1), 3.6, len(steps) + 1)).tolist()
    if len(axes) != len(steps) + 1:
        raise ArgumentError(f"{len(axes)} axes: {len(steps) + 1} are needed, one for the image and one a step")
    center, width = window_of("mediastinum")
    axes[0].imshow(image, cmap="gray", vmin=center - width / 2, vmax=center + width / 2)
    axes[0].set_title("before", fontsize=8)
    for ax, step, picture in zip(axes[1:], steps, step_pictures(image, pipeline, is_hu=True), strict=True):
        ax.imshow(picture.pixels, cmap=None if picture.pixels.ndim == 3 else "gray", vmin=0, vmax=255)
        ax.set_title(describe(step), fontsize=8)
    for ax in axes:
        ax.set_axis_off()
    return list(axes)


def histogram(counts: Distribution, is_hu: bool, ax: Axes) -> Axes:
    """Bars of the pixel values: -1100 to 1600 HU, or all values that are no HU."""
    low, high = SHOWN_HU if is_hu else counts.range()
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
    boxes = [box_of_pixels("all pixels", counts)]
    colors = [COLORS[0]]
    for tissue in TISSUES if is_hu else ():
        part = counts.between(tissue.low, tissue.high)
        if part.total:
            boxes.append(box_of_pixels(tissue.name, part))
            colors.append(tissue.color)
    draw_boxes(ax, boxes, colors, vertical=False)
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
    for index, share in enumerate(shares):
        ax.annotate(f"{share:.1f}%", (share, index), (3, 0), textcoords="offset points", va="center", fontsize=7)
    ax.set_xlabel("% of the pixels")
    ax.margins(x=0.1)
    return ax


def _sampled(count: int) -> NDArray[np.int64]:
    """Up to 3,000 indices below ``count``, the same ones every time."""
    if count <= _MOST_POINTS:
        return np.arange(count)
    return np.random.default_rng(0).choice(count, _MOST_POINTS, replace=False)
