#!/usr/bin/env bash
# SciPy squares gradients in the type of the image: strong edges of an int16 CT vanish.
# Exit 0: the behaviour is as described. Anything else: it changed, or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/python -m pip install -q --disable-pip-version-check scipy==1.17.1 numpy==2.4.6
env/bin/python - <<'EOF'
import sys
import numpy as np
import scipy
from scipy import ndimage

print("SciPy", scipy.__version__)
hu = np.full((40, 40), -1000, np.int16)
hu[:, 20:] = 1000  # air beside bone
expected = ndimage.gaussian_gradient_magnitude(hu.astype(np.float64), 1)[20, 15:25]
seen = ndimage.gaussian_gradient_magnitude(hu, 1)[20, 15:25]
print("across the edge, float64:", expected.round().astype(int).tolist())
print("across the edge, int16:  ", seen.tolist())
weak = (hu // 20).astype(np.int16)  # the same edge, 100 high: no overflow
kept = np.abs(ndimage.gaussian_gradient_magnitude(weak, 1) - ndimage.gaussian_gradient_magnitude(weak * 1.0, 1)).max()
print("an edge of 100 HU differs by", round(float(kept), 2), "at most")
sys.exit(not (seen.max() < 0.2 * expected.max() and kept < 3))
EOF
