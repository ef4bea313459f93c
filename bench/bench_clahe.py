"""CLAHE, 8 x 8 tiles, clip limit 2: OpenCV (bit-equal on integers), scikit-image (same effect) on floats."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

import ctfast
from bench.images import image
from bench.peers import installed
from ctkernels.testing import assert_exact


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32"])
def bench_clahe(compare, dtype: str) -> None:
    x = image(dtype)
    out, theirs = np.empty_like(x), np.empty_like(x)
    there, absent = installed(skimage="skimage", kornia="kornia")
    opencv = cv2.createCLAHE(2.0, (8, 8))
    if dtype in ("uint8", "uint16"):
        nbins = 256 if dtype == "uint8" else 65536
        compare(
            "CLAHE 8x8",
            dtype,
            lambda: ctfast.clahe(x, clip_limit=2.0, nbins=nbins, out=out),
            {"opencv": lambda: opencv.apply(x, theirs)},
            oracle=lambda result: assert_exact(result, opencv.apply(x)),
            same=lambda a, b: bool((a == b).all()),
            moved_bytes=2 * x.nbytes,
        )
        return
    # No peer takes HU: OpenCV needs the data moved to uint16 (not timed) and uses 65,536 bins; scikit-image needs 0..1.
    moved = image("uint16")
    unit = moved / np.float32(4095)
    moved_out = np.empty_like(moved)
    peers = {"opencv, as uint16": lambda: opencv.apply(moved, moved_out) is None}
    if there["skimage"]:
        from skimage.exposure import equalize_adapthist

        peers["skimage"] = lambda: equalize_adapthist(unit, kernel_size=64, clip_limit=2 / 256) is None
    reference = ctfast.clahe(x, clip_limit=2.0, value_range=(-1024, 3071), backend="reference")
    compare(
        "CLAHE 8x8",
        dtype,
        lambda: ctfast.clahe(x, clip_limit=2.0, value_range=(-1024, 3071), out=out),
        peers,
        oracle=lambda result: assert_exact(result, reference),
        moved_bytes=2 * x.nbytes,
        absent=absent,
    )
