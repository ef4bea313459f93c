"""Steps along three axes in runs: on whole series and volume files, refused for slices, the same in blocks."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from typer.testing import CliRunner

from ctfast import Pipeline, Step
from ctfast.cli import app
from ctfast.errors import ArgumentError
from ctfast.files import Image, read_image, read_series, write_image
from ctfast.results import PipelineResult
from ctfast.runner import run, volume
from ctfast.runner.settings import Settings
from ctfast.runner.task import Task
from ctkernels.testing import assert_exact
from tests.files.files_build import slices
from tests.runner.test_series import rows_of

STEPS = Pipeline(
    [
        Step("summary"),
        Step("median_filter", size=(3, 3, 3)),
        Step("gaussian_filter", sigma=(0.8, 1.0, 1.0), mode="mirror"),
        Step("normalize", percentiles=(1, 99)),
        Step("histogram", value_range=(0, 1)),
    ]
)


def test_a_series_and_a_volume_file_are_filtered_as_volumes_and_a_slice_is_refused(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    slices(folder)
    series = read_series(folder)[0].read()
    write_image(folder / "v.nii", series.pixels[:, :-1], units="hu", geometry=series.geometry)
    write_image(folder / "slice.tif", series.pixels[0], units="hu")
    report = run(folder, out, STEPS, series=True, format="npy", backend="cpu")
    assert (report.ok, report.failed) == (2, 1)
    rows = rows_of(out)
    done = {len(row["inputs"]): row for row in rows.values() if row["status"] == "ok"}
    assert_exact(read_image(done[max(done)]["output"]).pixels, STEPS(series.pixels))
    (failed,) = (row for row in rows.values() if row["status"] == "failed")
    assert "volumes (..., D, H, W)" in failed["error"]
    assert "--series" in failed["error"]


@pytest.mark.real_data
def test_a_real_volume_through_the_command(awkward: Path, tmp_path: Path) -> None:
    (volume,) = awkward.rglob("*.nii.gz")
    words = ["run", str(volume.parent), "--out", str(tmp_path / "out"), "--series", "--format", "nii"]
    result = CliRunner().invoke(app, [*words, "--step", "median_filter size=3,3,3", "--backend", "cpu"])
    rows = {Path(row["input"]).name: row for row in rows_of(tmp_path / "out").values()}
    assert rows[volume.name]["status"] == "ok", result.output
    before, after = read_image(volume), read_image(rows[volume.name]["output"])
    assert before.pixels.ndim == 3
    assert_exact(after.pixels, ndimage.median_filter(before.pixels, 3))
    # Its three slices are equal; along the other axes, neighbours are more alike than before.
    for axis in (1, 2):
        rough, smooth = (np.abs(np.diff(v.pixels.astype(float), axis=axis)).mean() for v in (before, after))
        assert smooth < rough, axis


def test_blocks_of_slices_equal_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).normal(0, 300, (40, 12, 17)).astype(np.int16)
    image = Image(pixels, "hu", Path("in"), "npy")
    task, settings = Task("in", str(tmp_path / "x.npy")), Settings(STEPS, "cpu")
    whole = volume.compute(image, task, settings)
    monkeypatch.setattr(volume, "_BLOCK_BYTES", 1)
    blocks = volume.compute(image, task, Settings(STEPS, "cpu", max_bytes=1000))
    assert isinstance(whole, PipelineResult)
    assert_exact(np.asarray(blocks.image), whole.image)
    assert whole.summary is not None
    assert blocks.summary is not None
    assert whole.histogram is not None
    assert blocks.histogram is not None
    assert_exact(blocks.histogram.counts, whole.histogram.counts)
    for name in ("count", "mean", "std", "percentiles"):
        assert_exact(getattr(blocks.summary, name), getattr(whole.summary, name), name)
    for step in (
        Step("median_filter", size=(3, 3, 3), mode="wrap"),
        Step("normalize", axes=3),
        Step("clahe", tile_grid=(2, 2, 2)),
    ):
        with pytest.raises(ArgumentError, match="needs the whole volume"):
            volume.compute(image, task, Settings(Pipeline([step]), "cpu", max_bytes=1000))


def test_a_series_taken_as_a_whole_has_one_line_of_statistics(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    slices(folder)
    pipeline = Pipeline([Step("summary", axes=3), Step("normalize", axes=3)])
    report = run(folder, out, pipeline, series=True, format="npy", backend="cpu")
    assert (report.ok, report.failed) == (1, 0)
    (row,) = rows_of(out).values()
    pixels = read_series(folder)[0].read().pixels
    assert_exact(read_image(row["output"]).pixels, pipeline(pixels))
    with (out / "summary.csv").open(newline="") as file:
        (line,) = csv.DictReader(file)
    assert int(line["count"]) == pixels.size
