"""Median: IPP, OpenCV, DIPlib, scikit-image's rank filters, SciPy, SimpleITK."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import scipy.ndimage as ndi

import ctfast
from bench import ipp_peer
from bench.images import as_int16, image
from bench.peers import installed, interior_equal
from ctkernels.testing import assert_exact

pytestmark = pytest.mark.filterwarnings("ignore:Bad rank filter performance")  # 12-bit data is what CT is

SLOW_FROM = 11  # SciPy and SimpleITK take seconds from here on and win nowhere


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32", "float64"])
@pytest.mark.parametrize("size", ["3", "5", "7", "11", "21", "51"])
def bench_median(compare, dtype: str, size: str) -> None:
    x, k = image(dtype), int(size)
    out, theirs = np.empty_like(x), np.empty_like(x)
    there, absent = installed(diplib="diplib", skimage="skimage", SimpleITK="SimpleITK")
    peers = {}
    intel = ipp_peer.median(as_int16(x), as_int16(theirs), k)
    if intel is not None:
        peers["ipp"] = intel
    elif ipp_peer.loaded() is None:
        absent = ("ipp", *absent)
    if k <= 5 and dtype != "float64":
        a, b = as_int16(x), as_int16(theirs)
        peers["opencv"] = lambda: cv2.medianBlur(a, k, dst=b)
    elif dtype == "uint8":
        peers["opencv"] = lambda: cv2.medianBlur(x, k, dst=theirs)
    if there["skimage"] and dtype in ("uint8", "uint16"):
        from skimage.filters import rank

        footprint = np.ones((k, k), np.uint8)
        peers["skimage"] = lambda: rank.median(x, footprint, out=theirs)
    if there["diplib"] and k >= 7:
        import diplib

        peers["diplib"] = lambda: np.asarray(diplib.MedianFilter(x, diplib.Kernel((k, k), "rectangular")))
    if k < SLOW_FROM or (dtype == "float64" and k <= 21):
        peers["scipy"] = lambda: ndi.median_filter(x, k, mode="nearest", output=theirs)
    if there["SimpleITK"] and k < SLOW_FROM:
        import SimpleITK

        itk = SimpleITK.GetImageFromArray(x)
        peers["SimpleITK"] = lambda: SimpleITK.GetArrayFromImage(SimpleITK.Median(itk, [k // 2, k // 2]))
    expected = ndi.median_filter(x[:96, :96], k, mode="nearest")

    def oracle(result: np.ndarray) -> None:
        keep = 96 - k // 2
        assert_exact(result[:keep, :keep], expected[:keep, :keep])

    compare(
        f"median {size}",
        dtype,
        lambda: ctfast.median_filter(x, k, mode="nearest", out=out),
        peers,
        oracle=oracle,
        same=interior_equal(k // 2),
        moved_bytes=2 * x.nbytes,
        absent=absent,
    )


def disk(radius: int) -> np.ndarray:
    """A round window."""
    place = np.indices((2 * radius + 1,) * 2) - radius
    return ((place**2).sum(axis=0) <= radius**2).astype(np.uint8)


FOOTPRINTS = {
    "cross 3": disk(1),
    "disk 5": disk(2),
    "disk 7": disk(3),
    "disk 15": disk(7),
    "scattered 15": (np.random.default_rng(0).random((15, 15)) < 0.5).astype(np.uint8),
    "even 4": np.ones((4, 4), np.uint8),
}


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32", "float64"])
@pytest.mark.parametrize("window", FOOTPRINTS)
def bench_footprint(compare, dtype: str, window: str) -> None:
    x, footprint = image(dtype), FOOTPRINTS[window]
    out, theirs = np.empty_like(x), np.empty_like(x)
    there, absent = installed(skimage="skimage")
    peers = {"scipy": lambda: ndi.median_filter(x, footprint=footprint, mode="nearest", output=theirs)}
    if there["skimage"] and dtype in ("uint8", "uint16") and all(n % 2 for n in footprint.shape):
        from skimage.filters import rank

        peers["skimage"] = lambda: rank.median(x, footprint, out=theirs)
    expected = ndi.median_filter(x[:96, :96], footprint=footprint, mode="nearest")

    def oracle(result: np.ndarray) -> None:
        assert_exact(result[:80, :80], expected[:80, :80])

    compare(
        f"median {window}",
        dtype,
        lambda: ctfast.median_filter(x, footprint=footprint, mode="nearest", out=out),
        peers,
        oracle=oracle,
        same=interior_equal(8),
        moved_bytes=2 * x.nbytes,
        absent=absent,
    )
