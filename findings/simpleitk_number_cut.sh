#!/usr/bin/env bash
# SimpleITK cuts the number that an integer image is compared with to the image's own type.
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
hu = np.array([[-1000, -1, 0, 1, 100, 3000]], np.int16)
image = sitk.GetImageFromArray(hu)
stored = sitk.GetImageFromArray((hu + 1024).astype(np.uint16))

cases = [
    ("image > -0.5", image > -0.5, hu > -0.5),
    ("image < 40000", image < 40000, hu.astype(int) < 40000),
    ("BinaryThreshold(image, 0.5, 4000)", sitk.BinaryThreshold(image, 0.5, 4000), hu >= 0.5),
    ("unsigned image > -1", stored > -1, hu + 1024 > -1),
]
as_described = True
for text, seen, expected in cases:
    seen = sitk.GetArrayFromImage(seen).ravel()
    expected = expected.astype(np.uint8).ravel()
    print(f"{text}\n  expected {expected.tolist()}\n  seen     {seen.tolist()}")
    as_described &= seen.tolist() != expected.tolist()
half = sitk.GetArrayFromImage(image * 0.5).ravel()
print(f"image * 0.5\n  expected {(hu * 0.5).ravel().tolist()}\n  seen     {half.tolist()}")
as_described &= not half.any()
sys.exit(not as_described)
EOF
