#!/usr/bin/env bash
# Numba's histogram of a constant image is empty.
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
histogram = numba.njit(lambda a, bins: np.histogram(a, bins))
air = np.full((64, 64), -1000.0)
counts, edges = histogram(air, 8)
expected, expected_edges = np.histogram(air, 8)
print("expected", expected.tolist(), "of", air.size, "pixels, edges", expected_edges[[0, -1]].tolist())
print("seen    ", counts.tolist(), "edges", edges[[0, -1]].tolist())
varied = air.copy()
varied[0, 0] = 0
print("with one other pixel:", histogram(varied, 8)[0].tolist())
sys.exit(not (counts.sum() == 0 and histogram(varied, 8)[0].sum() == air.size and expected.sum() == air.size))
EOF
