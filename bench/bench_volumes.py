"""Filters along three axes on a CT-like volume: SciPy, SimpleITK and DIPlib with the same windows and taps."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage as ndi

import ctfast
from bench.images import image
from bench.peers import installed

SHAPE = (24, 96, 96)


def volume(dtype: str) -> np.ndarray:
    """Neighbouring parts of a phantom slice as planes: noise and edges in all directions."""
    x = image(dtype)
    return np.stack([x[100 + 2 * z : 100 + 2 * z + SHAPE[1], 100 : 100 + SHAPE[2]] for z in range(SHAPE[0])])


@pytest.mark.parametrize("dtype", ["int16", "float32"])
@pytest.mark.parametrize("size", ["3", "5", "7"])
def bench_median(compare, dtype: str, size: str) -> None:
    x, k = volume(dtype), int(size)
    out = np.empty_like(x)
    there, absent = installed(simpleitk="SimpleITK", diplib="diplib")
    peers = {"scipy": lambda: ndi.median_filter(x, k)}
    if there["simpleitk"]:
        import SimpleITK

        SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
        theirs = SimpleITK.GetImageFromArray(x)
        peers["simpleitk"] = lambda: SimpleITK.GetArrayViewFromImage(SimpleITK.Median(theirs, [k // 2] * 3))
    if there["diplib"]:
        import diplib

        diplib.SetNumberOfThreads(1)
        peers["diplib"] = lambda: np.asarray(diplib.MedianFilter(x, diplib.Kernel(k, "rectangular")))
    inner = (slice(k, -k),) * 3
    expected = ndi.median_filter(x, k)

    def oracle(result: np.ndarray) -> None:
        np.testing.assert_array_equal(result, expected)

    compare(
        f"Median {k} x {k} x {k} of a volume",
        f"1 thread, {dtype}",
        lambda: ctfast.median_filter(x, (k, k, k), out=out),
        peers,
        oracle=oracle,
        same=lambda a, b: np.array_equal(np.asarray(a)[inner], b[inner]),
        absent=absent,
        pixels=x.size,
    )


@pytest.mark.parametrize("sigma", ["1", "2"])
def bench_gaussian(compare, sigma: str) -> None:
    x, s = volume("float32"), float(sigma)
    out, theirs = np.empty_like(x), np.empty_like(x)
    there, absent = installed(diplib="diplib")
    peers = {"scipy": lambda: ndi.gaussian_filter(x, s, mode="mirror", output=theirs)}
    if there["diplib"]:
        import diplib

        diplib.SetNumberOfThreads(1)
        peers["diplib"] = lambda: np.asarray(diplib.GaussFIR(x, s, truncation=4))
    exact = ndi.gaussian_filter(x.astype(np.float64), s, mode="mirror")
    r = int(4 * s)
    inner = (slice(r, -r),) * 3

    def oracle(result: np.ndarray) -> None:
        assert np.abs(result - exact).max() <= 2e-3

    compare(
        f"Gaussian sigma {sigma} of a volume",
        "1 thread, float32",
        lambda: ctfast.gaussian_filter(x, (s, s, s), mode="mirror", out=out),
        peers,
        oracle=oracle,
        same=lambda a, b: np.abs(np.asarray(a)[inner] - b[inner]).max() <= 1.0,
        absent=absent,
        pixels=x.size,
    )
