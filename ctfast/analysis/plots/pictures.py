"""Pictures of a slice as 8-bit arrays: windows, tissue overlay, every step of a pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ctfast import ops
from ctfast.analysis.scan.tissues import palette
from ctfast.pipeline import Pipeline, Step
from ctfast.presets import PRESETS

_OVERLAY_SHARE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Picture:
    """8-bit grey ``(H, W)`` or RGB ``(H, W, 3)``, and what it shows."""

    key: str
    title: str
    pixels: NDArray[np.uint8]


def window_of(preset: str) -> tuple[float, float]:
    """Window Center and Width that a preset starts with."""
    params = PRESETS[preset].pipeline.steps[0].params
    return params["center"], params["width"]


def pictures(image: NDArray[Any], *, is_hu: bool, pipeline: Pipeline, windows: tuple[str, ...]) -> list[Picture]:
    """Every picture of one slice ``(H, W)``.

    HU: the named windows, the tissues, then the result of each step of ``pipeline``. Other values: the 1st to 99th
    percentile as grey, and the steps of the pipeline that do not need HU.
    """
    result = []
    if is_hu:
        for name in windows:
            center, width = window_of(name)
            gray = ops.window(image, center=center, width=width, dtype="uint8")
            result.append(Picture(f"window-{name}", f"{name} window ({center:g}/{width:g} HU)", gray))
        result.append(Picture("tissues", "tissues by HU", overlay(image)))
    else:
        result.append(Picture("range", "1st to 99th percentile", _gray(image)))
    start = image if is_hu else ops.normalize(image, percentiles=(1, 99), dtype="uint8")
    result.extend(step_pictures(start, pipeline, is_hu=is_hu))
    return result


def step_pictures(image: NDArray[Any], pipeline: Pipeline, *, is_hu: bool) -> list[Picture]:
    """The image after each step that changes it; steps that need HU are left out of other images."""
    result = []
    number = 0
    for step in pipeline.steps:
        if step.is_statistic or (step.spec.needs_hu and not is_hu):
            continue
        number += 1
        image = Pipeline([step])(image)
        shown = colored(image) if step.spec.units == "labels" else _gray(image)
        result.append(Picture(f"step-{number}", f"step {number}: {describe(step)}", shown))
    return result


def describe(step: Step) -> str:
    """A step in a few words: ``median_filter size 3``."""
    data = {k: v for k, v in step.to_dict().items() if k not in ("operation", "dtype")}
    parts = [f"{k} {'×'.join(map(_plain, v)) if isinstance(v, list) else _plain(v)}" for k, v in data.items()]
    return " ".join([step.operation, *parts])


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _gray(image: NDArray[Any]) -> NDArray[np.uint8]:
    if image.dtype == np.uint8:
        return image
    result: NDArray[np.uint8] = ops.normalize(image, percentiles=(1, 99), dtype="uint8")
    return result


def colored(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Labels in the colours of the tissue table."""
    return palette()[labels]


def overlay(hu: NDArray[Any]) -> NDArray[np.uint8]:
    """The tissue colours over the slice in a wide window."""
    gray = ops.window(hu, center=200, width=2000, dtype="uint8")
    colors = colored(ops.label_tissue(hu))
    mixed = colors * np.float32(_OVERLAY_SHARE) + gray[..., np.newaxis] * np.float32(1 - _OVERLAY_SHARE)
    return mixed.astype(np.uint8)
