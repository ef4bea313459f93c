"""Figures for papers and notebooks; every function draws on matplotlib axes and returns them.

>>> ax = plots.box(analysis, by="tissue")
>>> ax.figure.savefig("box.pdf")

Without ``ax`` a new figure is made. Units are HU, and only slices whose values are known to be HU are drawn, unless a
function says otherwise.
"""

from __future__ import annotations

from ctfast.analysis.plots.axes import COLORS
from ctfast.analysis.plots.set import bar, box, scatter
from ctfast.analysis.plots.slice import before_after, tissue_overlay

__all__ = ["COLORS", "bar", "before_after", "box", "scatter", "tissue_overlay"]
