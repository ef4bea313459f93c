#!/usr/bin/env bash
# SimpleITK 2.5.5 mirrors NRRD volumes whose space is left-anterior-superior; 2.5.6 reads them right.
# Exit 0: the behaviour is as described. Anything else: it changed, or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for version in 2.5.5 2.5.6; do
    python3 -m venv "$version"
    "$version"/bin/python -m pip install -q --disable-pip-version-check SimpleITK==$version
    "$version"/bin/python - <<'EOF'
import sys
from pathlib import Path

import SimpleITK as sitk

header = (
    "NRRD0004\ntype: int16\ndimension: 3\nsizes: 4 3 2\nendian: little\nencoding: raw\nspace: {}\n"
    "space directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (10,20,30)\n\n"
)
seen = {}
for space in ("left-posterior-superior", "right-anterior-superior", "left-anterior-superior"):
    Path("x.nrrd").write_bytes(header.format(space).encode() + bytes(4 * 3 * 2 * 2))
    seen[space] = sitk.ReadImage("x.nrrd").GetOrigin()
# SimpleITK's own axes run to the left, to the back and up.
expected = dict(zip(seen, [(10.0, 20.0, 30.0), (-10.0, -20.0, 30.0), (10.0, -20.0, 30.0)]))
print("SimpleITK", sitk.__version__)
for space, place in seen.items():
    print(f"first voxel of a volume in {space}\n  expected {expected[space]}\n  seen     {place}")
wrong = [space for space in seen if seen[space] != expected[space]]
fixed = sitk.__version__ >= "2.5.6"
sys.exit(wrong != ([] if fixed else ["left-anterior-superior"]) or (not fixed and seen[wrong[0]] != (-10.0, 20.0, 30.0)))
EOF
done
