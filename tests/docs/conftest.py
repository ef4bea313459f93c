"""What the pages talk about, made up: ``scans``, ``others``, ``more``, ``study`` and ``slice.dcm``."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from ctfast.tools.synth import write_set


@pytest.fixture(scope="session")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    write_set(folder / "scans", count=16, seed=1, size=96)
    write_set(folder / "others", count=6, seed=2, size=96)
    dicoms = sorted((folder / "scans" / "dicom_dir").iterdir())
    (folder / "more").mkdir()
    shutil.copy(dicoms[0], folder / "more" / "a.dcm")
    shutil.copy(dicoms[0], folder / "slice.dcm")
    (folder / "study").mkdir()
    for k, source in enumerate(dicoms[:6]):
        place_in_series(source, folder / "study" / f"slice_{k:02}.dcm", k)
    return folder


def place_in_series(source: Path, path: Path, k: int) -> None:
    """A copy of a slice as the k-th of one series, 2.5 mm apart."""
    data = pydicom.dcmread(source)
    data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = "1.2.3", "1.2.3.1", "1.2.3.2"
    data.PatientID = data.PatientName = "PHANTOM-0000"
    data.SeriesNumber, data.SeriesDescription = 4, "Thorax"
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.1.{k + 1}"
    data.ImageOrientationPatient, data.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [-35.0, -35.0, 2.5 * k]
    data.SliceThickness = 2.5
    data.save_as(path)


@pytest.fixture
def made(_made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of it, as the current folder."""
    here = tmp_path / "here"
    shutil.copytree(_made, here)
    monkeypatch.chdir(here)
    return here
