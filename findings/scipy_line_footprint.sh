#!/usr/bin/env bash
# SciPy's rank filters of a line don't see holes of the footprint: the pixel that was left out counts.
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
means = np.array([40, 42, 41, 900, 43, 45, 41, 39, 42, 40], np.int16)  # HU, a slice each; one with metal
others = np.array([1, 1, 0, 1, 1], bool)  # the slices beside it, without itself
wrong = False
for name, rank in (("percentile_filter", 50), ("rank_filter", 1)):
    function = getattr(ndimage, name)
    line = function(means, rank, footprint=others)
    row = function(means[np.newaxis], rank, footprint=others[np.newaxis])[0]
    nth = 2 if name == "percentile_filter" else 1
    by_hand = ndimage.generic_filter(means, lambda pixels: np.sort(pixels)[nth], footprint=others)
    print(name)
    print("  sorted by hand:     ", by_hand.tolist())
    print("  as a row of an image:", row.tolist())
    print("  as a line:           ", line.tolist())
    if not (row == by_hand).all():
        sys.exit(1)
    wrong = wrong or (line != by_hand).sum() >= 3
sys.exit(not wrong)
EOF
