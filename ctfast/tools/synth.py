"""CT-like phantom slices in the layout of the Kaggle "CT Medical Images" set: for demos, tests and benchmarks.

The numbers follow what was measured on the real set: air -1000 outside the body, a circular field of view with -1024
(in a third of the slices padding of -2048 or -3024) outside it, lungs, fat, soft tissue, bone, vessels that are filled
with contrast agent or not, a round nodule in the lung of every tenth patient, and correlated noise of 10 to 15 HU (40
for a sharp kernel). No real patient is in them.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctfast import ops
from ctfast.errors import UsageError
from ctfast.files import write_image

AIR, FIELD_EDGE, LUNG, FAT, SOFT, SATURATION = -1000.0, -1024, -850.0, -100.0, 40.0, 3071
SPACING = (0.7, 0.7)
SLICES_OF_A_PATIENT = 2

_COLUMNS = ("", "Age", "Contrast", "ContrastTag", "raw_input_path", "id", "tiff_name", "dicom_name")


@dataclass(frozen=True)
class Slice:
    """One phantom and what is known about it."""

    number: int
    patient: int
    age: int
    contrast: bool
    padding: int | None
    hu: NDArray[np.int16]

    @property
    def stem(self) -> str:
        """File name without extension, as in the Kaggle set."""
        return f"ID_{self.number:04d}_AGE_{self.age:04d}_CONTRAST_{int(self.contrast)}_CT"


def phantom(number: int, *, seed: int = 0, size: int = 512) -> Slice:
    """Slice ``number`` of the set ``seed``: the same pixels on every machine with the same NumPy generator.

    Two slices in a row belong to one patient (same age, same body, other noise); every second patient has contrast.
    """
    patient = number // SLICES_OF_A_PATIENT
    contrast = patient % 2 == 1
    body = np.random.default_rng([seed, 1, patient])
    fresh = np.random.default_rng([seed, 2, number])
    age = int(body.integers(39, 88))
    hu = _anatomy(size, body, contrast, nodule=patient % 10 == 3)
    sharp = fresh.random() < 0.1
    hu += _noise(size, fresh, sd=40.0 if sharp else fresh.uniform(10.0, 15.0))
    pixels = np.clip(np.rint(hu), FIELD_EDGE, SATURATION).astype(np.int16)
    padding = (-2048, -3024)[number // 3 % 2] if number % 3 == 0 else None
    y, x = _grid(size)
    pixels[x * x + y * y > 1.0] = FIELD_EDGE if padding is None else padding
    return Slice(number, patient, age, contrast, padding, pixels)


def _grid(size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Coordinates from -1 to 1 over the field of view: column of rows, row of columns."""
    axis = (np.arange(size, dtype=np.float32) - (size - 1) / 2) / (size / 2)
    return axis[:, None], axis[None, :]


def _anatomy(size: int, rng: np.random.Generator, contrast: bool, nodule: bool) -> NDArray[np.float32]:
    y, x = _grid(size)
    wide, tall = rng.uniform(0.78, 0.9), rng.uniform(0.55, 0.68)
    cx, cy = rng.normal(0, 0.02, 2)

    def ellipse(px: float, py: float, rx: float, ry: float) -> NDArray[np.bool_]:
        return ((x - cx - px) / rx) ** 2 + ((y - cy - py) / ry) ** 2 < 1

    image = np.full((size, size), AIR, np.float32)
    image[ellipse(0, 0, wide, tall)] = FAT
    image[ellipse(0, 0, wide - 0.06, tall - 0.06)] = SOFT + rng.normal(0, 4)
    for side in (-1, 1):
        lung = ellipse(side * 0.4 * wide, -0.05, 0.33 * wide, 0.68 * tall)
        image[lung] = LUNG + rng.normal(0, 20)
        for _ in range(30):  # vessels inside the lung, below the 6 mm from which the analysis points to a cluster
            px, py = side * 0.4 * wide + rng.uniform(-0.2, 0.2) * wide, rng.uniform(-0.5, 0.4) * tall
            image[ellipse(px, py, *rng.uniform(0.005, 0.012, 2)) & lung] = SOFT
        for angle in np.linspace(-1.1, 1.1, 6):  # ribs
            px, py = side * (wide - 0.05) * np.cos(angle), (tall - 0.05) * np.sin(angle)
            image[ellipse(px, py, 0.045, 0.02)] = rng.uniform(300, 900)
    if nodule:  # 14 mm across
        image[ellipse(-0.4 * wide, -0.05, 0.04, 0.04)] = SOFT
    blood = rng.uniform(130, 400) if contrast else rng.uniform(35, 50)
    image[ellipse(0.04, -0.08, 0.2, 0.24)] = SOFT if not contrast else 0.6 * blood  # heart
    image[ellipse(0.12, 0.2, 0.06, 0.06)] = blood  # descending aorta
    image[ellipse(-0.05, -0.28, 0.07, 0.06)] = blood  # ascending aorta
    image[ellipse(0, tall - 0.22, 0.13, 0.12)] = rng.uniform(150, 300)  # vertebra, spongy
    image[ellipse(0, tall - 0.22, 0.13, 0.12) & ~ellipse(0, tall - 0.22, 0.11, 0.1)] = rng.uniform(600, 1000)
    image[ellipse(0, tall - 0.11, 0.045, 0.04)] = SOFT  # spinal canal
    return image


def _noise(size: int, rng: np.random.Generator, sd: float) -> NDArray[np.float32]:
    """White noise blurred by a pixel: neighbours correlate at about .7, as in reconstructed CT."""
    white = rng.standard_normal((size, size), dtype=np.float32)
    smooth: NDArray[np.float32] = ops.gaussian_filter(white, 0.95, mode="wrap")
    return smooth * np.float32(sd / smooth.std())


def write_set(out: str | Path, *, count: int = 100, seed: int = 0, size: int = 512, dicom: bool = True) -> int:
    """Write ``count`` slices as float64 TIFFs (and DICOMs) with ``overview.csv``; returns the number of image files.

    Raises:
        UsageError: ``out`` exists and is not an empty folder.
        MissingDependencyError: ``dicom`` without pydicom.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} exists and is not an empty folder: choose a new one")
    write_dicom: Any = None
    if dicom:
        from ctfast.tools.phantom_dicom import write_phantom_dicom as write_dicom
    tiffs, dicoms = out / "tiff_images", out / "dicom_dir"
    for folder in (tiffs, dicoms) if dicom else (tiffs,):
        folder.mkdir(parents=True)
    with (out / "overview.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(_COLUMNS)
        for number in range(count):
            s = phantom(number, seed=seed, size=size)
            write_image(tiffs / f"{s.stem}.tif", s.hu.astype(np.float64), units="hu", spacing=SPACING)
            if dicom:
                write_dicom(
                    dicoms / f"{s.stem}.dcm",
                    s.hu,
                    patient=f"PHANTOM-{s.patient:04d}",
                    age=s.age,
                    contrast=s.contrast,
                    padding=s.padding,
                    spacing=SPACING,
                    instance=number,
                    place=number % SLICES_OF_A_PATIENT,
                )
            tag = "APPLIED" if s.contrast else "NONE"
            table.writerow(
                [number, s.age, s.contrast, tag, f"phantom/{s.stem}", number, f"{s.stem}.tif", f"{s.stem}.dcm"]
            )
    return count * (2 if dicom else 1)
