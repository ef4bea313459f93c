"""Volumes that ``run --series`` writes lie on their inputs: SimpleITK finds every corner where it is in the input.

SimpleITK reads the inputs one by one and knows nothing of ctfast. The physical points must agree to 1e-3 mm, the values
to float32 (a fractional rescale is kept so; SimpleITK has float64).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom.data
import pytest

from ctfast import Pipeline, Step, runner

sitk = pytest.importorskip("SimpleITK")
nibabel = pytest.importorskip("nibabel")

PYDICOM = Path(pydicom.data.__file__).parent / "test_files"
NIBABEL = Path(nibabel.__file__).parent
KEEP = Pipeline([Step("summary")])
CLOSE_MM = 1e-3


def overlaid(inputs: Any, out: Path) -> int:
    """Run, compare every volume with its inputs, and say how many of these were compared."""
    runner.run(inputs, out, KEEP, series=True, format="nii", modality="any", units="hu", orient="keep")
    rows = runner.read_rows(out)
    compared = 0
    for row in rows:
        if row["status"] == "ok" and row["affine"]:
            made = sitk.ReadImage(row["output"])
            for path in row["inputs"] or [row["input"]]:
                assert_on(sitk.ReadImage(path), made)
                compared += 1
    return compared


def assert_on(given: Any, made: Any) -> None:
    for corner in np.ndindex(2, 2, 2):
        index = [int(end * (size - 1)) for end, size in zip(corner, given.GetSize())]
        point = given.TransformIndexToPhysicalPoint(index)
        there = made.TransformPhysicalPointToIndex(point)
        np.testing.assert_allclose(made.TransformIndexToPhysicalPoint(there), point, rtol=0, atol=CLOSE_MM)
        assert made[there] == pytest.approx(given[index], rel=1e-6)


def test_slices_of_pydicom(tmp_path: Path) -> None:
    folder = PYDICOM / "dicomdirtests" / "77654033"
    assert overlaid([folder / "CT2", folder / "CR3", PYDICOM / "CT_small.dcm"], tmp_path / "out") >= 1


def test_files_of_nibabel(tmp_path: Path) -> None:
    names = ["anatomical.nii", "reoriented_anat_moved.nii", "standard.nii.gz"]
    given = [NIBABEL / "tests" / "data" / name for name in names]
    given.append(NIBABEL / "nicom" / "tests" / "data" / "decimal_rescale.dcm")
    assert overlaid([path for path in given if path.is_file()], tmp_path / "out") >= 2


@pytest.mark.real_data
def test_real_slices(awkward: Path, siim: Path, tmp_path: Path) -> None:
    assert overlaid(awkward / "dcm_qa_ct", tmp_path / "a") >= 2
    assert overlaid(sorted((siim / "dicom_dir").glob("*.dcm"))[:12], tmp_path / "b") >= 6
