#!/usr/bin/env bash
# A volume that is written in micrometres or centimetres: the readers do not agree how large it is.
# Exit 0: the behaviour is as described. Anything else: it changed, or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/python -m pip install -q --disable-pip-version-check SimpleITK==2.5.7 nibabel==5.4.2 pynrrd==1.1.3 numpy==2.4.6
env/bin/python - <<'EOF'
import sys
import nibabel
import nrrd
import numpy as np
import SimpleITK as sitk

print("SimpleITK", sitk.__version__, "nibabel", nibabel.__version__, "pynrrd", nrrd.__version__)
volume = np.zeros((4, 5, 6), np.int16)
micro = nibabel.Nifti1Image(volume, np.diag([20.0, 20.0, 50.0, 1.0]))
micro.header.set_xyzt_units("micron")
nibabel.save(micro, "micro.nii")
nib = tuple(float(v) for v in nibabel.load("micro.nii").header.get_zooms())
itk = sitk.ReadImage("micro.nii").GetSpacing()
print("NIfTI of 20 x 20 x 50 micrometres, in mm")
print("  expected (0.02, 0.02, 0.05) from both\n  seen     SimpleITK", tuple(round(v, 6) for v in itk), "nibabel", nib)

header = {"space": "left-posterior-superior", "space directions": np.diag([2.0, 2.0, 5.0]),
          "space units": ["um", "um", "um"], "space origin": [0.0, 0.0, 0.0]}
header["space directions"] *= 10
nrrd.write("micro.nrrd", volume, header)
units = nrrd.read_header("micro.nrrd")["space units"]
ignored = sitk.ReadImage("micro.nrrd").GetSpacing()
print("NRRD of the same size, in mm, space units", list(units))
print("  expected (0.02, 0.02, 0.05), as the same reader gives for NIfTI\n  seen     SimpleITK", ignored)
sys.exit(not (np.allclose(itk, (0.02, 0.02, 0.05)) and nib == (20.0, 20.0, 50.0) and ignored == (20.0, 20.0, 50.0)))
EOF
