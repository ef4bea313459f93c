"""Gaussian with the same taps (radius 4 sigma) and mirrored borders: OpenCV in two ways, SciPy, scikit-image, torch."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import scipy.ndimage as ndi

import ctfast
from bench.images import as_int16, image
from bench.peers import installed, interior_equal


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32", "float64"])
@pytest.mark.parametrize("sigma", ["1", "2", "5"])
def bench_gaussian(compare, dtype: str, sigma: str) -> None:
    x, s = image(dtype), float(sigma)
    out, theirs = np.empty_like(x), np.empty_like(x)
    floats = np.empty(x.shape, np.float64 if dtype == "float64" else np.float32)  # SciPy cuts integers after each pass
    taps = int(8 * s + 1)
    weights = cv2.getGaussianKernel(taps, s, cv2.CV_64F if dtype == "float64" else cv2.CV_32F)
    a, b = as_int16(x), as_int16(theirs)
    there, absent = installed(torch="torch", skimage="skimage")
    peers = {
        "opencv": lambda: cv2.GaussianBlur(a, (taps, taps), s, dst=b, borderType=cv2.BORDER_REFLECT_101),
        "opencv sepFilter2D": lambda: cv2.sepFilter2D(a, -1, weights, weights, dst=b),
        "scipy": lambda: ndi.gaussian_filter(x, s, mode="mirror", output=floats),
    }
    if there["skimage"]:
        from skimage.filters import gaussian

        peers["skimage"] = lambda: gaussian(x, s, mode="mirror", preserve_range=True)
    if there["torch"] and dtype == "float32":
        import torch

        column = torch.from_numpy(weights.reshape(1, 1, -1, 1))
        tensor = torch.from_numpy(x)[None, None]

        def convolve() -> np.ndarray:
            wide = torch.nn.functional.pad(tensor, (taps // 2,) * 4, mode="reflect")
            down = torch.nn.functional.conv2d(wide, column)
            return torch.nn.functional.conv2d(down, column.transpose(2, 3))[0, 0].numpy()

        peers["torch"] = convolve
    exact = ndi.gaussian_filter(x.astype(np.float64), s, mode="mirror")

    def oracle(result: np.ndarray) -> None:
        assert np.abs(result - exact).max() <= (0.5 + 1e-3 if x.dtype.kind in "iu" else 2e-3)

    compare(
        f"Gaussian sigma {sigma}",
        dtype,
        lambda: ctfast.gaussian_filter(x, s, mode="mirror", out=out),
        peers,
        oracle=oracle,
        same=interior_equal(taps // 2, 1.0),
        moved_bytes=2 * x.nbytes,
        absent=absent,
    )
