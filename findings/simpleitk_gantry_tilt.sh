#!/usr/bin/env bash
# SimpleITK reads a series with gantry tilt as an upright stack: slices are moved in their plane, without a word.
# Exit 0: the behaviour is as described. Anything else: it changed, or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/python -m pip install -q --disable-pip-version-check SimpleITK==2.5.7 pydicom==3.0.2 numpy==2.4.6
env/bin/python - <<'EOF' 2>warnings.txt || { cat warnings.txt; exit 1; }
import math
import os
import sys
import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

print("SimpleITK", sitk.__version__)
# A head scan: the gantry is tilted by 20 degrees, the table moves 5 mm a slice along z.
cos, sin = math.cos(math.radians(20)), math.sin(math.radians(20))
study, series, frame = generate_uid(), generate_uid(), generate_uid()
positions = [(-50.0, -60.0, 5.0 * k) for k in range(30)]
os.mkdir("series")
for k, position in enumerate(positions):
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, generate_uid()
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    ds.PatientID, ds.PatientName, ds.Modality = "1", "A", "CT"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = study, series, frame
    ds.InstanceNumber, ds.SliceThickness, ds.GantryDetectorTilt = k + 1, "5", "20"
    ds.ImagePositionPatient = list(position)
    ds.ImageOrientationPatient = [1, 0, 0, 0, round(cos, 6), round(sin, 6)]
    ds.PixelSpacing, ds.Rows, ds.Columns = [0.5, 0.5], 16, 16
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.RescaleSlope, ds.RescaleIntercept = "1", "0"
    ds.PixelData = np.full((16, 16), k, np.int16).tobytes()
    ds["PixelData"].VR = "OW"
    ds.save_as(f"series/{k:02}.dcm", enforce_file_format=True)
reader = sitk.ImageSeriesReader()
reader.SetFileNames(reader.GetGDCMSeriesFileNames("series"))
image = reader.Execute()
last = image[0, 0, len(positions) - 1]
seen = np.array(image.TransformIndexToPhysicalPoint([0, 0, len(positions) - 1]))
expected = np.array(positions[last])
off = float(np.linalg.norm(seen - expected))
print(f"first pixel of the last slice (value {last}), mm")
print(f"  expected {expected.tolist()} (Image Position of its file)")
print(f"  seen     {np.round(seen, 1).tolist()}: {off:.0f} mm off")
sys.exit(not (last == len(positions) - 1 and off > 40))
EOF
echo "warnings printed: $(grep -c . warnings.txt || true)"
test ! -s warnings.txt
