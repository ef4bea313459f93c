"""Series whose slices are read by compiled code: the volumes, rows and statistics of the ordinary reader."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from ctfast import Pipeline, Step
from ctfast.files import read_series
from ctfast.runner import read_rows, run
from ctfast.runner.settings import Settings
from ctfast.runner.task import Task
from ctfast.runner.volume import process_any
from tests.files.files_build import slices

STEPS = Pipeline([Step("median_filter", size=3), Step("histogram", value_range=(-1024, 3071)), Step("summary")])
NOT_COMPARED = ("started", "read_seconds", "compute_seconds", "write_seconds", "output")

SERIES: dict[str, dict[str, Any]] = {
    "plain": {},
    "own rescales": {"RescaleIntercept": lambda k: str(10 * k - 1024)},
    "fractions": {"RescaleSlope": lambda k: str(1 + k / 8)},
    "unsigned": {"PixelRepresentation": 0, "RescaleIntercept": "-1024"},
    "padding": {"PixelPaddingValue": lambda k: 0 if k < 3 else 24},
    "padding of some": {"PixelPaddingValue": lambda k: 24 if k % 2 else None},
    "units of some": {"RescaleType": lambda k: "HU" if k else "US"},
}


def change(path: Path, how: Callable[[Any], object]) -> None:
    ds = pydicom.dcmread(path)
    how(ds)
    ds.save_as(path)


def outcome(folder: Path, out: Path, *, quickly: bool, **options: Any) -> tuple[dict[str, Any], Any, bytes]:
    (series,) = read_series(folder, units=options.get("units", "auto"))
    task = Task(str(folder), str(out / f"{quickly}.nii.gz"), series)
    done = process_any(task, Settings(STEPS, "cpu", format="nii", **options), quickly=quickly)
    row: dict[str, Any] = {name: value for name, value in done.row.items() if name not in NOT_COMPARED}
    statistics = done.statistics and {name: done.statistics[name] for name in ("histogram", "summary")}
    written = Path(task.output)
    return row, statistics, written.read_bytes() if written.exists() else b""


def check(folder: Path, out: Path, **options: Any) -> dict[str, Any]:
    plain, quick = (outcome(folder, out, quickly=quickly, **options) for quickly in (False, True))
    assert quick == plain
    return quick[0]


@pytest.mark.parametrize("name", SERIES)
@pytest.mark.parametrize("units", ["auto", "hu", "stored"])
def test_quick_slices_make_the_same_volume(tmp_path: Path, name: str, units: str) -> None:
    slices(tmp_path / "in", 6, **SERIES[name])
    row = check(tmp_path / "in", tmp_path / "out", units=units)
    assert row["status"] == "ok"
    assert len(row["input_hash"]) == 64


def test_slices_of_several_kinds_make_one(tmp_path: Path) -> None:
    paths = slices(tmp_path / "in", 6)
    change(paths[1], lambda ds: ds.compress("1.2.840.10008.1.2.5"))
    change(paths[3], lambda ds: setattr(ds, "PhotometricInterpretation", "MONOCHROME1"))
    assert check(tmp_path / "in", tmp_path / "out")["status"] == "ok"


@pytest.mark.parametrize("kept", [0.3, 0.99])
def test_a_slice_that_is_cut_is_the_series_error(tmp_path: Path, kept: float) -> None:
    paths = slices(tmp_path / "in", 6)
    (series,) = read_series(tmp_path / "in")
    whole = paths[2].read_bytes()
    paths[2].write_bytes(whole[: int(kept * len(whole))])
    rows = []
    for quickly in (False, True):
        task = Task(str(tmp_path / "in"), str(tmp_path / f"{quickly}.nii.gz"), series)
        row: dict[str, Any] = dict(process_any(task, Settings(STEPS, "cpu", format="nii"), quickly=quickly).row)
        rows.append({name: value for name, value in row.items() if name not in NOT_COMPARED})
    assert rows[0] == rows[1]
    assert rows[0]["status"] == "failed"
    assert paths[2].name in rows[0]["error"]


def test_runs_of_many_slices_are_those_of_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many slices there are decides, not how many volumes; every volume waits for a worker by itself."""
    for number in range(3):
        slices(tmp_path / "in" / str(number), 5, SeriesInstanceUID=f"1.2.3.{number}", SeriesNumber=number)
    assert run(tmp_path / "in", tmp_path / "few", STEPS, series=True, format="nii", workers=2).ok == 3
    monkeypatch.setattr("ctfast.runner.running.QUICKLY_FROM", 15)
    read: list[float] = []
    monkeypatch.setattr("ctfast.runner.slices.sha256_of", lambda *_: read.append(time.time()))
    assert run(tmp_path / "in", tmp_path / "many", STEPS, series=True, format="nii", workers=2).ok == 3
    assert not read, "the hash is of the bytes that were read for their pixels"
    few, many = (
        sorted((row["input"], row["input_hash"], row["output_hash"]) for row in read_rows(tmp_path / name))
        for name in ("few", "many")
    )
    assert few == many
    assert np.array_equal(*(np.load(tmp_path / name / "statistics.npz")["counts"] for name in ("few", "many")))
