"""Figures: matplotlib axes with the right things on them, and files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import numpy as np
import pytest

import ctfast
from ctfast.analysis import Analysis, plots
from ctfast.analysis.pages.svg import inline, plans, write_figures
from ctfast.errors import ArgumentError, ShapeError
from tests.analysis.analysis_build import body

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.axes import Axes


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    pyplot.close("all")


@pytest.mark.parametrize("by", ["slice", "class", "tissue"])
def test_box(analysis: Analysis, by: str) -> None:
    ax = plots.box(analysis, by=by)  # type: ignore[arg-type]
    assert isinstance(ax, Axes)
    boxes = {"slice": len(analysis.collection.hu), "class": 3}.get(by)
    assert boxes is None or len(ax.patches) == boxes
    with pytest.raises(ArgumentError, match="slice, class or tissue"):
        plots.box(analysis, by="patient")  # type: ignore[arg-type]


def test_scatter(analysis: Analysis) -> None:
    ax = plots.scatter(analysis, "age", "mean")
    drawn = np.concatenate([np.asarray(c.get_offsets()) for c in ax.collections])
    expected = [(r.facts["age"], r.stats["mean"]) for r in analysis.records if "age" in r.facts]
    assert sorted(map(tuple, drawn.tolist())) == sorted(expected)
    with pytest.raises(ArgumentError, match="column 'colour'"):
        plots.scatter(analysis, "colour")


@pytest.mark.parametrize("what", ["histogram", "tissues", "tissues_by_slice"])
def test_bar(analysis: Analysis, what: str) -> None:
    ax = plots.bar(analysis, what)  # type: ignore[arg-type]
    if what == "tissues":
        assert max(b.get_x() + b.get_width() for b in ax.patches) == pytest.approx(100)
    elif what == "tissues_by_slice":
        assert ax.patches[-1].get_data().values == pytest.approx(100)
        assert len(ax.get_xticks()) == len(analysis.collection.hu)
    with pytest.raises(ArgumentError, match="histogram, tissues"):
        plots.bar(analysis, "pie")  # type: ignore[arg-type]


def test_pictures() -> None:
    ax = plots.tissue_overlay(body())
    assert [t.get_text().split(" (")[0] for t in ax.get_legend().get_texts()] == ["air", "lung", "soft tissue"]
    axes = plots.before_after(body(), ctfast.preset("mediastinum"))
    assert [a.get_title().split()[0] for a in axes] == ["before", "window", "median_filter", "gaussian_filter", "clahe"]
    with pytest.raises(ShapeError, match=r"one image"):
        plots.tissue_overlay(np.zeros((2, 3, 4), np.int16))
    with pytest.raises(ArgumentError, match="5 are needed"):
        plots.before_after(body(), ctfast.preset("mediastinum"), axes=axes[:2])


def test_axes_of_the_caller_are_used(analysis: Analysis) -> None:
    _, ax = pyplot.subplots()
    assert plots.bar(analysis, ax=ax) is ax
    assert len(pyplot.get_fignums()) == 1


def test_files(analysis: Analysis, tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    written = write_figures(analysis, tmp_path / "figures", ("svg",))
    assert [p.stem for p in written] == [p.key for p in plans(analysis)]
    assert all(p.stat().st_size > 1000 for p in written)
    (png,) = [p for p in write_figures(analysis, tmp_path, ("png", "pdf")) if p.name == "histogram.png"]
    assert png.read_bytes()[:4] == b"\x89PNG"
    assert dict(matplotlib.rcParams) == before


def test_inline_figures_follow_the_theme(analysis: Analysis) -> None:
    plan = plans(analysis)[0]
    svg = inline(plan, analysis)
    assert svg.startswith("<svg")
    assert "var(--ink)" in svg
    assert f'aria-label="{plan.title}"' in svg
    assert svg == inline(plan, analysis)
    assert [name for name in ("desk", "phone") if f'<svg class="{name}"' in svg] == ["desk", "phone"]
    ids = re.findall(r'\bid="([^"]+)"', svg)
    assert len(ids) == len(set(ids)), "the two do not share clip paths"
