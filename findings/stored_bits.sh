#!/usr/bin/env bash
# dicomsdl 0.109.4 and VTK 9.7.2 take all 16 bits of a pixel where 12 are stored.
# Exit 0: the behaviour is as described. Anything else: it changed, or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check dicomsdl==0.109.4 pydicom==3.0.2 numpy==2.3.5 \
    SimpleITK==2.5.7 vtk==9.7.2
venv/bin/python - <<'EOF'
import sys
from importlib.metadata import version

import dicomsdl
import numpy as np
import pydicom
import SimpleITK as sitk
import vtk
from vtk.util.numpy_support import vtk_to_numpy


def write(path, words, signed, intercept):
    """A CT slice of 12 bits a pixel in words of 16, as PS3.5 8.1.1 allows: the sign is bit 11."""
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    ds = pydicom.dataset.Dataset()
    ds.file_meta = meta
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Modality = "1.9", "1.3", "CT"
    ds.Rows, ds.Columns = words.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, signed
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.RescaleSlope, ds.RescaleIntercept = 1, intercept
    ds.PixelData = words.astype("<u2").tobytes()
    ds.save_as(path, enforce_file_format=True)


hu = np.array([[-1000, -1, 0, 40]])
write("signed.dcm", hu & 0x0FFF, 1, 0)
overlay = np.array([[0, 1, 0, 1]]) << 12  # in a bit above, where older scanners put it
write("overlay.dcm", (hu + 1024) | overlay, 0, -1024)


def by_vtk(path):
    """Its rows go up."""
    reader = vtk.vtkDICOMImageReader()
    reader.SetFileName(path)
    reader.Update()
    return vtk_to_numpy(reader.GetOutput().GetPointData().GetScalars()).reshape(hu.shape)[::-1]


print("dicomsdl", version("dicomsdl"), "VTK", vtk.VTK_VERSION)
wrong = []
for path in ("signed.dcm", "overlay.dcm"):
    ds = pydicom.dcmread(path)
    others = ds.pixel_array + float(ds.RescaleIntercept), sitk.GetArrayFromImage(sitk.ReadImage(path))[0]
    assert all((other == hu).all() for other in others)
    seen = [dicomsdl.open_file(path).pixelData().astype(int).tolist(), by_vtk(path).astype(int).tolist()]
    wrong += seen
    print(f"HU of {path}\n  expected {hu.tolist()} (pydicom, SimpleITK)\n  seen     {seen[0]} (dicomsdl)")
    print(f"           {seen[1]} (VTK)")
sys.exit(wrong != [[[3096, 4095, 0, 40]], [[3096, 4095, 0, 40]], [[-1000, 4095, 0, 4136]], [[-1000, 4095, 0, 4136]]])
EOF
