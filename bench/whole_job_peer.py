"""What a user writes by hand instead of ``ctfast run IN --preset mediastinum``: pydicom or tifffile, OpenCV, tifffile.

``python bench/whole_job_peer.py IN OUT WORKERS``: one process a worker, no checks, no records. ``whole_job`` times it.
NIfTI volumes become such, by nibabel; with ``series`` as a fourth word each folder of DICOM slices becomes one.
Compressed slices are decoded by the decoders that ctfast takes, which are faster than pydicom's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

LOWEST, WIDTH = 50 - 0.5 - 349 / 2, 349.0
"""The line of the window with centre 50 and width 350."""


def begin() -> None:
    """One thread in each process."""
    import cv2

    cv2.setNumThreads(1)


def stored(ds: Any) -> Any:
    """Stored values of a DICOM slice."""
    import imagecodecs
    import numpy as np
    from pydicom.encaps import generate_frames

    dtype = np.dtype("<i2" if ds.PixelRepresentation else "<u2")
    decoders = {
        "1.2.840.10008.1.2.5": lambda stream: np.frombuffer(imagecodecs.dicomrle_decode(stream, dtype), dtype),
        "1.2.840.10008.1.2.4.70": imagecodecs.jpegsof3_decode,
        "1.2.840.10008.1.2.4.80": imagecodecs.jpegls_decode,
    }
    decode = decoders.get(ds.file_meta.TransferSyntaxUID)
    if decode is None:
        return ds.pixel_array
    return decode(next(generate_frames(ds.PixelData, number_of_frames=1))).view(dtype).reshape(ds.Rows, ds.Columns)


def rescaled(path: str) -> Any:
    """A DICOM slice in HU, and where it is."""
    import numpy as np
    import pydicom

    ds = pydicom.dcmread(path)
    image = stored(ds).astype(np.float32) * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
    return image, getattr(ds, "ImagePositionPatient", None)


def shown(image: Any) -> Any:
    """The preset's steps, and how many pixels its histogram counts."""
    import cv2
    import numpy as np

    window = cv2.convertScaleAbs(np.clip(image, LOWEST, LOWEST + WIDTH) - LOWEST, alpha=255 / WIDTH)
    smooth = cv2.GaussianBlur(cv2.medianBlur(window, 3), (5, 5), 0.6)
    result = cv2.createCLAHE(2.0, (8, 8)).apply(smooth)
    counts = cv2.calcHist([result], [0], None, [256], [0, 256])
    return result, float(counts.sum())


def one(job: Sequence[str]) -> float:
    """One file; how many pixels its histogram counts."""
    import numpy as np
    import tifffile

    source, output = job
    image = rescaled(source)[0] if source.endswith(".dcm") else tifffile.imread(source).astype(np.float32)
    result, count = shown(image)
    tifffile.imwrite(output, result)
    return float(count)


def volume(job: Sequence[str]) -> float:
    """One NIfTI file or folder of slices, in the order of their places along the body."""
    import nibabel
    import numpy as np

    source, output = job
    if Path(source).is_dir():
        slices = [rescaled(str(path)) for path in Path(source).iterdir()]
        slices.sort(key=lambda pair: float(pair[1][2]))
        data, affine = np.stack([image for image, _ in slices]), np.eye(4)
    else:
        read: Any = nibabel.load(source)
        data, affine = np.asarray(read.dataobj).T.astype(np.float32), read.affine
    results = [shown(image) for image in data]
    nibabel.save(nibabel.Nifti1Image(np.stack([image for image, _ in results]).T, affine), output)
    return sum(count for _, count in results)


def main(source: str, out: str, workers: int, series: bool) -> None:
    """All files below ``source``."""
    volumes = series or any(Path(source).glob("*.nii.gz"))
    jobs = []
    for path in sorted(path for path in Path(source).rglob("*") if path.is_dir() == series):
        place = Path(out, path.relative_to(source))
        output = place.with_name(place.name.split(".")[0] + (".nii.gz" if volumes else ".tif"))
        output.parent.mkdir(parents=True, exist_ok=True)
        jobs.append((str(path), str(output)))
    with ProcessPoolExecutor(workers, initializer=begin) as pool:
        print(len(jobs), sum(pool.map(volume, jobs) if volumes else pool.map(one, jobs, chunksize=16)))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:] == ["series"])
