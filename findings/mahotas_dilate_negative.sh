#!/usr/bin/env bash
# mahotas' grey dilation gives 32767 wherever a negative HU value is near.
# Exit 0: the behaviour is as described. Anything else: it changed, or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/python -m pip install -q --disable-pip-version-check mahotas==1.4.19 numpy==2.4.6
env/bin/python - <<'EOF'
import sys
import mahotas
import numpy as np

print("mahotas", mahotas.__version__)
flat = np.zeros((3, 3), np.int16)  # grey dilation with zero height: the largest neighbour
row = np.array([5, -7, 9, 100, 3, 4, 6, 8], np.int16)
shifted = row + 1024
seen = {}
for name, values in (("HU", row), ("HU + 1024", shifted)):
    image = np.tile(values, (5, 1))
    seen[name] = mahotas.dilate(image, flat)[2]
    largest = [int(values[max(i - 1, 0):i + 2].max()) for i in range(values.size)]
    print(f"{name}: {values.tolist()}\n  expected {largest}\n  seen     {seen[name].tolist()}")
    if name == "HU + 1024":
        right = seen[name].tolist() == largest
sys.exit(not (right and (seen["HU"] == 32767).sum() >= 3 and seen["HU"][-1] == 8))
EOF
