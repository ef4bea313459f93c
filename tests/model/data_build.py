"""Small sets for the tests of data and evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ctfast.files import write_image
from ctfast.model.data.dataset import Dataset
from ctfast.model.data.preprocessing import Preprocessing
from ctfast.tools.phantom_dicom import write_phantom_dicom

SMALL = Preprocessing(image_size=(8, 8))


def pixels(seed: int, size: int = 16, low: int = -200, high: int = 1000) -> NDArray[np.int16]:
    return np.random.default_rng(seed).integers(low, high, (size, size)).astype(np.int16)


def tiff(path: Path, seed: int, size: int = 16) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, pixels(seed, size), units="hu")
    return path


def dicom(path: Path, seed: int, patient: str, *, contrast: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {"age": 60, "padding": None, "spacing": (1.0, 1.0), "instance": seed}
    write_phantom_dicom(path, pixels(seed), patient=patient, contrast=contrast, **facts)  # type: ignore[arg-type]
    return path


def made_of(labels: Sequence[int], groups: Sequence[int], *, images: NDArray | None = None) -> Dataset:
    """A set of different random slices with these labels and groups."""
    if images is None:
        images = np.stack([pixels(k) for k in range(len(labels))])
    classes = [f"class {k}" for k in range(max(labels) + 1)]
    return Dataset.from_arrays(images, labels, groups=groups, classes=classes, preprocessing=SMALL)
