#!/usr/bin/env bash
# SimpleITK's median of a label moves when a voxel outside of the label changes.
# Exit 0: the behaviour is as described. Anything else: it changed, or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/python -m pip install -q --disable-pip-version-check SimpleITK==2.5.7 numpy==2.4.6
env/bin/python - <<'EOF'
import sys
import numpy as np
import SimpleITK as sitk

print("SimpleITK", sitk.__version__)
rng = np.random.default_rng(0)
hu = rng.normal(40, 10, (30, 30, 30)).round().astype(np.int16)
hu[:3] = -1000
label = np.zeros(hu.shape, np.uint8)
label[5:25, 5:25, 5:25] = 1
true = float(np.median(hu[label == 1]))

seen = {}
for metal in (None, 30000):
    if metal is not None:
        hu[29, 29, 29] = metal  # not in the label
    image, mask = sitk.GetImageFromArray(hu), sitk.GetImageFromArray(label)
    by_label = sitk.LabelStatisticsImageFilter()
    by_label.Execute(image, mask)
    by_shape = sitk.LabelIntensityStatisticsImageFilter()
    by_shape.Execute(mask, image)
    seen[metal] = by_label.GetMedian(1), by_shape.GetMedian(1)
    print(f"one voxel of metal elsewhere: {metal}\n  expected {true}\n  seen     LabelStatistics "
          f"{seen[metal][0]:.1f}, LabelIntensityStatistics {seen[metal][1]:.1f}")
sys.exit(not (max(abs(v - true) for v in seen[None]) < 3 and min(abs(v - true) for v in seen[30000]) > 8))
EOF
