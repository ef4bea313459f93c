"""From HU to what the network sees: a ``Pipeline`` to 16-bit values, then an area-averaged resize.

It is stored inside every run, so that ``predict`` cannot differ from ``train``. The window comes first and the resize
second: averaging first would mix the HU of bone or padding into pixels that the window would have clipped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ctfast.dispatch.arrays import has_channel, kind_of, known_axes, to_host
from ctfast.errors import ArgumentError, FileFormatError, ShapeError
from ctfast.files import Image, Limits
from ctfast.files.asked import check_modality
from ctfast.files.reading import read_as
from ctfast.files.units import check_display
from ctfast.files.values import AS_FILES_SAY, Values
from ctfast.model.data._area import area_resize
from ctfast.pipeline import Pipeline, Step

HIGHEST: Final = 65535
"""The network's input is ``images / HIGHEST``: 0 to 1."""
_LARGEST_SIDE: Final = 1 << 14


DEFAULT_WINDOW: Final = (-200.0, 1000.0)
"""HU: the range that separates contrast from non-contrast slices in the Kaggle set."""


def window_pipeline(low: float, high: float, least_width: float = 0.0) -> Pipeline:
    """Values ``low`` to ``high`` to 0..65535.

    ``linear_exact`` is DICOM's name (PS3.3 C.11.2.1.3.2) for a window that ends at ``center +- width / 2``.

    Args:
        low: Becomes 0, like everything below.
        high: Becomes 65535.
        least_width: A narrower window is widened to this, about its centre.

    Raises:
        ArgumentError: Unless ``low`` < ``high``, or ``low`` = ``high`` with a ``least_width``.
    """
    width = max(high - low, least_width)
    if not low <= high or not width > 0:
        raise ArgumentError(f"window {low!r} to {high!r}: the first must be below the second")
    return Pipeline([Step("window", center=(low + high) / 2, width=width, function="linear_exact", dtype="uint16")])


@dataclass(frozen=True)
class Preprocessing:
    """How a slice becomes the network's input.

    Attributes:
        pipeline: Steps on the slice at its own size; the last step that maps values must give uint16 or uint8.
        image_size: Rows and columns of the result; the whole slice is resized, its aspect ratio is not kept.
        channels: 1 for gray; 3 for RGB arrays, whose channels go through the same steps one by one.
    """

    pipeline: Pipeline = field(default_factory=lambda: window_pipeline(*DEFAULT_WINDOW))
    image_size: tuple[int, int] = (256, 256)
    channels: int = 1

    def __post_init__(self) -> None:
        """Check.

        Raises:
            ArgumentError: For sizes, channels or a pipeline that cannot work, with what is allowed.
        """
        size = tuple(self.image_size) if isinstance(self.image_size, tuple | list) else ()
        if len(size) != 2 or not all(type(n) is int and 1 <= n <= _LARGEST_SIDE for n in size):
            raise ArgumentError(f"image_size={self.image_size!r}: rows and columns, 1 to {_LARGEST_SIDE}, are allowed")
        object.__setattr__(self, "image_size", size)
        if self.channels not in (1, 3):
            raise ArgumentError(f"channels={self.channels!r}: 1 (gray) or 3 (RGB) is allowed")
        labels = [step.operation for step in self.pipeline.steps if step.spec.units == "labels"]
        if labels:
            raise ArgumentError(f"the pipeline has {labels[0]}: labels have no mean, so they can't be resized")
        if (volumes := next((s for s in self.pipeline.steps if s.axes == 3), None)) is not None:
            raise ArgumentError(f"the pipeline has {volumes}: the network sees slices: give two numbers, axes=2")
        mapping = next((s for s in reversed(self.pipeline.steps) if s.spec.chooses_dtype), None)
        if mapping is None or mapping.dtype not in ("uint8", "uint16"):
            raise ArgumentError(
                f"the pipeline ends in {mapping or 'values of any range'}: its last window or normalize step needs "
                "dtype='uint16' (or 'uint8'), so that the network's input is 0 to 1"
            )

    @classmethod
    def of_window(
        cls,
        low: float,
        high: float,
        *,
        image_size: tuple[int, int] = (256, 256),
        channels: int = 1,
        least_width: float = 0.0,
    ) -> Preprocessing:
        """With the HU window ``low`` to ``high``; see ``window_pipeline``.

        Narrower than the default (-200 to 1000), a window shows smaller differences.
        """
        return cls(window_pipeline(low, high, least_width), image_size, channels)

    def __call__(self, slices: ArrayLike) -> NDArray[np.uint16]:
        """Slices ``(H, W)`` or ``(..., H, W)`` as ``(..., *image_size)`` uint16.

        Gray slices may have their channel last, ``(..., H, W, 1)``; the result is without it. With ``channels=3``
        also RGB ``(..., H, W, 3)``; the result is ``(..., *image_size, 3)``, gray is repeated.

        Raises:
            ArgumentError, DTypeError, ShapeError: For what is no image; see ``Pipeline``.
        """
        pixels = to_host(slices, kind_of(slices))
        if has_channel(pixels.shape):
            pixels = pixels[..., 0]
        if self.channels == 3 and pixels.ndim >= 3 and pixels.shape[-1] == 3:
            return np.stack([self._gray(np.ascontiguousarray(pixels[..., c])) for c in range(3)], axis=-1)
        return self._of_gray(pixels)

    def _of_gray(self, pixels: NDArray[Any], padding: tuple[float, float] | None = None) -> NDArray[np.uint16]:
        made = self._gray(pixels, padding)
        return made if self.channels == 1 else np.repeat(made[..., np.newaxis], 3, axis=-1)

    def _gray(self, pixels: NDArray[Any], padding: tuple[float, float] | None = None) -> NDArray[np.uint16]:
        mapped = self.pipeline.run(pixels, padding=padding).image
        if mapped.dtype == np.uint8:
            mapped = mapped.astype(np.uint16) * np.uint16(257)  # 255 becomes 65535
        return area_resize(mapped, self.image_size)

    def read(
        self, path: str | Path, *, values: Values = AS_FILES_SAY, limits: Limits | None = None, modality: str = "any"
    ) -> tuple[NDArray[np.uint16], Image]:
        """A file as ``(frames, *image_size)`` uint16 (with ``channels=3`` also a last axis), and what the reader said.

        The one way from a file to the network's input, for training and prediction alike.

        Raises:
            OSError, FileFormatError: If the file cannot be read; names it.
            LeftOutError: For another ``modality`` than ``check_modality`` takes.
        """
        image = read_as(path, values, limits or Limits())
        check_modality(image.meta.get("modality"), modality)
        check_display(image, self.pipeline.expects_hu)
        try:
            with known_axes():
                made = self._of_gray(image.pixels, image.padding_range)
        except ShapeError as error:
            raise FileFormatError(f"{path}: {error}", "give grey images") from error
        return (made if image.pixels.ndim == 3 else made[np.newaxis]), image

    def trusts(self, image: Image) -> bool:
        """Whether the steps make sense for these values: HU where the pipeline names HU."""
        return image.units == "hu" or not self.pipeline.expects_hu

    @property
    def summary(self) -> str:
        """In a few words: ``"window -200 to 1000, 256 x 256 pixels"``."""
        return ", ".join([*map(_briefly, self.pipeline.steps), f"{self.image_size[0]} x {self.image_size[1]} pixels"])

    @property
    def hash(self) -> str:
        """16 hex digits, the same for the same computation."""
        data = {**self.to_dict(), "pipeline": self.pipeline.hash}
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return {
            "pipeline": self.pipeline.to_dict(),
            "image_size": list(self.image_size),
            "channels": self.channels,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Preprocessing:
        """From what ``to_dict`` gave.

        Raises:
            ArgumentError: For missing or unknown keys.
        """
        if set(data) != {"pipeline", "image_size", "channels"}:
            raise ArgumentError(
                f"a preprocessing holds pipeline, image_size and channels; found {', '.join(sorted(data)) or 'nothing'}"
            )
        return cls(Pipeline.from_dict(data["pipeline"]), tuple(data["image_size"]), data["channels"])


def _briefly(step: Step) -> str:
    if step.operation != "window":
        return step.operation
    low, high = (step.params["center"] + half * step.params["width"] for half in (-0.5, 0.5))
    return f"window {low:g} to {high:g}"
