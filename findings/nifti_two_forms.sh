#!/usr/bin/env bash
# NIfTI with a scanner qform and an aligned sform: SimpleITK takes the one, nibabel the other.
# Exit 0: the behaviour is as described. Anything else: it changed, or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/python -m pip install -q --disable-pip-version-check SimpleITK==2.5.7 nibabel==5.4.2 numpy==2.4.6
env/bin/python - <<'EOF'
import sys
import nibabel
import numpy as np
import SimpleITK as sitk

print("SimpleITK", sitk.__version__, "nibabel", nibabel.__version__)
volume = np.zeros((4, 5, 6), np.int16)
scanner = np.diag([1.0, 1.0, 2.0, 1.0])
scanner[:3, 3] = 100, 200, 300
aligned = np.diag([1.0, 1.0, 2.0, 1.0])
aligned[:3, 3] = 1, 2, 3
as_described = True
for code, same in ((1, True), (2, False)):  # 1: both scanner; 2: sform aligned to another scan
    image = nibabel.Nifti1Image(volume, None)
    image.set_qform(scanner, 1)
    image.set_sform(aligned, code)
    nibabel.save(image, "two.nii")
    nib = nibabel.load("two.nii").affine[:3, 3]
    itk = np.array(sitk.ReadImage("two.nii").GetOrigin()) * (-1, -1, 1)  # LPS to RAS
    print(f"qform code 1, sform code {code}: expected the same first voxel from both\n"
          f"  seen     nibabel {nib.tolist()}, SimpleITK {itk.tolist()}")
    as_described &= np.allclose(nib, itk) == same
sys.exit(not as_described)
EOF
