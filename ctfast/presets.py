"""Ready pipelines by name. Window Center and Width come from the named sources; the rest is ctfast's choice:
median 3 against impulse noise, a light Gaussian, CLAHE with OpenCV's usual 8 x 8 tiles, a histogram of the result.

Every window comes twice: with CLAHE, which evens out local contrast, and ``-plain`` without it. CLAHE maps equal HU to
different grays in different places and amplifies the noise of narrow windows: where grays are compared, take the plain
one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from ctfast.errors import ArgumentError, one_of

if TYPE_CHECKING:
    from ctfast.pipeline import Pipeline

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
        steps: as in a pipeline's file.
        source: where its numbers come from.
        use: what it is good for.
        limits: what it is not good for.
    """

    name: str
    steps: tuple[dict[str, Any], ...]
    source: str
    use: str
    limits: str

    @cached_property
    def pipeline(self) -> Pipeline:
        """The steps, checked: made when it is asked for, so that a list of names needs no NumPy."""
        from ctfast.pipeline import Pipeline

        return Pipeline.from_dict({"name": self.name, "steps": list(self.steps)})

    @property
    def window(self) -> str:
        """Center and width in HU, such as ``"50, 350"``; empty where it stays in HU."""
        steps = [step for step in self.steps if step["operation"] == "window"]
        return f"{steps[0]['center']:g}, {steps[0]['width']:g}" if steps else ""

    @property
    def has_clahe(self) -> bool:
        """Whether it evens out local contrast."""
        return any(step["operation"] == "clahe" for step in self.steps)


def _step(operation: str, **params: Any) -> dict[str, Any]:
    return {"operation": operation, **params}


def _window_chain(name: str, center: float, width: float, use: str, *, clahe: bool) -> Preset:
    steps = (
        _step("window", center=center, width=width, dtype="uint8"),
        _step("median_filter", size=3),
        _step("gaussian_filter", sigma=0.6),
        *([_step("clahe", clip_limit=2.0, tile_grid=(8, 8))] if clahe else []),
        _step("histogram", bins=256, value_range=(0, 256)),
        _step("summary"),
    )
    name = name if clahe else f"{name}-plain"
    limits = _LIMITS[clahe]
    if clahe and width <= 200:
        limits += "; CLAHE shows the noise of so narrow a window as texture"
    return Preset(name, steps, _RADIOPAEDIA, use, limits)


def _denoise() -> Preset:
    steps = (
        _step("median_filter", size=3),
        _step("gaussian_filter", sigma=0.8),
        _step("histogram", bins=4096, value_range=(-1024, 3072)),
        _step("summary"),
    )
    use = "less noise, still in HU: for measuring, and before other programs"
    limits = "details of one or two pixels are weakened"
    return Preset("denoise", steps, "ctfast", use, limits)


def _siim_cnn() -> Preset:
    steps = (
        _step("window", center=400, width=1200, function="linear_exact"),
        _step("histogram", bins=256, value_range=(0, 1)),
        _step("summary"),
    )
    use, limits = "input of a network, float32 from 0 to 1", "float32: --format png can't hold it"
    return Preset("siim-cnn", steps, _SIIM, use, limits)


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
