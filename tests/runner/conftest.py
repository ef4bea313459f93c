from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ctfast import Pipeline, Step
from ctfast.files import write_image

WINDOWED = Pipeline([Step("window", center=0, width=400, dtype="uint8"), Step("histogram", value_range=(0, 256))])


@pytest.fixture
def pipeline() -> Pipeline:
    return WINDOWED


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """A folder of small HU slices."""

    def make(count: int, name: str = "in", suffix: str = ".tif", size: int = 24) -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        rng = np.random.default_rng(count)
        for i in range(count):
            pixels = rng.integers(-1024, 1500, (size, size + 3)).astype(np.int16)
            write_image(folder / f"slice_{i:03d}{suffix}", pixels, units="hu" if suffix == ".tif" else "unknown")
        return folder

    return make
