"""Min-max, z-score and percentile range to float32: OpenCV chains, NumPy's partition, torch."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

import ctfast
from bench.images import as_int16, image
from bench.peers import installed

DTYPES = ["uint8", "int16", "uint16", "float32"]


def scaled(x: np.ndarray, low: float, high: float, out: np.ndarray) -> np.ndarray:
    """(x - low) / (high - low), clipped, by OpenCV."""
    a = as_int16(x)
    factor = 1.0 / (high - low)
    cv2.addWeighted(a, factor, a, 0, -low * factor, dst=out, dtype=cv2.CV_32F)
    return cv2.min(cv2.max(out, 0, dst=out), 1, dst=out)


def near(theirs: np.ndarray, ours: np.ndarray) -> bool:
    return bool(np.abs(theirs - ours).max() <= 2e-3)


@pytest.mark.parametrize("dtype", DTYPES)
def bench_min_max(compare, dtype: str) -> None:
    x = image(dtype)
    out, theirs = np.empty(x.shape, np.float32), np.empty(x.shape, np.float32)
    exact = (x - np.float64(x.min())) / np.ptp(x.astype(np.float64))
    compare(
        "min-max",
        dtype,
        lambda: ctfast.normalize(x, out=out),
        {"opencv": lambda: cv2.normalize(as_int16(x), theirs, 0, 1, cv2.NORM_MINMAX, cv2.CV_32F)},
        oracle=lambda result: np.testing.assert_allclose(result, exact, atol=1e-6),
        same=near,
        moved_bytes=2 * x.nbytes + out.nbytes,
    )


@pytest.mark.parametrize("dtype", DTYPES)
def bench_z_score(compare, dtype: str) -> None:
    x = image(dtype)
    out, theirs = np.empty(x.shape, np.float32), np.empty(x.shape, np.float32)
    there, absent = installed(torch="torch")

    def opencv() -> np.ndarray:
        a = as_int16(x)
        mean, sd = (float(v[0, 0]) for v in cv2.meanStdDev(a))
        return cv2.addWeighted(a, 1 / sd, a, 0, -mean / sd, dst=theirs, dtype=cv2.CV_32F)

    peers = {"opencv": opencv, "numpy": lambda: (x - x.mean()) / x.std()}
    if there["torch"]:
        import torch

        tensor = torch.from_numpy(as_int16(x))

        def by_torch() -> np.ndarray:
            v = tensor.to(torch.float32)
            sd, mean = torch.std_mean(v, correction=0)
            return v.sub(mean).div_(sd).numpy()

        peers["torch"] = by_torch
    exact = (x - x.mean(dtype=np.float64)) / x.std(dtype=np.float64)
    compare(
        "z-score",
        dtype,
        lambda: ctfast.standardize(x, out=out),
        peers,
        oracle=lambda result: np.testing.assert_allclose(result, exact, atol=2e-6),
        same=near,
        moved_bytes=2 * x.nbytes + out.nbytes,
        absent=absent,
    )


@pytest.mark.parametrize("dtype", DTYPES)
def bench_percentile_range(compare, dtype: str) -> None:
    x = image(dtype)
    out, theirs = np.empty(x.shape, np.float32), np.empty(x.shape, np.float32)
    ranks = (x.size // 100, x.size - x.size // 100)

    def partition() -> np.ndarray:
        ordered = np.partition(x.ravel(), ranks)
        return scaled(x, float(ordered[ranks[0]]), float(ordered[ranks[1]]), theirs)

    peers = {"numpy partition": partition, "numpy percentile": lambda: scaled(x, *np.percentile(x, (1, 99)), theirs)}
    if dtype in ("uint8", "uint16"):
        levels = 256 if dtype == "uint8" else 65536

        def by_histogram() -> np.ndarray:
            running = np.cumsum(cv2.calcHist([x], [0], None, [levels], [0, levels]))
            low, high = np.searchsorted(running, ranks)
            return scaled(x, float(low), float(high), theirs)

        peers["opencv histogram"] = by_histogram
    low, high = np.percentile(x, (1, 99))
    exact = np.clip((x - low) / (high - low), 0, 1)
    compare(
        "percentile range",
        dtype,
        lambda: ctfast.normalize(x, percentiles=(1, 99), out=out),
        peers,
        oracle=lambda result: np.testing.assert_allclose(result, exact, atol=1e-6),
        same=lambda a, b: bool(np.abs(a - b).max() <= 0.02),
        moved_bytes=2 * x.nbytes + out.nbytes,
    )
