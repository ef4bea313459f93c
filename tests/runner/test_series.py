"""Runs by series: one output a volume, where the slices lay, with all that normal runs keep."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from ctfast import Pipeline, Step
from ctfast.errors import UsageError
from ctfast.files import read_image, read_series, write_image
from ctfast.runner import Row, plan, read_rows, run
from ctfast.runner.settings import Settings
from ctfast.runner.task import Task
from ctfast.runner.volume import process_any
from ctfast.tools.synth import phantom, write_set
from tests.files.files_build import slice_hu, slices

STATISTICS = Pipeline([Step("median_filter", size=3), Step("histogram", value_range=(-1024, 3071)), Step("summary")])


def rows_of(out: Path) -> dict[str, Row]:
    return {Path(row["output"] or row["input"]).name: row for row in read_rows(out)}


def study(folder: Path) -> Path:
    """Two series of one patient in a folder, one with a gap, and files that are no slices."""
    slices(folder / "p1")
    slices(folder / "p1", 5, SeriesInstanceUID="1.2.3.2", SeriesNumber=5, SeriesDescription=None, first=20)
    slices(folder / "p2", 5, PatientID="2", SeriesInstanceUID="1.2.3.3")[2].unlink()
    write_image(folder / "p1" / "slice.tif", slice_hu(), units="hu")
    (folder / "notes.txt").write_text("x")
    return folder


@pytest.mark.parametrize("pool", ["threads", "processes"])
@pytest.mark.parametrize("format", ["nii.gz", "mha", "nrrd", "tif", "npy"])
def test_one_output_a_series(tmp_path: Path, format: str, pool: str) -> None:
    if pool == "processes" and format != "tif":
        pytest.skip("one format is enough for processes")
    folder, out = study(tmp_path / "in"), tmp_path / "out"
    report = run(folder, out, STATISTICS, series=True, format=format, pool=pool, workers=2)
    assert (report.ok, report.failed, report.ignored, report.images) == (3, 1, 1, 12)
    rows = rows_of(out)
    end = {"nii.gz": ".nii.gz"}.get(format, f".{format}")
    done = {name: row for name, row in rows.items() if row["status"] == "ok"}
    assert {name.rsplit("_", 1)[0] for name in done} == {"4_Thorax-lung", "5", f"slice{end}"}
    for series in read_series(folder / "p1"):
        if not series.sources:
            continue
        name = next(name for name in done if name.endswith(f"{series.key}{end}"))
        row, volume = done[name], series.read()
        image = read_image(row["output"], orient="keep")
        np.testing.assert_array_equal(image.pixels, STATISTICS(volume.pixels))
        assert row["inputs"] == [str(path) for path in series.files]
        assert (row["input"], row["input_bytes"]) == (
            str(folder / "p1"),
            sum(path.stat().st_size for path in series.files),
        )
        assert series.geometry is not None
        np.testing.assert_allclose(row["affine"], series.geometry.affine)
        if format != "npy":
            assert image.geometry is not None
            np.testing.assert_allclose(image.geometry.matrix, series.geometry.matrix, atol=1e-4)
    failed = next(row for row in rows.values() if row["status"] == "failed")
    assert failed["error"].startswith("series 4 Thorax, lung: 1 slices are missing")
    assert (failed["input"], len(failed["inputs"])) == (str(folder / "p2"), 4)
    with np.load(out / "statistics.npz") as archive:
        assert archive["counts"].sum(axis=1).tolist() == [20 * 24] * 12


def test_synthetic_sets_have_series(tmp_path: Path) -> None:
    write_set(tmp_path / "in", count=5, size=48)
    report = run(tmp_path / "in" / "dicom_dir", tmp_path / "out", STATISTICS, series=True, format="mha")
    assert (report.ok, report.failed, report.images) == (3, 0, 5), report.failures
    volumes = [sitk.ReadImage(str(path)) for path in sorted((tmp_path / "out").glob("1_Phantom_*.mha"))]
    for volume in volumes:
        np.testing.assert_allclose(volume.GetOrigin(), (-23.5 * 0.7, -23.5 * 0.7, -100), atol=1e-3)
        assert (volume.GetSize(), volume.GetSpacing()) == ((48, 48, 2), (0.7, 0.7, 5.0))
        np.testing.assert_array_equal(volume.GetDirection(), np.eye(3).ravel())
    given = {sitk.GetArrayFromImage(volume).tobytes() for volume in volumes}
    assert given == {STATISTICS(np.stack([phantom(k + i, size=48).hu for i in (0, 1)])).tobytes() for k in (0, 2)}


def test_a_series_that_is_done_is_left_alone_until_its_files_change(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    paths = slices(folder)
    assert run(folder, out, STATISTICS, series=True).ok == 1
    again = run(folder, out, STATISTICS, series=True, verify=True)
    assert (again.ok, again.done_before) == (0, 1)
    slices(folder, 1, first=6)
    assert run(folder, out, STATISTICS, series=True).ok == 1
    assert next(iter(rows_of(out).values()))["shape"] == [7, 20, 24]
    assert run(folder, out, STATISTICS, series=True).done_before == 1
    paths[0].touch()
    assert run(folder, out, STATISTICS, series=True).done_before == 1, "the same bytes"
    paths[0].write_bytes(paths[0].read_bytes()[:-1] + b"x")
    assert run(folder, out, STATISTICS, series=True).ok == 1
    with pytest.raises(UsageError, match="series yes there, no now"):
        run(folder, out, STATISTICS)


def test_copies_and_other_modalities_are_left_out(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    paths = slices(folder)
    (folder / "zz.dcm").write_bytes(paths[3].read_bytes())
    slices(folder, 2, Modality="PT", SeriesInstanceUID="1.2.3.8", first=30)
    report = run(folder, out, STATISTICS, series=True)
    assert (report.ok, report.failed, report.ignored) == (1, 0, 2)
    rows = rows_of(out)
    assert rows["zz.dcm"]["error"] == f"copy of {paths[3]}"
    assert [row["error"] for row in rows.values() if "modality PT" in row["error"]]


def test_large_series_are_computed_in_blocks_outside_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slices(tmp_path / "in", 7, RescaleIntercept=lambda k: str(10 * k - 1024))
    (series,) = read_series(tmp_path / "in")
    monkeypatch.setattr("ctfast.runner.volume._BLOCK_BYTES", 2 * 20 * 24 * 2)
    settings = replace(Settings(STATISTICS, "cpu"), format="nii")
    results = []
    for most in (1 << 30, 1000):  # bytes: in memory, and in files
        task = Task(str(tmp_path / "in"), str(tmp_path / str(most) / "x.nii.gz"), series)
        limited = replace(settings, max_bytes=most)
        results.append((process_any(task, limited), Path(task.output).read_bytes()))
        assert [path.name for path in Path(task.output).parent.iterdir()] == ["x.nii.gz"]
    (whole, content), (blocks, other) = results
    assert whole.row["error"] == blocks.row["error"] == ""
    assert content == other
    assert whole.statistics is not None
    assert blocks.statistics is not None
    assert whole.statistics["histogram"] == blocks.statistics["histogram"]
    assert whole.statistics["summary"] == blocks.statistics["summary"]
    task = Task(str(tmp_path / "in"), str(tmp_path / "y.tif"), series)
    own_range = Settings(Pipeline([Step("histogram")]), "cpu", max_bytes=1000)
    assert "needs value_range=" in process_any(task, own_range).row["error"]


def test_what_would_be_done(tmp_path: Path) -> None:
    folder = study(tmp_path / "in")
    the_plan = plan(folder, tmp_path / "out", STATISTICS, series=True)
    assert [len(task.files) for task in the_plan.tasks] == [1, 6, 5, 4]
    with pytest.raises(UsageError, match="holds one image, not a series"):
        plan(folder, tmp_path / "out", STATISTICS, series=True, format="png")
