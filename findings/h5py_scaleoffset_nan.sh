#!/usr/bin/env bash
# HDF5's scale-offset filter writes a float chunk with a NaN without a word and can not read it back.
# Exit 0: the behaviour is as described. Anything else: it changed, or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/python -m pip install -q --disable-pip-version-check h5py==3.16.0 numpy==2.4.6
env/bin/python - <<'EOF'
import sys
import h5py
import numpy as np

print("h5py", h5py.__version__, "HDF5", h5py.version.hdf5_version)
hu = np.random.default_rng(0).normal(40, 300, (64, 64)).astype(np.float32)
outside = hu.copy()
outside[0, 0] = np.nan  # outside the field of view
with h5py.File("ct.h5", "w") as file:
    for name, data in (("plain", hu), ("nan", outside)):
        file.create_dataset(name, data=data, chunks=(64, 64), scaleoffset=2)
lost = None
with h5py.File("ct.h5") as file:
    plain = float(np.abs(file["plain"][:] - hu).max())
    print("without NaN: read back within", round(plain, 4))
    print("with one NaN: expected an error when written, or the other 4,095 values back")
    try:
        back = file["nan"][:]
        lost = np.abs(back - outside)
        print("  seen     largest difference of the others", np.nanmax(lost))
        unusable = np.nanmax(lost) > 1
    except OSError as error:
        print("  seen     written without an error; reading fails:", error)
        unusable = True
sys.exit(not (plain < 0.01 and unusable))
EOF
