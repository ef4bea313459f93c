"""A reference's histogram for every image: scikit-image, which counts the reference anew for every image."""

from __future__ import annotations

import numpy as np
import pytest

import ctfast
from bench.images import image
from bench.peers import installed


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32", "float32 with fractions"])
def bench_match_histogram(compare, dtype: str) -> None:
    kind, _, fractions = dtype.partition(" ")
    x = image(kind)
    if fractions:
        x = x + np.random.default_rng(0).random(x.shape, np.float32)
    reference = np.roll(x, 50, axis=0) // 2
    kept = ctfast.ReferenceHistogram.of(reference)
    out = np.empty(x.shape, np.float32)
    there, absent = installed(skimage="skimage")
    peers = {}
    if there["skimage"]:
        from skimage.exposure import match_histograms

        peers["skimage"] = lambda: match_histograms(x, reference)
    compare(
        "match_histogram",
        dtype,
        lambda: ctfast.match_histogram(x, kept, out=out),
        peers,
        oracle=lambda result: np.testing.assert_allclose(
            result, ctfast.match_histogram(x, kept, backend="reference"), atol=1e-3
        ),
        same=lambda theirs, ours: bool(np.abs(theirs - ours).max() <= 1e-3),
        moved_bytes=2 * x.nbytes + out.nbytes,
        absent=absent,
    )
