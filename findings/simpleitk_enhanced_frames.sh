#!/usr/bin/env bash
# Multi-frame CT: SimpleITK rescales all frames as the first one, and makes up spacings where frames are unevenly apart.
# Exit 0: the behaviour is as described. Anything else: it changed, or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/python -m pip install -q --disable-pip-version-check SimpleITK==2.5.7 highdicom==0.28.2 pydicom==3.0.2 numpy==2.4.6
env/bin/python - <<'EOF'
import sys
import highdicom
import numpy as np
import SimpleITK as sitk
from highdicom.legacy import LegacyConvertedEnhancedCTImage
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

print("SimpleITK", sitk.__version__, "highdicom", highdicom.__version__)
STUDY, SERIES, PLACE = (generate_uid() for _ in range(3))


def ct_slice(number, z, slope):
    """All pixels are 40 HU."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = STUDY, SERIES, PLACE
    ds.PatientName, ds.PatientID, ds.PatientPosition = "Phantom^A", "phantom", "HFS"
    ds.PatientBirthDate = ds.PatientSex = ds.StudyID = ds.AccessionNumber = ds.ReferringPhysicianName = ""
    ds.StudyDate = ds.StudyTime = ds.PositionReferenceIndicator = ""
    ds.Modality, ds.ImageType, ds.Manufacturer, ds.KVP = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"], "none", "120"
    ds.SeriesNumber, ds.InstanceNumber, ds.AcquisitionNumber = 1, number, 1
    ds.ContentDate, ds.ContentTime = "20260101", "000000"
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [0, 0, z], [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing, ds.SliceThickness = [1, 1], 2
    ds.Rows = ds.Columns = 4
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "-1024", str(slope), "HU"
    ds.PixelData = np.full((4, 4), 1064 // slope, np.uint16).tobytes()
    return ds


def frames(name, places, slopes):
    slices = [ct_slice(k + 1, z, slope) for k, (z, slope) in enumerate(zip(places, slopes))]
    LegacyConvertedEnhancedCTImage(
        slices, series_instance_uid=generate_uid(), series_number=2, sop_instance_uid=generate_uid(), instance_number=1
    ).save_as(name)
    return highdicom.imread(name), sitk.ReadImage(name)


by_highdicom, by_itk = frames("rescale.dcm", (0, 2, 4), (1, 2, 1))
right = by_highdicom.get_frames()[:, 0, 0].tolist()
seen = sitk.GetArrayFromImage(by_itk)[:, 0, 0].tolist()
print(f"HU of three frames of 40 HU, the second stored with slope 2\n  expected {right}\n  seen     {seen}")
as_described = right == [40, 40, 40] and seen == [40, -492, 40]

_, by_itk = frames("gap.dcm", (0, 2, 6), (1, 1, 1))
spacing = by_itk.GetSpacing()[2]
print(f"spacing of frames at 0, 2 and 6 mm\n  expected an error or a warning (2 and 4 mm)\n  seen     {spacing}")
as_described &= spacing == 1.0
sys.exit(not as_described)
EOF
