#!/usr/bin/env bash
# Enhanced CT with a rescale intercept for each frame: SimpleITK uses the first for all, pydicom none.
# Exit 0: the behaviour is as described. Anything else: it changed, or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/python -m pip install -q --disable-pip-version-check SimpleITK==2.5.7 pydicom==3.0.2 highdicom==0.28.2 numpy==2.4.6
env/bin/python - <<'EOF'
import sys
import highdicom
import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_modality_lut
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

print("SimpleITK", sitk.__version__, "pydicom", pydicom.__version__, "highdicom", highdicom.__version__)
study, series, reference = generate_uid(), generate_uid(), generate_uid()
slices = []
for i in range(3):
    s = Dataset()
    s.file_meta = FileMetaDataset()
    s.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    s.SOPClassUID, s.SOPInstanceUID = CTImageStorage, generate_uid()
    s.StudyInstanceUID, s.SeriesInstanceUID, s.FrameOfReferenceUID = study, series, reference
    s.PatientID, s.PatientName, s.PatientBirthDate, s.PatientSex = "1", "Phantom^", "", ""
    s.StudyID, s.AccessionNumber, s.ReferringPhysicianName, s.Manufacturer = "1", "", "", ""
    for kind in ("Study", "Series", "Acquisition", "Content"):
        setattr(s, kind + "Date", "20200101")
        setattr(s, kind + "Time", "120000")
    s.Modality, s.SeriesNumber, s.InstanceNumber, s.AcquisitionNumber = "CT", 1, i + 1, 1
    s.PositionReferenceIndicator, s.PatientPosition, s.KVP = "", "HFS", 120
    s.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    s.ImagePositionPatient, s.ImageOrientationPatient = [0, 0, 2 * i], [1, 0, 0, 0, 1, 0]
    s.PixelSpacing, s.SliceThickness = [1, 1], 2
    s.SamplesPerPixel, s.PhotometricInterpretation, s.Rows, s.Columns = 1, "MONOCHROME2", 4, 4
    s.BitsAllocated, s.BitsStored, s.HighBit, s.PixelRepresentation = 16, 12, 11, 0
    s.RescaleIntercept, s.RescaleSlope, s.RescaleType = -1024 + 100 * i, 1, "HU"
    s.PixelData = np.full((4, 4), 1000, np.uint16).tobytes()
    s["PixelData"].VR = "OW"
    slices.append(s)
highdicom.legacy.LegacyConvertedEnhancedCTImage(slices, generate_uid(), 2, generate_uid(), 1).save_as("ct.dcm")

dataset = pydicom.dcmread("ct.dcm")
transforms = [frame.PixelValueTransformationSequence[0] for frame in dataset.PerFrameFunctionalGroupsSequence]
expected = [1000 * float(t.RescaleSlope) + float(t.RescaleIntercept) for t in transforms]
frames = highdicom.imread("ct.dcm")
high = [float(frames.get_frame(i + 1)[0, 0]) for i in range(3)]
itk = sitk.GetArrayFromImage(sitk.ReadImage("ct.dcm"))[:, 0, 0].tolist()
lut = apply_modality_lut(dataset.pixel_array, dataset)[:, 0, 0].tolist()
print("HU of the three frames\n  expected", expected, "\n  seen     SimpleITK", itk,
      "\n           pydicom apply_modality_lut", lut, "\n           highdicom", high)
sys.exit(not (high == expected and itk == [expected[0]] * 3 and lut == [1000] * 3))
EOF
