#!/usr/bin/env bash
# imageio 2.38.1 gives another series of the folder for a single DICOM file that is named.
# Exit 0: the behaviour is as described. Anything else: it changed, or could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check imageio==2.38.1 pydicom==3.0.2 numpy==2.3.5
venv/bin/python - <<'EOF'
import contextlib
import io
import os
import sys
import warnings

import imageio
import imageio.v2
import imageio.v3
import numpy as np
import pydicom

warnings.simplefilter("ignore")  # the one that comes says that a plugin is deprecated


def slice_of(path, stored, series, number):
    """A CT slice of one value; its HU are 1024 less."""
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
    meta.MediaStorageSOPInstanceUID = f"{series}.{number}"
    ds = pydicom.dataset.Dataset()
    ds.file_meta = meta
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.InstanceNumber, ds.Modality = "1.9", series, number, "CT"
    ds.Rows, ds.Columns = stored.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [0, 0, number], [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing, ds.SliceThickness = [1, 1], 1
    ds.PixelData = stored.tobytes()
    ds.save_as(path, enforce_file_format=True)


os.mkdir("scans")
for number in (1, 2, 3):
    slice_of(f"scans/a{number}.dcm", np.full((4, 5), 1000 + number, np.uint16), "1.3.1", number)
slice_of("scans/b.dcm", np.full((6, 7), 2000, np.uint16), "1.3.2", 1)


def read(function, path):
    with contextlib.redirect_stdout(io.StringIO()):
        image = function(path)
    return image.shape, np.unique(image).tolist()


print("imageio", imageio.__version__)
wrong = [((3, 4, 5), [-23, -22, -21])] * 2
seen = [read(imageio.v3.imread, path) for path in ("scans/b.dcm", "scans/a2.dcm")]
expected = [((6, 7), [976]), ((4, 5), [-22])]
for path, want, got in zip(("scans/b.dcm", "scans/a2.dcm"), expected, seen):
    print(f"imageio.v3.imread({path!r}), shape and HU\n  expected {want}\n  seen     {got}")
older = read(imageio.v2.imread, "scans/b.dcm")
print(f"imageio.v2.imread('scans/b.dcm')\n  expected {expected[0]}\n  seen     {older}")
sys.exit(seen != wrong or older != expected[0])
EOF
