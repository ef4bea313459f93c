#!/usr/bin/env bash
# Compressed MetaImage: where SimpleITK can't inflate the pixels it raises nothing and gives others.
# Exit 0: the behaviour is as described. Anything else: it changed, or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/python -m pip install -q --disable-pip-version-check SimpleITK==2.5.7 numpy==2.4.6
env/bin/python - <<'EOF'
import sys
from pathlib import Path
import numpy as np
import SimpleITK as sitk

print("SimpleITK", sitk.__version__)
volume = np.random.default_rng(0).integers(-1000, 1000, (4, 64, 64)).astype(np.int16)
sitk.WriteImage(sitk.GetImageFromArray(volume), "whole.mha", useCompression=True)
whole = Path("whole.mha").read_bytes()
header, _, data = whole.partition(b"LOCAL\n")
without = b"".join(line for line in header.splitlines(True) if not line.startswith(b"CompressedDataSize"))
Path("nosize.mha").write_bytes(without + b"LOCAL\n" + data)
Path("nosize.zraw").write_bytes(data)
Path("nosize.mhd").write_bytes(without + b"nosize.zraw\n")
middle = len(whole) - len(data) // 2
Path("flipped.mha").write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])

as_described = True
for name, text, right in (
    ("whole.mha", "as SimpleITK wrote it", True),
    ("nosize.mhd", "without CompressedDataSize, in two files", True),
    ("nosize.mha", "the same in one file", False),
    ("flipped.mha", "one bit of its compressed pixels flipped", False),
):
    try:
        seen = np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(name)), volume)
    except RuntimeError as error:
        seen = str(error).strip().splitlines()[-1]
    wanted = "equal pixels" if right or name == "nosize.mha" else "an error"
    shown = {True: "equal pixels", False: "other pixels, no error"}.get(seen, seen)
    print(f"{name}, {text}\n  expected {wanted}\n  seen     {shown}")
    as_described &= seen is right
sys.exit(not as_described)
EOF
