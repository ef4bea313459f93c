"""Declared padding is no data: not in statistics, not in ranges, never tissue; in runs and in the network's data alike.

Right values are those of the pixels without it, by NumPy.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctfast import Pipeline, Step, runner
from ctfast.analysis.pages.thumbnails import slice_pictures
from ctfast.analysis.scan.scan_set import collect
from ctfast.errors import ArgumentError
from ctfast.files import read_image, write_image
from ctfast.files.values import Values
from ctfast.model.data.decoding import hu_shares
from ctfast.model.data.preprocessing import Preprocessing
from tests.files.files_build import dicom

DATA = np.random.default_rng(8).integers(-1000, 1400, (3, 24, 20)).astype(np.int16)
OUTSIDE = np.zeros(DATA.shape, bool)
OUTSIDE[0, :9], OUTSIDE[1, 5:, 3:] = True, True


def padded(value: int) -> np.ndarray:
    return np.where(OUTSIDE, np.int16(value), DATA)


def summary_of(result: Any) -> list[tuple[float, ...]]:
    s = result.summary
    return [(s.count[k], s.mean[k], s.min[k], s.max[k], s.percentiles[k, 0]) for k in range(len(s.count))]


@pytest.mark.parametrize("value", [-2000, 0, 3000])
def test_statistics_leave_it_out(value: int) -> None:
    pipeline = Pipeline([Step("summary", percentiles=(50,)), Step("window", center=0, width=500), Step("histogram")])
    result = pipeline.run(padded(value), padding=value)
    data = [frame[~out & (frame != value)] for frame, out in zip(DATA, OUTSIDE)]
    expected = [(d.size, d.mean(), d.min(), d.max(), np.median(d)) for d in data]
    np.testing.assert_allclose(summary_of(result), expected, rtol=1e-12)
    windowed = pipeline(DATA)
    kept = [frame[~out & (given != value)] for frame, out, given in zip(windowed, OUTSIDE, DATA)]
    ends = (min(k.min() for k in kept), max(k.max() for k in kept))
    np.testing.assert_array_equal(result.histogram.counts, [np.histogram(k, 256, ends)[0] for k in kept])


def test_statistics_of_volumes_leave_it_out() -> None:
    pipeline = Pipeline([Step("summary", axes=3, percentiles=(50,)), Step("normalize", axes=3)])
    result, data = pipeline.run(padded(-2000), padding=-2000), DATA[~OUTSIDE]
    assert (result.summary.count, result.summary.mean) == (data.size, pytest.approx(data.mean()))
    np.testing.assert_array_equal(result.image[~OUTSIDE], Pipeline([Step("normalize")])(data[None])[0])


@pytest.mark.parametrize("value", [-2000, 3000])
@pytest.mark.parametrize(
    "step", [Step("normalize"), Step("standardize"), Step("normalize", percentiles=(2, 98)), Step("clahe")], ids=str
)
def test_ranges_leave_it_out(step: Step, value: int) -> None:
    image, out = padded(value)[0], OUTSIDE[0]
    result = Pipeline([step]).run(image, padding=value).image
    alone = DATA[0][~out][None, :]
    if step.operation == "clahe":  # its tiles see the padding as the darkest data
        expected = Pipeline([step])(np.where(out, alone.min(), DATA[0]))
        np.testing.assert_array_equal(result, expected)
        return
    np.testing.assert_array_equal(result[~out], Pipeline([step])(alone)[0])
    assert result[out].max() <= result[~out].min()


@pytest.mark.parametrize("value", [-2000, 3000])
def test_a_pipeline_is_told_by_what_was_read(tmp_path: Path, value: int) -> None:
    image = read_image(dicom(tmp_path / "x.dcm", padded(value)[0], PixelPaddingValue=value))
    pipeline = Pipeline([Step("window", center=0, width=500, dtype="uint8"), Step("summary")])
    result, told = pipeline.run(image), pipeline.run(image.pixels, padding=value)
    np.testing.assert_array_equal(result.image, told.image)
    assert result.summary.count == np.count_nonzero(~OUTSIDE[0] & (DATA[0] != value))
    assert not pipeline(image)[OUTSIDE[0]].any()
    assert pipeline.run(image.pixels).summary.count == DATA[0].size
    assert pipeline.run(image, padding=int(DATA[0, -1, -1])).summary.count < DATA[0].size


@pytest.mark.parametrize("format", ["tif", "zarr", "nii", "mha", "nrrd"])
@pytest.mark.parametrize("limit", [None, -1990])
def test_it_stays_known_where_the_units_do(tmp_path: Path, format: str, limit: int | None) -> None:
    """A run over the outputs of a run leaves it out again."""
    stored = padded(-2000)[0]
    stored[0, 0] = -2000 if limit is None else limit
    (tmp_path / "in").mkdir()
    dicom(tmp_path / "in" / "x.dcm", stored, PixelPaddingValue=-2000, PixelPaddingRangeLimit=limit)
    image = read_image(tmp_path / "in" / "x.dcm")
    counts = []
    for step, kept in ((Step("rank_filter", rank=0, size=1), True), (Step("normalize"), False)):
        out = tmp_path / step.operation
        runner.run(tmp_path / "in", out, Pipeline([step]), format=format)
        again = read_image(next(out.glob("x.*")))
        assert again.padding_range == (image.padding_range if kept else None)
        counts.append(Pipeline([Step("summary")]).run(again).summary.count)
    assert counts == [np.count_nonzero(~OUTSIDE[0]), DATA[0].size]
    write_image(tmp_path / f"y.{format}", image)
    assert read_image(tmp_path / f"y.{format}").padding_range == image.padding_range


def test_it_is_never_tissue() -> None:
    window = Pipeline([Step("window", center=0, width=4000)])
    for frame, out in zip(padded(300), OUTSIDE):
        shown = window.run(frame, padding=300).image
        assert np.all(shown[out] == shown[~out].min())
    np.testing.assert_array_equal(window.run(padded(-2000), padding=-2000).image, window(padded(-2000)))
    smooth = Pipeline([Step("median_filter", size=3)])
    np.testing.assert_array_equal(smooth.run(padded(300), padding=300).image, smooth(padded(300)))


def test_an_image_of_nothing_else() -> None:
    pipeline = Pipeline([Step("clahe"), Step("summary"), Step("histogram", value_range=(0, 9), bins=3)])
    result = pipeline.run(np.full((9, 8), -2000, np.int16), padding=-2000)
    assert result.summary.count == 0
    assert np.isnan(result.summary.mean)
    assert not result.histogram.counts.any()


def test_arrays_of_other_libraries_are_refused() -> None:
    with pytest.raises(ArgumentError, match="NumPy array"):
        Pipeline([Step("clahe")]).run([[1, 2], [3, 4]], padding=1)


def files_with_a_range(folder: Path) -> Path:
    """Every value from -2000 to -1500 is padding; the file says so."""
    folder.mkdir()
    pixels = DATA[0].copy()
    pixels[OUTSIDE[0]] = np.random.default_rng(1).integers(-2000, -1499, OUTSIDE[0].sum())
    return dicom(folder / "a.dcm", pixels, PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1500)


@pytest.mark.parametrize("series", [False, True])
def test_a_run_uses_what_the_file_declares(tmp_path: Path, series: bool) -> None:
    path = files_with_a_range(tmp_path / "in")
    assert read_image(path).padding_range == (-2000, -1500)
    runner.run([tmp_path / "in"], tmp_path / "out", Pipeline([Step("summary")]), series=series)
    with (tmp_path / "out" / "summary.csv").open() as file:
        row = next(csv.DictReader(file))
    assert (int(row["count"]), float(row["mean"])) == ((~OUTSIDE[0]).sum(), pytest.approx(DATA[0][~OUTSIDE[0]].mean()))


def test_the_network_uses_what_the_file_declares(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", padded(300)[0], PixelPaddingValue=300)
    preprocessing = Preprocessing(image_size=(24, 20))
    made, image = preprocessing.read(path)
    padding = image.pixels == 300
    assert not made[0][padding].any()
    assert made[0][~padding].any()
    in_band = (image.pixels >= -1000) & (image.pixels <= 1000) & ~padding
    assert hu_shares(image.pixels, image.padding_range).sum() == pytest.approx(in_band.mean())


def test_the_report_uses_what_the_file_declares(tmp_path: Path) -> None:
    path = files_with_a_range(tmp_path / "in")
    (record,) = collect([path]).records
    data = DATA[0][~OUTSIDE[0]]
    assert record.stats["mean"] == pytest.approx(data.mean())
    assert record.stats["declared_padding_pixels"] == OUTSIDE[0].sum()
    moved = dicom(tmp_path / "b.dcm", padded(300)[0], PixelPaddingValue=300)
    (record,) = collect([moved]).records
    assert record.stats["mean"] == pytest.approx(data[data != 300].mean())


def test_the_pictures_of_a_report_show_it_dark(tmp_path: Path) -> None:
    dicom(tmp_path / "x.dcm", padded(3000)[0], PixelPaddingValue=3000)
    (record,) = collect([tmp_path]).records
    assert (record.stats["metal_pixels"], record.stats["saturated_pixels"]) == (0, 0)
    made = slice_pictures(record, Pipeline([Step("window", center=0, width=500, dtype="uint8")]), Values())
    windows = [p.pixels for p in made if p.key.startswith(("window-", "step-"))]
    assert windows
    for picture in windows:
        assert picture[OUTSIDE[0]].max() <= picture[~OUTSIDE[0]].min()
        assert picture[~OUTSIDE[0]].any()
