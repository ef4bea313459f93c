"""The main job on the 60 real slices, as TIFF and as DICOM."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

import ctfast
from ctfast.files import read_image
from ctfast.runner import read_rows, run


@pytest.mark.real_data
@pytest.mark.parametrize("preset", ["mediastinum", "lung"])
def test_tiff_and_dicom_of_a_slice_give_equal_pixels(siim: Path, tmp_path: Path, preset: str) -> None:
    pipeline = ctfast.preset(preset)
    outputs: dict[str, dict[str, Path]] = {}
    for folder in ("tiff_images", "dicom_dir"):
        report = run(siim / folder, tmp_path / folder, pipeline)
        assert (report.ok, report.failed, report.not_hu) == (60, 0, 0)
        rows = read_rows(tmp_path / folder)
        outputs[folder] = {Path(row["input"]).stem: Path(row["output"]) for row in rows}
    assert set(outputs["tiff_images"]) == set(outputs["dicom_dir"])
    cut = set()
    for stem, output in outputs["tiff_images"].items():
        a, b = read_image(output).pixels, read_image(outputs["dicom_dir"][stem]).pixels
        header = pydicom.dcmread(siim / "dicom_dir" / f"{stem}.dcm", specific_tags=["RescaleSlope"])
        if float(header.RescaleSlope).is_integer():
            np.testing.assert_array_equal(a, b, err_msg=stem)
        else:
            # The set's TIFFs were cut to whole HU after a fractional rescale: less than one HU apart before the window.
            cut.add(stem)
            assert np.abs(a.astype(int) - b).max() <= 5
    assert len(cut) == 8
