"""The images that are timed: a 512 x 512 phantom slice in every dtype, and what a plain copy of them costs."""

from __future__ import annotations

import time
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ctfast.tools.synth import phantom


@lru_cache(maxsize=64)
def image(dtype: str, number: int = 1) -> NDArray:
    """HU as int16, float32, float64; the same moved to 0..4095 as uint16 (12 bits); a soft-tissue window as uint8."""
    hu = phantom(number).hu
    if dtype == "uint8":
        return np.clip(np.rint((hu + 160.0) * (255 / 400)), 0, 255).astype(np.uint8)
    if dtype == "uint16":
        return (np.clip(hu, -1024, 3071) + 1024).astype(np.uint16)
    return hu.astype(dtype)


def as_int16(x: NDArray) -> NDArray:
    """12-bit uint16 data as int16, for nothing: peers that take only int16 take uint16 this way."""
    return x.view(np.int16) if x.dtype == np.uint16 else x


@lru_cache(maxsize=64)
def bandwidth_seconds(moved_bytes: int) -> float:
    """Seconds that copying takes which reads and writes ``moved_bytes`` in all (best of many, caches warm)."""
    source = np.ones(max(moved_bytes // 2, 1), np.uint8)
    target = np.empty_like(source)
    times = []
    for _ in range(200):
        start = time.perf_counter()
        np.copyto(target, source)
        times.append(time.perf_counter() - start)
    return float(np.percentile(times, 10))
