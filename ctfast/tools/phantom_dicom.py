"""DICOM CT slices for synthetic sets: what a scanner writes, without a patient. Clinical export is not its purpose."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ctfast.batch.atomic import replacing
from ctfast.errors import missing_extra

_INTERCEPT = -1024
_BETWEEN_SLICES = 5.0  # mm
_TABLE = -100.0  # mm, of a patient's first slice
_UID_ROOT = "1.2.826.0.1.3680043.8.498.20261122"  # pydicom's root for generated identifiers


def write_phantom_dicom(
    path: Path,
    hu: NDArray[np.int16],
    *,
    patient: str,
    age: int,
    contrast: bool,
    padding: int | None,
    spacing: tuple[float, float],
    instance: int,
    place: int = 0,
) -> None:
    """Write one slice, ``(H, W)`` int16 HU, as uncompressed CT Image Storage (atomic).

    Slices of a patient are one axial series, head first and supine, 5 mm apart: the centre of slice ``place`` lies at
    (0, 0, 5 ``place`` - 100) mm.

    With ``padding`` (HU) the pixels are int16 with a declared Pixel Padding Value, as GE writes them; without, 12 bits
    in uint16, as Siemens does. Rescale Slope is 1, Intercept -1024.
    """
    try:
        from pydicom.dataset import FileDataset, FileMetaDataset
        from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
    except ImportError as error:
        raise missing_extra("writing DICOM needs pydicom", "dicom") from error
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = f"{_UID_ROOT}.3.{instance + 1}"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID = CTImageStorage
    data.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    patient_number = patient.rpartition("-")[2].lstrip("0") or "0"
    data.StudyInstanceUID = f"{_UID_ROOT}.1.{patient_number}"
    data.SeriesInstanceUID = f"{_UID_ROOT}.2.{patient_number}"
    data.FrameOfReferenceUID = f"{_UID_ROOT}.4.{patient_number}"
    data.SeriesNumber, data.SeriesDescription = 1, "Phantom"
    data.InstanceNumber = place + 1
    data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.Modality = "CT"
    data.Manufacturer = "ctfast phantom"
    data.PatientName = data.PatientID = patient
    data.PatientAge = f"{age:03d}Y"
    if contrast:
        data.ContrastBolusAgent = "APPLIED"
    data.Rows, data.Columns = hu.shape
    data.PixelSpacing = list(spacing)
    data.SliceThickness = data.SpacingBetweenSlices = _BETWEEN_SLICES
    data.PatientPosition, data.ImageOrientationPatient = "HFS", [1, 0, 0, 0, 1, 0]
    y, x = (-(size - 1) / 2 * mm for size, mm in zip(hu.shape, spacing, strict=True))
    data.ImagePositionPatient = [round(x, 4), round(y, 4), _TABLE + place * _BETWEEN_SLICES]
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.RescaleSlope, data.RescaleIntercept, data.RescaleType = 1, _INTERCEPT, "HU"
    data.WindowCenter, data.WindowWidth = [50, -600], [350, 1500]
    data.BitsAllocated = 16
    stored = hu.astype(np.int32) - _INTERCEPT
    if padding is None:
        data.BitsStored, data.HighBit, data.PixelRepresentation = 12, 11, 0
        data.PixelData = stored.astype("<u2").tobytes()
    else:
        data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 15, 1
        data.PixelPaddingValue = padding - _INTERCEPT
        data.PixelData = stored.astype("<i2").tobytes()
    with replacing(path, "wb") as file:
        data.save_as(file, enforce_file_format=True)
