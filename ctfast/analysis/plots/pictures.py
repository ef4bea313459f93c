"""Figures that show slices; :mod:`ctfast.analysis.plots` offers them with the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ctfast import ops
from ctfast.analysis.pages.thumbnails import describe, overlay, step_pictures, window_of
from ctfast.analysis.scan.tissues import TISSUES
from ctfast.errors import ArgumentError, MissingDependencyError, ShapeError
from ctfast.pipeline import Pipeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def new_axes(width: float = 7.0, height: float = 4.0, columns: int = 1) -> Any:
    """Axes of a new figure."""
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise MissingDependencyError('figures need matplotlib: pip install "ctfast[report]"') from error
    _, axes = pyplot.subplots(1, columns, figsize=(width, height), layout="constrained")
    return axes


def tissue_overlay(hu: NDArray[Any], *, ax: Axes | None = None, legend: bool = True) -> Axes:
    """A slice ``(H, W)`` in HU with the colours of the tissue table over it, and the legend of those that occur."""
    if hu.ndim != 2:
        raise ShapeError(f"shape {hu.shape}: one image (H, W) is needed")
    ax = new_axes(6.5, 5) if ax is None else ax
    from matplotlib.patches import Patch

    ax.imshow(overlay(hu), interpolation="nearest")
    ax.set_axis_off()
    if legend:
        found = set(np.unique(ops.label_tissue(hu)).tolist())
        handles = [Patch(color=t.color, label=f"{t.name} ({t.range_text})") for t in TISSUES if t.label in found]
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
