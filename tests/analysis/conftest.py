"""A small set with everything awkward in it, its analysis and its page, made once."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ctfast.analysis import Analysis, analyze, write_report
from ctfast.files import write_image
from ctfast.tools.synth import phantom
from tests.analysis.analysis_build import EVIL, body


@pytest.fixture(scope="session")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phantoms in both classes, a copy, other units, shapes and dtypes, bad files, a name with HTML in it."""
    folder = tmp_path_factory.mktemp("mixed")
    for i in range(10):
        s = phantom(i, seed=5, size=96)
        write_image(folder / f"{s.stem}.tif", s.hu, units="hu", spacing=(3.0, 2.0))
    first = phantom(0, seed=5, size=96)
    write_image(folder / "copy.tif", first.hu, units="hu", spacing=(3.0, 2.0))
    write_image(folder / f"{EVIL}.tif", body(80), units="hu")
    rng = np.random.default_rng(1)
    write_image(folder / "stored.tif", rng.integers(0, 4096, (64, 50)).astype(np.uint16), units="stored")
    np.save(folder / "floats.npy", rng.random((40, 70), np.float32))
    write_image(folder / "stack.tif", np.stack([body(64), body(64) + 7]), units="hu")
    (folder / "broken.tif").write_bytes(b"II*\0 this is no TIFF")
    (folder / "notes.txt").write_text("not an image")
    with (folder / "overview.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["", "Age", "Contrast", "ContrastTag", "raw_input_path", "id", "tiff_name", "dicom_name"])
        for i in range(10):
            s = phantom(i, seed=5, size=96)
            row = [i, s.age, s.contrast, "NONE", "x", s.number, f"{s.stem}.tif", f"{s.stem}.dcm"]
            table.writerow(row)
    return folder


@pytest.fixture(scope="session")
def analysis(mixed: Path) -> Analysis:
    return analyze(mixed)


@pytest.fixture(scope="session")
def page(analysis: Analysis, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(analysis, tmp_path_factory.mktemp("page") / "report.html")


@pytest.fixture
def slices(tmp_path: Path) -> Callable[..., Analysis]:
    """The analysis of HU images that are given as arrays."""

    def make(*images: np.ndarray, spacing: tuple[float, float] | None = (1.0, 1.0), units: str = "hu") -> Analysis:
        for i, image in enumerate(images):
            write_image(tmp_path / f"slice_{i:02d}.tif", image, units=units, spacing=spacing)
        return analyze(tmp_path)

    return make
