"""Small image files, good and bad, made from scratch for the tests."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"


def slice_hu(height: int = 20, width: int = 24, seed: int = 0) -> np.ndarray:
    """int16 values as of a CT slice: air, soft tissue, bone."""
    rng = np.random.default_rng(seed)
    return rng.choice(np.array([-1024, -1000, -850, -100, 40, 60, 700, 3071], np.int16), (height, width))


def data_set(pixels: np.ndarray, **elements: Any) -> Any:
    """A CT data set of explicit little-endian syntax around the stored values; ``None`` leaves an element out."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage

    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = EXPLICIT
    ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    bits = pixels.dtype.itemsize * 8
    values = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": "1.2.3.4",
        "Modality": "CT",
        "Rows": pixels.shape[-2],
        "Columns": pixels.shape[-1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "RescaleSlope": "1",
        "RescaleIntercept": "0",
        "PixelData": pixels.tobytes(),
        **({"NumberOfFrames": len(pixels)} if pixels.ndim == 3 else {}),
        **elements,
    }
    for keyword, value in values.items():
        if value is not None:
            setattr(ds, keyword, value)
    if "PixelData" in ds:
        ds["PixelData"].VR = "OW"
    return ds


def save(ds: Any, path: Path) -> Path:
    ds.save_as(path, enforce_file_format=True)
    return path


def dicom(path: Path, pixels: np.ndarray, **elements: Any) -> Path:
    """Write ``data_set(pixels, ...)``."""
    return save(data_set(pixels, **elements), path)


def rescale_group(slope: float, intercept: float, kind: str = "HU") -> Any:
    """A functional group item with a Pixel Value Transformation."""
    from pydicom.dataset import Dataset

    item = Dataset()
    item.RescaleSlope, item.RescaleIntercept, item.RescaleType = str(slope), str(intercept), kind
    group = Dataset()
    group.PixelValueTransformationSequence = [item]
    return group


def raw_tiff(path: Path, payload: bytes, **changes: int | None) -> Path:
    """A 16 x 16 uint8 TIFF of one strip, tag by tag; a tag given as None is left out, ``offset`` is the strip's."""
    names = {
        "width": 256,
        "length": 257,
        "bits": 258,
        "compression": 259,
        "photometric": 262,
        "offset": 273,
        "samples": 277,
        "rows": 278,
        "count": 279,
    }
    values: dict[str, int | None] = {
        "width": 16,
        "length": 16,
        "bits": 8,
        "compression": 1,
        "photometric": 1,
        "offset": -1,
        "samples": 1,
        "rows": 16,
        "count": len(payload),
        **changes,
    }
    tags = [(names[name], value) for name, value in values.items() if value is not None]
    start = 8 + 2 + 12 * len(tags) + 4
    data = b"II*\0" + struct.pack("<IH", 8, len(tags))
    for code, value in tags:
        data += struct.pack("<HHII", code, 4, 1, start if value == -1 else value)
    path.write_bytes(data + struct.pack("<I", 0) + payload)
    return path


def slices(
    folder: Path,
    count: int = 6,
    *,
    orientation: tuple[float, ...] = (1, 0, 0, 0, 1, 0),
    start: tuple[float, ...] = (-20.5, -30.0, 100.0),
    step: tuple[float, ...] | None = None,
    shape: tuple[int, int] = (20, 24),
    first: int = 0,
    **elements: Any,
) -> list[Path]:
    """A series of CT slices, 2.5 mm apart along the normal (or by ``step``), whose names and numbers say nothing.

    An element may be a function of the slice's number. Returned in the order of positions along the step.
    """
    folder.mkdir(exist_ok=True, parents=True)
    normal = np.cross(orientation[:3], orientation[3:])
    move = 2.5 * normal if step is None else np.array(step)
    paths = []
    for k in range(first, first + count):
        values: dict[str, Any] = {
            "StudyInstanceUID": "1.2.3",
            "SeriesInstanceUID": "1.2.3.1",
            "FrameOfReferenceUID": "1.2.3.9",
            "SeriesNumber": 4,
            "SeriesDescription": "Thorax, lung",
            "InstanceNumber": (k * 7) % 11,
            "SOPInstanceUID": f"1.2.3.1.{k + 1}",
            "PixelSpacing": [0.7, 0.8],
            "SliceThickness": 2.5,
            "RescaleIntercept": "-1024",
            "ImageOrientationPatient": list(map(float, orientation)),
            "ImagePositionPatient": [round(float(x), 6) for x in np.array(start) + k * move],
            **elements,
        }
        values = {name: value(k) if callable(value) else value for name, value in values.items()}
        path = folder / f"{(k * 37) % 101:03d}_{k}.dcm"
        ds = data_set((slice_hu(*shape, seed=k) + 1024).astype(np.uint16), **values)
        ds.file_meta.MediaStorageSOPInstanceUID = values["SOPInstanceUID"]
        paths.append(save(ds, path))
    return paths
