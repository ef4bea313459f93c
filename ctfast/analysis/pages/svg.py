"""matplotlib figures as inline SVG that follow the page's light or dark theme, and as files for papers."""

from __future__ import annotations

import html
import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from ctfast.analysis import plots
from ctfast.analysis.plots.set import BIN, INNER, MOST_SLICES
from ctfast.analysis.scan.analyze import Analysis
from ctfast.analysis.scan.tissues import CONTRAST_BAND, TISSUES
from ctfast.batch.atomic import replacing
from ctfast.errors import missing_extra

# Colours that nothing else has: matplotlib draws with them, and the page's variables take their place in the text.
INK: Final = "#0a0b0c"
GRID: Final = "#0d0e0f"
_FORMATS: Final = ("png", "svg", "pdf")
PHONE_INCHES: Final = 4.0
"""At 72 points an inch a phone of 390 pixels shows it a little enlarged, with letters of 11 pixels."""
_PHONE_LEAST_HEIGHT: Final = 3.6
_MOST_NAMES_ON_PHONE: Final = 12
_MOST_IN_A_COLUMN: Final = 4
_LONGEST_NAME: Final = 30
"""Letters left of an axes on a phone; longer names would leave no room for what they name."""
_STYLE: Final[dict[str, Any]] = {
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,
    "svg.fonttype": "none",
    "figure.dpi": 100,
}
_THEMED: Final = {
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": GRID,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}


@dataclass(frozen=True)
class FigurePlan:
    """A figure of the report: what it shows and how it is drawn."""

    key: str
    title: str
    about: str
    draw: Callable[..., Any]
    """Takes the analysis and ``ax=``."""
    size: tuple[float, float] = (7.0, 3.6)

    def bound(self, analysis: Analysis) -> Callable[[Any], Any]:
        """What draws it on given axes."""
        return lambda ax: self.draw(analysis, ax=ax)


@contextmanager
def styled(*, themed: bool, salt: str = "ctfast") -> Iterator[None]:
    """matplotlib settings of the report, put back afterwards."""
    try:
        import matplotlib
    except ImportError as error:
        raise missing_extra("figures need matplotlib", "report") from error
    with matplotlib.rc_context({**_STYLE, **(_THEMED if themed else {}), "svg.hashsalt": salt}):
        yield


def plans(analysis: Analysis) -> list[FigurePlan]:
    """The figures that make sense for a set."""
    pixels = _of_pixels(max(1, len(analysis.pixels))) if analysis.pixels else []
    scatters = [FigurePlan("scatter-mean-sd", "Mean against standard deviation", "One point a slice; outliers are "
                           "named.", partial(plots.scatter, x="mean", y="sd"))]  # fmt: skip
    if any(r.facts.get("age") is not None for r in analysis.records):
        scatters.append(FigurePlan("scatter-age", "Age against mean intensity", "One point a slice.",
                                   partial(plots.scatter, x="age", y="mean")))  # fmt: skip
    return pixels + scatters


def _of_pixels(classes: int) -> list[FigurePlan]:
    """The figures of HU, as high as their number of classes needs."""
    above = f"Share of the pixels above {INNER[0].low:g} HU"
    low, high = CONTRAST_BAND
    sampled = f"at most {MOST_SLICES} slices, spread over the set."
    return [
        FigurePlan("histogram", "Histogram of HU", f"Share of the pixels of each class in bins of {BIN} HU, padding "
                   "left out; the vertical axis is logarithmic above 0.1 %.", partial(plots.bar, what="histogram")),
        FigurePlan("box-tissue", "Intensity by tissue and class", "Pixels within each range of the tissue table: "
                   "quartiles, median, 5th and 95th percentile.", partial(plots.box, by="tissue"),
                   (7.0, 1.5 + 0.21 * len(TISSUES[1:]) * classes)),
        FigurePlan("box-class", "Intensity by class", "Box: quartiles and median of all pixels; whiskers: 5th and 95th "
                   "percentile; padding left out.", partial(plots.box, by="class"), (7.0, 1.3 + 0.4 * classes)),
        FigurePlan("box-slice", "Intensity by slice", "Box: quartiles and median; whiskers: 1st and 99th percentile; "
                   f"ordered by class and median; {sampled}", partial(plots.box, by="slice"), (10.0, 3.8)),
        FigurePlan("tissues-class", "Tissue composition by class", f"{above}.", partial(plots.bar, what="tissues"),
                   (10.0, 1.6 + 0.4 * classes)),
        FigurePlan("tissues-slice", "Tissue composition by slice", f"{above}, ordered by class and share of {low} to "
                   f"{high} HU; {sampled}", partial(plots.bar, what="tissues_by_slice"), (10.0, 4.4)),
    ]  # fmt: skip


def inline(plan: FigurePlan, analysis: Analysis) -> str:
    """The figure as an ``<svg>`` element whose ink and grid are CSS variables of the page."""
    return inline_axes(plan.key, plan.title, plan.bound(analysis), plan.size)


def inline_axes(key: str, title: str, draw: Callable[[Any], Any], size: tuple[float, float]) -> str:
    """What ``draw`` puts on one axes, in the colours of the page: an ``<svg>`` for desks, and one for phones.

    A picture of a desk's width, shrunk to a phone's, has letters that nobody can read; the style sheet shows one.
    """
    parts = []
    for name, shape, tidy in (("desk", size, None), ("phone", _phone_size(size), _tidy_for_phone)):
        with styled(themed=True, salt=f"{key}-{name}"), no_glyph_warnings():
            out = io.BytesIO()
            _figure(draw, shape, tidy).savefig(out, format="svg", metadata={"Date": None})
        svg = inline_svg(out.getvalue().decode(), f"{key}-{name}", title)
        parts.append(svg.replace("<svg", f'<svg class="{name}"', 1))
    return "".join(parts)


def _phone_size(size: tuple[float, float]) -> tuple[float, float]:
    return PHONE_INCHES, max(size[1], _PHONE_LEAST_HEIGHT)


def _tidy_for_phone(axes: Any) -> None:
    """Legends in two columns; no names below bars that are narrower than a letter."""
    legend = axes.get_legend()
    if legend is not None and len(legend.legend_handles) > _MOST_IN_A_COLUMN:
        names = [text.get_text() for text in legend.get_texts()]
        below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.25), "frameon": False, "fontsize": 8}
        axes.legend(handles=legend.legend_handles, labels=names, ncols=2, **below)
    names = [label.get_text() for label in axes.get_yticklabels()]
    if any(len(name) > _LONGEST_NAME for name in names):
        short = [name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…" for name in names]
        axes.set_yticks(axes.get_yticks(), short)
    if len(axes.get_xticklabels()) > _MOST_NAMES_ON_PHONE:
        axes.set_xticks([])
        axes.set_xlabel(f"{axes.get_xlabel()} (names: on a wider screen)".strip())


@contextmanager
def no_glyph_warnings() -> Iterator[None]:
    """File and class names may hold any character; the browser draws those that matplotlib's font lacks."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def inline_svg(text: str, key: str, title: str) -> str:
    """A standalone SVG file of matplotlib's, made fit to stand in a page among others."""
    svg = text[text.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{key}-', svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{key}-", svg)
    svg = svg.replace(INK, "var(--ink)").replace(GRID, "var(--line)")
    svg = re.sub(r"'DejaVu Sans'(, ?[^;\"]*sans-serif)?", "var(--sans)", svg)
    head, rest = svg.split(">", 1)
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    name = html.escape(title, quote=True)
    return f'{head} role="img" aria-label="{name}"><title>{name}</title>{rest}'


def _figure(draw: Callable[[Any], Any], size: tuple[float, float], tidy: Callable[[Any], None] | None = None) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    draw(axes)
    if tidy is not None:
        tidy(axes)
    return figure


def write_figures(analysis: Analysis, folder: Path, formats: tuple[str, ...] = _FORMATS) -> list[Path]:
    """Save every figure of the report as PNG (200 dpi), SVG and PDF; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for plan in plans(analysis):
        with styled(themed=False), no_glyph_warnings():
            figure = _figure(plan.bound(analysis), plan.size)
            for kind in formats:
                path = folder / f"{plan.key}.{kind}"
                with replacing(path, "wb") as file:
                    figure.savefig(file, format=kind, dpi=200, metadata={"Date": None} if kind == "svg" else None)
                written.append(path)
    return written
