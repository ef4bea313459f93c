"""The pictures of the site, made of a synthetic slice. Building the site draws one for each operation; the one of the
presets, which the README shows too, is kept: ``python docs/site/pictures.py docs/presets.png`` draws it anew.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

import ctfast
from ctfast.analysis import plots
from ctfast.pipeline import Pipeline
from ctfast.tools.synth import phantom
from ctkernels.contract import OPERATIONS

SHOWN: Final[dict[str, dict[str, Any]]] = {
    "rescale": {"slope": 0.5, "intercept": 20.0, "dtype": "int16"},
    "window": {"center": -600, "width": 1500},
    "normalize": {"percentiles": (1, 99)},
    "standardize": {},
    "match_histogram": {"reference": ((-1000, -100, 0, 100, 300), (5, 1, 1, 9, 3))},
    "median_filter": {"size": 5},
    "rank_filter": {"rank": -1, "size": 3},
    "percentile_filter": {"percentile": 80, "size": 5},
    "gaussian_filter": {"sigma": 1.5},
    "clahe": {"clip_limit": 2.0, "nbins": 4096},
    "histogram": {"bins": 128, "value_range": (-1100, 1100)},
    "summary": {},
    "label_tissue": {},
}
"""Parameters that show something on a whole slice; other operations use their contract's first example."""


def slice_hu() -> NDArray[np.int16]:
    """A phantom of 320 x 320 pixels with contrast agent and the noise of a thin slice, in HU."""
    rng = np.random.default_rng(5)
    noise = ctfast.gaussian_filter(rng.standard_normal((320, 320), dtype=np.float32), 0.8, mode="wrap")
    noisy = phantom(2, seed=7, size=320).hu + 28 * noise / noise.std()
    return np.clip(np.rint(noisy), -1024, 3071).astype(np.int16)


def draw_operation(name: str, hu: NDArray[Any], path: Path) -> None:
    """The slice in a fixed window beside what the operation makes of it."""
    params = SHOWN.get(name, dict(OPERATIONS[name].examples[0]))
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    before, after = figure.subplots(1, 2)
    before.imshow(hu, cmap="gray", vmin=-160, vmax=240)
    before.set_title("HU -160 to 240", fontsize=9)
    before.set_axis_off()
    result = getattr(ctfast, name)(hu, **params)
    title = f"{name}({', '.join(f'{k}={v!r}' for k, v in params.items())})"
    if name in _DRAWN:
        _DRAWN[name](after, result, hu)
    else:
        # What is still in HU as the input is shown, else from the least to the greatest value.
        shown = {"vmin": -160, "vmax": 240} if OPERATIONS[name].units == "keeps" else {}
        after.imshow(result, cmap="gray", **shown)
        after.set_axis_off()
    after.set_title(title if len(title) < 40 else title.replace(", ", ",\n", 1), fontsize=9)
    figure.savefig(path, dpi=100)


def _histogram(ax: Any, result: Any, _hu: NDArray[Any]) -> None:
    ax.stairs(*result, fill=True, color="tab:blue")
    ax.set_yscale("log")
    ax.set_xlabel("HU")
    ax.set_ylabel("pixels")


def _summary(ax: Any, result: Any, _hu: NDArray[Any]) -> None:
    numbers = {"med": result.median, "q1": result.q1, "q3": result.q3, "whislo": result.min, "whishi": result.max}
    ax.bxp([{**{k: float(v) for k, v in numbers.items()}, "label": "slice", "fliers": []}], showfliers=False)
    ax.set_ylabel("HU")


def _tissues(ax: Any, _result: Any, hu: NDArray[Any]) -> None:
    plots.tissue_overlay(hu, ax=ax, legend=False)
    ax.set_axis_off()


_DRAWN: Final[dict[str, Callable[[Any, Any, NDArray[Any]], None]]] = {
    "histogram": _histogram,
    "summary": _summary,
    "label_tissue": _tissues,
}


def draw_presets(hu: NDArray[Any], path: Path) -> None:
    """The slice through a preset with and without CLAHE, beside the window alone."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    chains = {
        "window alone": Pipeline(ctfast.preset("mediastinum").steps[:1]),
        "mediastinum-plain": ctfast.preset("mediastinum-plain"),
        "mediastinum": ctfast.preset("mediastinum"),
    }
    for ax, (title, chain) in zip(figure.subplots(1, 3), chains.items(), strict=True):
        ax.imshow(chain(hu), cmap="gray", vmin=0, vmax=255)
        ax.set_title(title, fontsize=9)
        ax.set_axis_off()
    figure.savefig(path, dpi=100)


def draw(folder: Path) -> None:
    """One picture an operation."""
    folder.mkdir(parents=True, exist_ok=True)
    hu = slice_hu()
    for name in OPERATIONS:
        draw_operation(name, hu, folder / f"{name}.png")


if __name__ == "__main__":
    draw_presets(slice_hu(), Path(sys.argv[1]))
