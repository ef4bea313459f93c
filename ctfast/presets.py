"""Ready pipelines by name. Window Center and Width come from the named sources; the rest is ctfast's choice:
median 3 against impulse noise, a light Gaussian, CLAHE with OpenCV's usual 8 x 8 tiles, a histogram of the result.

Every window comes twice: with CLAHE, which evens out local contrast, and ``-plain`` without it. CLAHE maps equal HU to
different grays in different places and amplifies the noise of narrow windows: where grays are compared, take the plain
one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ctfast.errors import ArgumentError, one_of
from ctfast.pipeline import Pipeline, Step

_RADIOPAEDIA: Final = 'Radiopaedia, article "Windowing (CT)", https://radiopaedia.org/articles/windowing-ct'
_SIIM: Final = (
    "HU -200..1000, the range that separates contrast from non-contrast slices in the Kaggle CT Medical Images set"
)
_LIMITS: Final = {
    True: "grays are no HU any more, and equal HU differ from place to place: not for measuring",
    False: "grays outside of the window are lost: not for measuring",
}


@dataclass(frozen=True)
class Preset:
    """A named pipeline.

    Attributes:
        name: as ``--preset`` takes it.
        pipeline: its steps.
        source: where its numbers come from.
        use: what it is good for.
        limits: what it is not good for.
    """

    name: str
    pipeline: Pipeline
    source: str
    use: str
    limits: str

    @property
    def window(self) -> str:
        """Center and width in HU, such as ``"50, 350"``; empty where it stays in HU."""
        steps = [step.params for step in self.pipeline.steps if step.operation == "window"]
        return f"{steps[0]['center']:g}, {steps[0]['width']:g}" if steps else ""


def _window_chain(name: str, center: float, width: float, use: str, *, clahe: bool) -> Preset:
    steps = [
        Step("window", center=center, width=width, dtype="uint8"),
        Step("median_filter", size=3),
        Step("gaussian_filter", sigma=0.6),
        *([Step("clahe", clip_limit=2.0, tile_grid=(8, 8))] if clahe else []),
        Step("histogram", bins=256, value_range=(0, 256)),
        Step("summary"),
    ]
    name = name if clahe else f"{name}-plain"
    limits = _LIMITS[clahe]
    if clahe and width <= 200:
        limits += "; CLAHE shows the noise of so narrow a window as texture"
    return Preset(name, Pipeline(steps, name=name), _RADIOPAEDIA, use, limits)


def _denoise() -> Preset:
    steps = [
        Step("median_filter", size=3),
        Step("gaussian_filter", sigma=0.8),
        Step("histogram", bins=4096, value_range=(-1024, 3072)),
        Step("summary"),
    ]
    use = "less noise, still in HU: for measuring, and before other programs"
    limits = "details of one or two pixels are weakened"
    return Preset("denoise", Pipeline(steps, name="denoise"), "ctfast", use, limits)


def _siim_cnn() -> Preset:
    steps = [
        Step("window", center=400, width=1200, function="linear_exact"),
        Step("histogram", bins=256, value_range=(0, 1)),
        Step("summary"),
    ]
    use, limits = "input of a network, float32 from 0 to 1", "float32: --format png can't hold it"
    return Preset("siim-cnn", Pipeline(steps, name="siim-cnn"), _SIIM, use, limits)


_WINDOWS: Final = (
    ("lung", -600, 1500, "airways, vessels and nodules in lung"),
    ("mediastinum", 50, 350, "heart, great vessels and lymph nodes"),
    ("abdomen", 50, 400, "abdominal organs in one view"),
    ("liver", 30, 150, "small differences within the liver"),
    ("bone", 400, 1800, "cortical and spongy bone"),
    ("brain", 40, 80, "gray and white matter"),
)
"""Name, Window Center, Window Width, use."""

PRESETS: Final[dict[str, Preset]] = {
    p.name: p
    for p in (
        *(_window_chain(*window, clahe=True) for window in _WINDOWS),
        *(_window_chain(*window, clahe=False) for window in _WINDOWS),
        _denoise(),
        _siim_cnn(),
    )
}


def preset(name: str) -> Pipeline:
    """The pipeline called ``name``.

    Raises:
        ArgumentError: an unknown name; lists the known ones.
    """
    if name not in PRESETS:
        raise ArgumentError(f"preset {name!r}: {one_of(name, PRESETS)}")
    return PRESETS[name].pipeline
