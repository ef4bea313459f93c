"""``predict`` and ``report`` on dask.distributed give what they give on one machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ctfast.analysis import command
from ctfast.batch.cluster import _in_order
from ctfast.batch.workers import DIED
from ctfast.errors import UsageError
from ctfast.model.commands.options import PredictOptions, TrainOptions
from ctfast.model.commands.predict import predict_files
from ctfast.model.commands.train import train_run
from ctfast.model.prediction.batching import PredictionReport
from ctfast.model.prediction.predicting import rows_of_dead
from ctfast.model.prediction.resume import PredictionTask
from ctfast.tools.synth import write_set
from tests.dask_cluster import Running
from tests.model.serving_build import tiny_run, write_slices


def test_predict_and_report(dask: Running, tmp_path: Path) -> None:
    data, run = tmp_path / "set", tmp_path / "run"
    write_set(data, count=12, seed=0, size=64, dicom=False)
    options = TrainOptions(size=16, widths=(4,), dense=8, members=1, plots=False, config={"epochs": 1})
    train_run([str(data)], run, options)
    (data / "tiff_images" / "bad.tif").write_bytes(b"II*\0broken")
    tables = [tmp_path / "here.csv", tmp_path / "there.csv"]
    here = predict_files(run, data, tables[0], batch_size=4)
    with pytest.raises(UsageError, match="has no workers"):
        predict_files(run, data, tables[0], cluster=dask.address, overwrite=True)
    assert tables[0].read_bytes().count(b"\n") == 14, "refused before anything is replaced"
    dask.worker()
    seen: list[int] = []
    explained = tmp_path / "pictures"
    there = predict_files(
        run, data, tables[1], batch_size=4, cluster=dask.address, explain_dir=explained,
        progress=lambda done, **_: seen.append(done),
    )  # fmt: skip
    assert (there.ok, there.failed, there.images) == (here.ok, here.failed, here.images) == (12, 1, 12)
    assert there.counts == here.counts
    assert (seen, seen[-1]) == (sorted(set(seen)), 13)
    assert len(list(explained.rglob("*.png"))) == 12
    assert tables[1].read_bytes() == tables[0].read_bytes()
    assert predict_files(run, data, tables[1], cluster=dask.address).done_before == 12

    pages = [tmp_path / "here.json", tmp_path / "there.json"]
    for page, cluster in zip(pages, (None, dask.address)):
        written = command.report(data, page.with_suffix(".html"), json=page, cluster=cluster)
        assert (len(written.analysis.records), written.failed) == (12, 1)
    first, second = (json.loads(page.read_text()) for page in pages)
    assert first == second


def test_what_is_refused(tmp_path: Path) -> None:
    files = write_slices(tmp_path / "in", ["a.tif"])
    with pytest.raises(UsageError, match="needs the run as a folder"):
        predict_files(tiny_run(), files, tmp_path / "p.csv", cluster="local")
    for call in (lambda: PredictOptions(cluster="host"), lambda: command.report(files, cluster="host")):
        with pytest.raises(UsageError, match="local, or an address such as tcp://host:8786"):
            call()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in"]


def test_a_file_that_kills_its_worker_has_a_row(tmp_path: Path) -> None:
    run, report = tiny_run(), PredictionReport(tmp_path / "p.csv", "x", ("a", "b"))
    (file,) = write_slices(tmp_path / "in", ["a.tif"])
    (row,) = rows_of_dead([PredictionTask(str(file), None)], run.preprocessing, PredictOptions(), report)
    assert (row[0], DIED in row[5], report.failed) == (str(file), True, 1)
    total = PredictionReport(tmp_path / "p.csv", "x", ("a", "b"), ok=2, counts={"a": 2})
    report.counts, report.notes = {"a": 1, "b": 3}, ["n"]
    total.add(report)
    total.add(report)
    assert (total.ok, total.failed, total.counts, total.notes) == (2, 2, {"a": 4, "b": 6}, ["n"])


def test_groups_come_in_order_when_that_is_asked_for() -> None:
    assert list(_in_order([(1, ["b"]), (0, ["a", "a"]), (3, ["d"]), (2, [])])) == [["a", "a"], ["b"], [], ["d"]]
