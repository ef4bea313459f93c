#!/usr/bin/env bash
# Numba's sum and mean of float32 add in float32, one by one: a mask's volume ends at 16,777,216 voxels.
# Exit 0: the behaviour is as described. Anything else: it changed, or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/python -m pip install -q --disable-pip-version-check numba==0.68.1 numpy==2.4.6
env/bin/python - <<'EOF'
import sys
import numba
import numpy as np

print("Numba", numba.__version__, "NumPy", np.__version__)
count = numba.njit(lambda a: np.sum(a))
mean = numba.njit(lambda a: np.mean(a))

mask = np.ones((72, 512, 512), np.float32)
seen, filled = float(count(mask)), float(mean(mask))
print(f"voxels of a full mask\n  expected {mask.size} (NumPy {float(mask.sum()):.0f})\n  seen     {seen:.0f}, mean {filled:.3f}")
water = np.full((16, 512, 512), 1024, np.float32)
water[::2] += 10  # 16 slices of 1024 and 1034
level = float(mean(water))
print(f"mean of 16 slices\n  expected 1029 (NumPy {float(water.mean()):.2f})\n  seen     {level:.2f}")
sys.exit(not (seen == 2**24 and filled < 0.9 and mask.sum() == mask.size and abs(level - 1029) > 1))
EOF
