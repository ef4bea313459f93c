"""A set that a tiny network learns in seconds, for the tests of training."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ctfast.model.config import ModelConfig, TrainConfig
from ctfast.model.data.dataset import Dataset
from ctfast.model.data.preprocessing import Preprocessing

ROOT = Path(__file__).resolve().parents[2]
SIZE = (16, 16)
TINY = ModelConfig(image_size=SIZE, widths=(4,), dense=8)
QUICK = TrainConfig(epochs=4, batch_size=8, learning_rate=3e-3, path="xla", checkpoint_seconds=0)


def easy_set(count: int = 27, seed: int = 0) -> Dataset:
    """Slices of two classes; one has a bright right half."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    images = rng.normal(200, 100, (count, *SIZE)) + labels[:, None, None] * 400 * (np.arange(SIZE[1]) >= SIZE[1] // 2)
    preprocessing = Preprocessing(image_size=SIZE)
    return Dataset.from_arrays(images.astype(np.int16), labels, preprocessing=preprocessing, classes=["dark", "bright"])


def quick(**changes: Any) -> TrainConfig:
    return replace(QUICK, **changes)


def numbers(history: Any) -> list[dict[str, float]]:
    """A history without what the clock says."""
    return [{k: v for k, v in row.items() if k not in ("seconds", "images_per_second")} for row in history]


def python(code: str, *arguments: str, cache: str, **environment: str) -> subprocess.Popen[str]:
    """A Python process that finds ctfast and the tests, warnings being errors."""
    path = os.pathsep.join(map(str, (ROOT / "kernels", ROOT)))
    env = {**os.environ, "PYTHONPATH": path, "XDG_CACHE_HOME": cache, "JAX_PLATFORMS": "cpu", **environment}
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
