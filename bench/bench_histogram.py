"""Histogram counts over a fixed range: OpenCV, fast-histogram, pygram11, NumPy, torch."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

import ctfast
from bench.images import image
from bench.peers import installed

CASES = [("uint8", "256"), *((d, b) for d in ("int16", "uint16", "float32") for b in ("256", "4096", "65536"))]


@pytest.mark.parametrize(("dtype", "bins"), CASES)
def bench_histogram(compare, dtype: str, bins: str) -> None:
    x, n = image(dtype), int(bins)
    low, high = {"uint8": (0, 256), "uint16": (0, 4096), "int16": (-1024, 3072), "float32": (-1024, 3072)}[dtype]
    if n == 65536 and dtype == "uint16":
        low, high = 0, 65536
    there, absent = installed(**{"fast-histogram": "fast_histogram", "pygram11": "pygram11", "torch": "torch"})
    flat = x.ravel()
    peers = {"numpy": lambda: np.histogram(x, n, (low, high))[0]}
    if dtype != "int16":
        peers["opencv"] = lambda: cv2.calcHist([x], [0], None, [n], [low, high]).ravel()
    if dtype == "uint8" or (dtype == "uint16" and n > 256):
        peers["numpy bincount"] = lambda: np.bincount(flat, minlength=n)[:n]
    if there["fast-histogram"]:
        import fast_histogram

        peers["fast-histogram"] = lambda: fast_histogram.histogram1d(flat, n, (low, high))
    if there["torch"] and dtype == "float32":
        import torch

        tensor = torch.from_numpy(x)
        peers["torch"] = lambda: torch.histc(tensor, n, low, high).numpy()
    expected = np.histogram(x, n, (low, high))[0]
    compare(
        f"histogram {n}",
        dtype,
        lambda: ctfast.histogram(x, n, value_range=(low, high)).counts,
        peers,
        oracle=lambda counts: np.testing.assert_array_equal(counts, expected),
        same=lambda a, b: bool(np.abs(np.asarray(a, np.int64) - b).sum() <= x.size // 100),
        moved_bytes=x.nbytes,
        absent=absent,
    )
