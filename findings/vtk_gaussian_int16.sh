#!/usr/bin/env bash
# Gaussian smoothing of VTK 9.7.2 darkens int16 images: each axis cuts fractions off.
# Exit 0: the behaviour is as described. Anything else: it changed, or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check vtk==9.7.2 numpy==2.3.5
venv/bin/python - <<'EOF'
import sys

import numpy as np
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy


def smoothed(image):
    data = vtk.vtkImageData()
    data.SetDimensions(image.shape[1], image.shape[0], 1)
    data.GetPointData().SetScalars(numpy_to_vtk(image.ravel(), deep=True))
    filtered = vtk.vtkImageGaussianSmooth()
    filtered.SetDimensionality(2)
    filtered.SetStandardDeviations(2, 2)
    filtered.SetInputData(data)
    filtered.Update()
    return vtk_to_numpy(filtered.GetOutput().GetPointData().GetScalars()).reshape(image.shape)


print("VTK", vtk.VTK_VERSION)
liver = smoothed(np.full((20, 20), 40, np.int16))
noisy = np.random.default_rng(0).normal(40, 20, (200, 200)).round().astype(np.int16)
loss = noisy.mean() - smoothed(noisy).mean()
as_float = noisy.mean() - smoothed(noisy.astype(np.float32)).mean()
lung = smoothed(np.random.default_rng(0).normal(-800, 20, (200, 200)).round().astype(np.int16)).mean()
print(f"an image of 40 HU\n  expected [40]\n  seen     {np.unique(liver).tolist()}")
print(f"mean of noise around 40 HU\n  expected a loss of 0\n  seen     {loss:.2f} (float32: {as_float:.2f})")
print(f"mean of noise around -800 HU\n  expected -800\n  seen     {lung:.2f}, the other way")
sys.exit(np.unique(liver).tolist() != [38, 39, 40] or not 0.9 < loss < 1.1 or abs(as_float) > 0.1 or not -799.2 < lung < -798.8)
EOF
