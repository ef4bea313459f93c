#!/usr/bin/env bash
# Smoothing of MONAI 1.6.1 surrounds images by 0: in HU that is water, and air at the border becomes tissue.
# Exit 0: the behaviour is as described. Anything else: it changed, or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check monai==1.6.1 torch==2.13.0 numpy==2.3.5 scipy==1.17.1
venv/bin/python - <<'EOF'
import sys

import monai
import numpy as np
import torch
from monai.transforms import GaussianSharpen, GaussianSmooth, MedianSmooth, SavitzkyGolaySmooth
from scipy.ndimage import gaussian_filter

air = np.full((64, 64), -1000, np.float32)
image = torch.from_numpy(air)[None]
seen = {
    "GaussianSmooth(1)": GaussianSmooth(1.0)(image),
    "GaussianSharpen()": GaussianSharpen()(image),
    "SavitzkyGolaySmooth(5, 2)": SavitzkyGolaySmooth(5, 2)(image),
    "MedianSmooth(1)": MedianSmooth(1)(image),
}
corners = {name: round(float(result[0, 0, 0])) for name, result in seen.items()}
middles = {name: round(float(result[0, 32, 32])) for name, result in seen.items()}
assert gaussian_filter(air, 1.0).max() == gaussian_filter(air, 1.0).min() == -1000
print("MONAI", monai.__version__)
for name, corner in corners.items():
    print(f"{name} of an image of -1000 HU, its corner\n  expected -1000, as in its middle ({middles[name]})\n  seen     {corner}")
expected = {"GaussianSmooth(1)": -478, "GaussianSharpen()": -4188, "SavitzkyGolaySmooth(5, 2)": -743}
sys.exit(corners != expected | {"MedianSmooth(1)": -1000} or set(middles.values()) != {-1000})
EOF
