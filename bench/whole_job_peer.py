"""What a user writes by hand instead of ``ctfast run IN --preset mediastinum``: pydicom or tifffile, OpenCV, tifffile.

``python bench/whole_job_peer.py IN OUT WORKERS``: one process a worker, no checks, no records. ``whole_job`` times it.
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


def one(job: Sequence[str]) -> float:
    """One file; how many pixels its histogram counts."""
    import cv2
    import numpy as np
    import tifffile

    source, output = job
    if source.endswith(".dcm"):
        import pydicom

        ds = pydicom.dcmread(source)
        image = stored(ds).astype(np.float32) * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
    else:
        image = tifffile.imread(source).astype(np.float32)
    shown = cv2.convertScaleAbs(np.clip(image, LOWEST, LOWEST + WIDTH) - LOWEST, alpha=255 / WIDTH)
    smooth = cv2.GaussianBlur(cv2.medianBlur(shown, 3), (5, 5), 0.6)
    result = cv2.createCLAHE(2.0, (8, 8)).apply(smooth)
    counts = cv2.calcHist([result], [0], None, [256], [0, 256])
    tifffile.imwrite(output, result)
    return float(counts.sum())


def main(source: str, out: str, workers: int) -> None:
    """All files below ``source``."""
    jobs = []
    for path in sorted(path for path in Path(source).rglob("*") if path.is_file()):
        output = Path(out, path.relative_to(source)).with_suffix(".tif")
        output.parent.mkdir(parents=True, exist_ok=True)
        jobs.append((str(path), str(output)))
    with ProcessPoolExecutor(workers, initializer=begin) as pool:
        print(len(jobs), sum(pool.map(one, jobs, chunksize=16)))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
