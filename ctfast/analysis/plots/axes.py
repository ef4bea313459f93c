"""What the figures share: colours of classes, new axes, boxes, the legend."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from ctfast.analysis.scan.distributions import Distribution
from ctfast.errors import missing_extra

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS: Final = ("#1f77b4", "#e07b00", "#2a9d6f", "#c23b76", "#7b61c9", "#8c6d31", "#17a2b8", "#bb4430")
"""Colours of classes: readable on white and on black, told apart by most colour-blind readers."""
SHOWN_HU: Final = (-1100, 1600)
"""What histograms show: from below air to above most bone."""
_NO_CLASS: Final = ("", "no class", "all slices")
_BOX_KEYS: Final = ("whislo", "q1", "med", "q3", "whishi")


def class_colors(labels: Iterable[str]) -> dict[str, str]:
    """A colour for every class, the same in every figure; slices without a class come last."""
    ordered = sorted(set(labels), key=lambda label: (label in _NO_CLASS, label))
    return {label: COLORS[i % len(COLORS)] for i, label in enumerate(ordered)}


def new_axes(width: float = 7.0, height: float = 4.0, columns: int = 1) -> Any:
    """Axes of a new figure."""
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise missing_extra("figures need matplotlib", "report") from error
    _, axes = pyplot.subplots(1, columns, figsize=(width, height), layout="constrained")
    return axes


def box_of(name: str, numbers: Sequence[Any]) -> dict[str, Any]:
    """A box for :func:`draw_boxes`: lower whisker, quartile, median, quartile, upper whisker."""
    return {**dict(zip(_BOX_KEYS, numbers, strict=True)), "label": name, "fliers": []}


def box_of_pixels(name: str, counts: Distribution) -> dict[str, Any]:
    """A box with whiskers at the 5th and 95th percentile."""
    return box_of(name, counts.percentiles((5.0, 25.0, 50.0, 75.0, 95.0)))


def draw_boxes(ax: Axes, boxes: list[dict[str, Any]], colors: Sequence[str], *, vertical: bool) -> None:
    """Draw boxes with matplotlib's ``bxp``; the first one of horizontal ones is at the top."""
    if not boxes:
        draw_nothing(ax)
        return
    ink = _ink()
    drawn = ax.bxp(
        boxes,
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


def draw_nothing(ax: Axes) -> None:
    """Say why the axes are empty."""
    ax.text(0.5, 0.5, "no slices with known HU", ha="center", va="center", transform=ax.transAxes)
    ax.set_xticks([])
    ax.set_yticks([])


def name_classes(ax: Axes, colors: dict[str, str]) -> None:
    """The legend of the classes."""
    named = {label: color for label, color in colors.items() if label}
    if not named:
        return
    from matplotlib.patches import Patch

    handles = [Patch(color=color, label=label) for label, color in named.items()]
    ax.legend(handles=handles, fontsize=8, frameon=False, loc="best")


def _ink() -> str:
    import matplotlib

    return str(matplotlib.rcParams["text.color"])
