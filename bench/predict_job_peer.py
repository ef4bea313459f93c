"""What a user writes by hand instead of ``ctfast predict RUN IN --csv OUT``: pydicom, OpenCV, Keras on TensorFlow.

``python bench/predict_job_peer.py MODEL.keras IN OUT.csv LOW HIGH``: DICOM slices in batches of 32 through a window
from LOW to HIGH HU, resized to the network's input. ``predict_job`` times it.
"""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
BATCH = 32


def main(model: str, source: str, out: str, low: float, high: float) -> None:
    """Predict all files below ``source``."""
    import cv2
    import keras
    import numpy as np
    import pydicom

    network = keras.models.load_model(model, compile=False)
    _, height, width, channels = network.input_shape
    paths = sorted(path for path in Path(source).rglob("*") if path.is_file())
    rows = []
    for first in range(0, len(paths), BATCH):
        batch = []
        for path in paths[first : first + BATCH]:
            ds = pydicom.dcmread(path)
            hu = ds.pixel_array.astype(np.float32) * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
            shown = np.clip((hu - low) / (high - low), 0, 1)
            batch.append(cv2.resize(shown, (width, height), interpolation=cv2.INTER_AREA))
        x = np.repeat(np.stack(batch)[..., None], channels, 3)
        probabilities = network.predict(x, batch_size=BATCH, verbose=0)
        rows += [[path, *p] for path, p in zip(paths[first : first + BATCH], probabilities, strict=True)]
    with open(out, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


if __name__ == "__main__":
    main(*sys.argv[1:4], *map(float, sys.argv[4:6]))
