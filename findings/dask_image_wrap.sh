#!/usr/bin/env bash
# dask-image's mode='wrap' wraps at the chunk, not at the image, in most filters.
# Exit 0: the behaviour is as described. Anything else: it changed, or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/python -m pip install -q --disable-pip-version-check dask-image==2026.5.0 scipy==1.17.1 numpy==2.4.6
env/bin/python - <<'EOF'
import sys
import dask
import dask.array as da
import dask_image
import numpy as np
from dask_image import ndfilters
from importlib.metadata import version
from scipy import ndimage

print("dask-image", version("dask-image"), "dask", dask.__version__)
# a sinogram of a full turn: views (rows) go round, so the first follows the last
views = np.cos(np.linspace(0, 2 * np.pi, 24, endpoint=False))[:, None] * np.ones((1, 6)) * 1000 + np.arange(24)[:, None] ** 2
whole, cut = da.from_array(views, chunks=(24, 6)), da.from_array(views, chunks=(8, 6))
as_described = True
for name, argument in (("uniform_filter", 3), ("median_filter", 3), ("minimum_filter", 3), ("gaussian_filter", 1)):
    expected = getattr(ndimage, name)(views, argument, mode="wrap")
    one = np.abs(np.asarray(getattr(ndfilters, name)(whole, argument, mode="wrap")) - expected)
    three = np.abs(np.asarray(getattr(ndfilters, name)(cut, argument, mode="wrap")) - expected)
    print(f"{name}: expected no difference from SciPy\n  seen     one chunk {one.max():.3g}, three chunks {three.max():.3g}"
          f" in rows {np.flatnonzero(three.max(1) > 1e-6).tolist()}")
    as_described &= one.max() < 1e-6 < 1 < three.max()
weights = np.ones((3, 3)) / 9
right = np.abs(np.asarray(ndfilters.convolve(cut, weights, mode="wrap")) - ndimage.convolve(views, weights, mode="wrap")).max()
print(f"convolve, the same mode and chunks: {right:.3g}")
sys.exit(not (as_described and right < 1e-6))
EOF
