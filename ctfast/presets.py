"""Ready pipelines by name. Window Center and Width come from the named sources; the rest is ctfast's choice:
median 3 against impulse noise, a light Gaussian, CLAHE with OpenCV's usual 8 x 8 tiles, a histogram of the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ctfast.errors import ArgumentError
from ctfast.pipeline import Pipeline, Step

_RADIOPAEDIA = 'Radiopaedia, article "Windowing (CT)", https://radiopaedia.org/articles/windowing-ct'
_SIIM = "HU -200..1000, the range that separates contrast from non-contrast slices in the Kaggle CT Medical Images set"


@dataclass(frozen=True)
class Preset:
    """A named pipeline and where its numbers come from."""

    name: str
    pipeline: Pipeline
    source: str


def _window_chain(name: str, center: float, width: float, source: str, clip_limit: float = 2.0) -> Preset:
    steps = [
        Step("window", center=center, width=width, dtype="uint8"),
        Step("median_filter", size=3),
        Step("gaussian_filter", sigma=0.6),
        Step("clahe", clip_limit=clip_limit, tile_grid=(8, 8)),
        Step("histogram", bins=256, value_range=(0, 256)),
        Step("summary"),
    ]
    return Preset(name, Pipeline(steps, name=name), source)


def _siim_cnn() -> Preset:
    steps = [
        Step("window", center=400, width=1200, function="linear_exact"),
        Step("histogram", bins=256, value_range=(0, 1)),
        Step("summary"),
    ]
    return Preset("siim-cnn", Pipeline(steps, name="siim-cnn"), _SIIM)


PRESETS: Final[dict[str, Preset]] = {
    p.name: p
    for p in (
        _window_chain("lung", -600, 1500, _RADIOPAEDIA),
        _window_chain("mediastinum", 50, 350, _RADIOPAEDIA),
        _window_chain("abdomen", 50, 400, _RADIOPAEDIA),
        _window_chain("liver", 30, 150, _RADIOPAEDIA),
        _window_chain("bone", 400, 1800, _RADIOPAEDIA),
        _window_chain("brain", 40, 80, _RADIOPAEDIA),
        _siim_cnn(),
    )
}


def preset(name: str) -> Pipeline:
    """The pipeline called ``name``.

    Raises:
        ArgumentError: an unknown name; lists the known ones.
    """
    if name not in PRESETS:
        raise ArgumentError(f"preset {name!r}: one of {', '.join(PRESETS)} is allowed")
    return PRESETS[name].pipeline
