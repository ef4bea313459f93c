"""``predict_files``: right rows in the right order, whatever files, kills and memory do."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from rich.console import Console

import ctfast
from ctfast.errors import ArgumentError, UsageError
from ctfast.files import read_image, write_image
from ctfast.model.commands.options import PredictOptions
from ctfast.model.commands.predict import predict_files
from ctfast.model.commands.printing import print_predictions
from ctfast.model.prediction import compiled
from ctfast.model.run_folder import TrainedModel
from tests.files.files_build import dicom
from tests.model.serving_build import CLASSES, SIZE, probabilities_one_by_one, tiny_run, write_slices

ROOT = Path(ctfast.__file__).parents[1]
NAMES = [f"s{k:02d}.tif" for k in range(7)]


@pytest.fixture(scope="module")
def run() -> Any:
    return tiny_run()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_slices(tmp_path / "in", NAMES)
    return tmp_path / "in"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_rows_are_what_the_network_says_of_each_image_alone(run: TrainedModel, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "p.csv"
    seen: list[tuple[int, int]] = []
    report = predict_files(run, folder, out, batch_size=3, progress=lambda *, done, failed: seen.append((done, failed)))
    rows = rows_of(out)
    assert list(rows[0])[:6] == ["file", "prediction", "p_native", "p_contrast", "model", "error"]
    assert [r["file"] for r in rows] == [str(folder / name) for name in NAMES]
    assert {r["model"] for r in rows} == {run.hash}
    images = np.concatenate([run.preprocessing.read(folder / name)[0] for name in NAMES])
    expected = probabilities_one_by_one(run, images)
    got = np.array([[float(r["p_native"]), float(r["p_contrast"])] for r in rows])
    np.testing.assert_allclose(got, expected, atol=1e-6)  # float32, 2000 terms: a few 1e-7
    assert np.ptp(got[:, 0]) > 1e-3, "the slices must differ, or the order could not be seen"
    assert [r["prediction"] for r in rows] == [CLASSES[k] for k in expected.argmax(axis=1)]
    assert (report.ok, report.failed, report.images, report.not_trusted) == (7, 0, 7, 0)
    assert sum(report.counts.values()) == 7
    assert seen[-1] == (7, 0)


@pytest.mark.parametrize("networks", [1, 3])
def test_probabilities_of_an_image_do_not_depend_on_its_batch(networks: int) -> None:
    first, *others = (tiny_run(tuple("abcdefghijkl"), seed=seed) for seed in range(networks))
    run = TrainedModel.of(first.model, first.preprocessing, first.classes, others=[o.model for o in others])
    images = np.random.default_rng(0).integers(0, 65536, (600, *SIZE)).astype(np.uint16)
    together = compiled.Predictor(run, 600).all(images)  # XLA's softmax of so many rows is code of another library
    for many in (1, 7):
        np.testing.assert_array_equal(compiled.Predictor(run, many).all(images[:21]), together[:21])
    each = np.array([probabilities_one_by_one(o, images[:9]) for o in (first, *others)])
    np.testing.assert_allclose(together[:9], each.mean(axis=0), rtol=1e-6)


def test_every_batch_has_one_shape_and_the_program_is_shared(run: TrainedModel, folder: Path, tmp_path: Path) -> None:
    before = compiled.predict_batch._cache_size()
    predict_files(run, folder, tmp_path / "a.csv", batch_size=6)
    predict_files(tiny_run(seed=1), folder, tmp_path / "b.csv", batch_size=6)
    assert compiled.predict_batch._cache_size() == before + 1
    assert (tmp_path / "a.csv").read_bytes() != (tmp_path / "b.csv").read_bytes()


def test_bad_files_get_a_row_and_stop_nothing(run: TrainedModel, folder: Path, tmp_path: Path) -> None:
    (folder / "s01a.tif").write_text("no image")
    (folder / "s02a.tif").write_bytes((folder / "s02.tif").read_bytes()[:2000])
    report = predict_files(run, folder, tmp_path / "p.csv", batch_size=4)
    rows = rows_of(tmp_path / "p.csv")
    assert [Path(r["file"]).name for r in rows] == sorted([*NAMES, "s01a.tif", "s02a.tif"])
    bad = [r for r in rows if r["error"]]
    assert [Path(r["file"]).name for r in bad] == ["s01a.tif", "s02a.tif"]
    assert all(r["prediction"] == r["p_native"] == r["p_contrast"] == "" and r["model"] == run.hash for r in bad)
    assert (report.ok, report.failed) == (7, 2)
    assert [Path(name).name for name, _ in report.failures] == ["s01a.tif", "s02a.tif"]
    alone = predict_files(run, folder / "s01a.tif", tmp_path / "alone.csv")
    assert (alone.ok, alone.failed, len(rows_of(tmp_path / "alone.csv"))) == (0, 1, 1)


def test_a_second_run_does_only_what_is_new_changed_or_failed(run: TrainedModel, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "p.csv"
    (folder / "s03.tif").write_text("no image")
    predict_files(run, folder, out)
    same = out.read_bytes()
    write_slices(folder, ["s00a.tif"], seed=5)  # new
    write_slices(folder, ["s03.tif"], seed=6)  # failed before
    write_slices(folder, ["s05.tif"], seed=7)  # changed: same size, so the time must tell
    os.utime(folder / "s05.tif", (1e9, 1e9))
    report = predict_files(run, folder, out)
    assert (report.done_before, report.ok, report.failed) == (5, 3, 0)
    fresh = tmp_path / "fresh.csv"
    predict_files(run, folder, fresh)
    assert out.read_bytes() == fresh.read_bytes() != same
    again = predict_files(run, folder, out)
    assert (again.done_before, again.ok) == (8, 0)
    assert out.read_bytes() == fresh.read_bytes()
    everything = predict_files(run, folder, out, resume=False)
    assert (everything.done_before, everything.ok) == (0, 8)
    assert out.read_bytes() == fresh.read_bytes()


def test_rows_of_other_files_are_kept(run: TrainedModel, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "p.csv"
    predict_files(run, folder / "s06.tif", out)
    predict_files(run, [folder / "s01.tif", folder / "s00.tif"], out)
    assert [Path(r["file"]).name for r in rows_of(out)] == ["s06.tif", "s01.tif", "s00.tif"]
    out.write_bytes(out.read_bytes()[:-4])  # half of a time: a row with all its cells that is not whole
    predict_files(run, folder / "s01.tif", out)
    assert [Path(r["file"]).name for r in rows_of(out)] == ["s06.tif", "s01.tif"]


def test_a_table_cut_anywhere_is_mended(run: TrainedModel, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "p.csv"
    names = ["a,b.npy", 'quo"te.npy', "new\nline.npy", "=formula().npy"]
    write_slices(folder, names)
    predict_files(run, folder, out)
    whole = out.read_bytes()
    done = set()
    for cut in [*range(0, 100, 9), *range(100, len(whole), 23), len(whole) - 1]:
        out.write_bytes(whole[:cut])
        report = predict_files(run, folder, out)
        done.add(report.done_before)
        assert out.read_bytes() == whole, cut
    assert {0, 1, len(NAMES) + len(names) - 1} <= done


def test_what_a_killed_process_left_beside_the_table_is_not_appended_to(
    run: TrainedModel, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.csv"
    predict_files(run, folder, out)
    whole = out.read_bytes()
    rows = whole.splitlines(keepends=True)
    # In containers a second process often has the same number as one that was killed while it rewrote the table.
    for name in (f".p.csv.{os.getpid()}", f".p.csv.{os.getpid()}.tmp"):
        (tmp_path / name).write_bytes(rows[0] + rows[3].replace(b".tif", b".old.tif"))
    predict_files(run, folder, out, resume=False)
    assert out.read_bytes() == whole
    assert len(rows_of(out)) == len(NAMES)


def test_killed_in_the_middle_and_resumed_gives_the_same_table(run: TrainedModel, folder: Path, tmp_path: Path) -> None:
    stack = np.random.default_rng(3).normal(100, 300, (5, 64, 60)).astype(np.int16)
    write_image(folder / "s03-stack.tif", stack, units="hu")
    script = textwrap.dedent(f"""
        import os, signal, sys
        from tests.model.serving_build import tiny_run
        from ctfast.model.commands.predict import predict_files
        def kill(*, done, failed):
            if done >= 4:
                os.kill(os.getpid(), signal.SIGKILL)
        predict_files(tiny_run(), {str(folder)!r}, {str(tmp_path / "p.csv")!r}, batch_size=2, progress=kill)
    """)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "kernels"), str(ROOT)])}
    killed = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert 4 <= len(rows_of(tmp_path / "p.csv")) < 12
    report = predict_files(run, folder, tmp_path / "p.csv", batch_size=2)
    assert report.done_before >= 4
    predict_files(run, folder, tmp_path / "fresh.csv", batch_size=2)
    assert (tmp_path / "p.csv").read_bytes() == (tmp_path / "fresh.csv").read_bytes()


def test_a_stack_has_a_row_a_frame_across_batches(run: TrainedModel, tmp_path: Path) -> None:
    stack = np.random.default_rng(3).normal(100, 300, (5, 64, 60)).astype(np.int16)
    write_image(tmp_path / "stack.tif", stack, units="hu")
    write_slices(tmp_path, ["x.tif"])
    predict_files(run, [tmp_path / "stack.tif", tmp_path / "x.tif"], tmp_path / "p.csv", batch_size=2)
    rows = rows_of(tmp_path / "p.csv")
    assert [(r["frame"], r["frames"]) for r in rows] == [*((str(k), "5") for k in range(5)), ("", "")]
    expected = probabilities_one_by_one(run, run.preprocessing(stack))
    np.testing.assert_allclose([float(r["p_contrast"]) for r in rows[:5]], expected[:, 1], atol=1e-6)
    # Half of a stack's rows is as good as none.
    lines = (tmp_path / "p.csv").read_bytes().splitlines(keepends=True)
    (tmp_path / "p.csv").write_bytes(b"".join(lines[:3]))
    report = predict_files(run, [tmp_path / "stack.tif", tmp_path / "x.tif"], tmp_path / "p.csv", batch_size=2)
    assert report.done_before == 0
    assert (tmp_path / "p.csv").read_bytes() == b"".join(lines)


def test_names_that_are_formulas_or_no_text(run: TrainedModel, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    names = ["=1+2.npy", "'=1+2.npy", "@x.npy", "a,b.npy", 'q"q.npy', "l\nl.npy", "\udcff.npy", "tab\t.npy"]
    write_slices(folder, names)
    here = Path.cwd()
    os.chdir(folder)
    try:
        predict_files(run, sorted(names), tmp_path / "p.csv")
        report = predict_files(run, sorted(names), tmp_path / "p.csv")
    finally:
        os.chdir(here)
    assert report.done_before == len(names)
    files = [r["file"] for r in rows_of(tmp_path / "p.csv")]
    assert len(set(files)) == len(names)
    assert not [f for f in files if f.startswith(("=", "@"))]
    assert {"'=1+2.npy", "''=1+2.npy", "'@x.npy", "a,b.npy", 'q"q.npy', "l\nl.npy", "\\udcff.npy"} <= set(files)


def test_class_names_that_are_formulas_are_quoted_and_numbers_are_not(folder: Path, tmp_path: Path) -> None:
    predict_files(tiny_run(("=evil()", "-1")), folder, tmp_path / "p.csv")
    assert {r["prediction"] for r in rows_of(tmp_path / "p.csv")} <= {"'=evil()", "-1"}
    assert "p_=evil()" in rows_of(tmp_path / "p.csv")[0]


def test_what_would_mix_or_lose_data_is_refused(run: TrainedModel, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "p.csv"
    other = tiny_run(seed=1)
    predict_files(other, folder, out)
    before = out.read_bytes()
    with pytest.raises(UsageError, match=rf"another model \({other.hash} there, {run.hash} now\): .*--overwrite"):
        predict_files(run, folder, out)
    with pytest.raises(UsageError, match="is not a table with the columns"):
        predict_files(tiny_run(("a", "b", "c")), folder, out)
    assert out.read_bytes() == before
    predict_files(run, folder, out, overwrite=True)
    assert {r["model"] for r in rows_of(out)} == {run.hash}
    (tmp_path / "foreign.csv").write_text("name,value\nx,1\n")
    with pytest.raises(UsageError, match="is not a table with the columns"):
        predict_files(run, folder, tmp_path / "foreign.csv")
    with pytest.raises(UsageError, match="is a folder"):
        predict_files(run, folder, tmp_path)
    with pytest.raises(UsageError, match="is an input"):
        predict_files(run, folder, folder / "s00.tif")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no images found"):
        predict_files(run, tmp_path / "empty", out)
    with pytest.raises(UsageError, match="does not exist"):
        predict_files(run, tmp_path / "nowhere", out)
    for wrong in ({"batch_size": 0}, {"pool": "swimming"}, {"units": "kelvin"}):
        with pytest.raises(ArgumentError, match=f"{next(iter(wrong))}="):
            predict_files(run, folder, out, **wrong)


def test_options_come_as_an_object_by_name_or_both(run: TrainedModel, folder: Path, tmp_path: Path) -> None:
    options = PredictOptions(units="stored", batch_size=2)
    predict_files(run, folder, tmp_path / "object.csv", options)
    predict_files(run, folder, tmp_path / "names.csv", units="stored", batch_size=2)
    predict_files(run, folder, tmp_path / "both.csv", replace(options, units="hu"), units="stored")
    texts = {(tmp_path / f"{name}.csv").read_bytes() for name in ("object", "names", "both")}
    assert len(texts) == 1
    assert {row["units"] for row in rows_of(tmp_path / "object.csv")} == {"stored"}
    with pytest.raises(TypeError, match="batchsize"):
        predict_files(run, folder, tmp_path / "p.csv", batchsize=2)


def test_values_that_are_not_known_to_be_hu_are_counted(run: TrainedModel, tmp_path: Path) -> None:
    write_slices(tmp_path, ["a.npy", "b.tif"])
    inputs = [tmp_path / "a.npy", tmp_path / "b.tif"]
    assert predict_files(run, inputs, tmp_path / "p.csv").not_trusted == 1
    assert [r["units"] for r in rows_of(tmp_path / "p.csv")] == ["unknown", "hu"]
    assert predict_files(run, inputs, tmp_path / "q.csv", units="hu").not_trusted == 0


def test_what_readers_note_is_counted_and_printed(
    run: TrainedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hu = np.zeros((32, 30), np.float32)
    hu[3, 4] = np.nan
    write_image(tmp_path / "nan.tif", hu, units="hu")
    for k, loss in enumerate(["00", "01", "01"]):
        dicom(tmp_path / f"{k}.dcm", np.full((32, 30), k, np.int16), LossyImageCompression=loss)
    report = predict_files(run, [tmp_path / "nan.tif", *sorted(tmp_path.glob("*.dcm"))], tmp_path / "p.csv")
    lossy = "compressed with loss: values differ from the scanner's"
    assert report.file_notes == {lossy: 2, "some pixels are NaN or infinite": 1}
    print_predictions(report, Console(width=200))
    out = capsys.readouterr().out
    assert f"warning: 2 files: {lossy}\nwarning: 1 file: some pixels are NaN or infinite\n" in out


def test_slices_of_another_aspect_ratio_are_told(run: TrainedModel, tmp_path: Path) -> None:
    for name, shape in (("a", (32, 30)), ("b", (64, 60)), ("c", (64, 64))):
        write_image(tmp_path / f"{name}.tif", np.zeros(shape, np.int16), units="hu")
    report = predict_files(run, tmp_path, tmp_path / "p.csv")
    assert report.file_notes == {"another aspect ratio than 32 x 30: stretched": 1}


def test_a_set_that_documents_an_offset_gives_the_rows_of_its_hu(
    run: TrainedModel, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "moved").mkdir()
    for name in NAMES:
        hu = read_image(folder / name).pixels
        write_image(tmp_path / "moved" / name, (hu + 1024).astype(np.uint16))
    out = tmp_path / "p.csv"
    asked = predict_files(run, tmp_path / "moved", out)
    assert asked.not_trusted == len(NAMES)
    again = predict_files(run, tmp_path / "moved", out, units="hu", offset=-1024)
    assert (again.ok, again.done_before) == (len(NAMES), 0), "rows of values that were read otherwise are done again"
    assert {row["read_as"] for row in rows_of(out)} == {"hu, offset -1024"}
    predict_files(run, folder, tmp_path / "q.csv")
    values = ["prediction", "p_native", "p_contrast", "units"]
    got, wanted = rows_of(out), rows_of(tmp_path / "q.csv")
    assert [[r[v] for v in values] for r in got] == [[r[v] for v in values] for r in wanted]
    with pytest.raises(ArgumentError, match="one of them"):
        PredictOptions(offset=1, dataset="deeplesion")


def test_a_batch_that_does_not_fit_is_halved_and_said(
    run: TrainedModel, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict_files(run, folder, tmp_path / "p.csv")
    real = compiled.predict_batch

    def small(*args: Any) -> Any:
        if len(args[-1]) > 2:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes")
        return real(*args)

    monkeypatch.setattr(compiled, "predict_batch", small)
    report = predict_files(run, folder, tmp_path / "q.csv", batch_size=8)
    assert [note.partition(":")[0] for note in report.notes] == [
        "a batch of 8 did not fit into memory",
        "a batch of 4 did not fit into memory",
    ]
    left, right = rows_of(tmp_path / "p.csv"), rows_of(tmp_path / "q.csv")
    np.testing.assert_allclose([float(r["p_native"]) for r in left], [float(r["p_native"]) for r in right], atol=1e-6)

    def broken(*_: Any) -> Any:
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")

    monkeypatch.setattr(compiled, "predict_batch", broken)
    with pytest.raises(jax.errors.JaxRuntimeError, match="something else"):
        predict_files(run, folder, tmp_path / "r.csv")


def test_processes_read_the_same(run: TrainedModel, folder: Path, tmp_path: Path) -> None:
    (folder / "bad.tif").write_text("no image")
    predict_files(run, folder, tmp_path / "threads.csv", pool="threads")
    predict_files(run, folder, tmp_path / "processes.csv", pool="processes", workers=2)
    assert (tmp_path / "threads.csv").read_bytes() == (tmp_path / "processes.csv").read_bytes()


@pytest.mark.real_data
def test_the_tiff_and_the_dicom_file_of_a_slice_are_the_same_to_the_network(
    run: TrainedModel, siim: Path, tmp_path: Path
) -> None:
    tiffs, dicoms = (sorted((siim / name).iterdir())[:6] for name in ("tiff_images", "dicom_dir"))
    report = predict_files(run, [*tiffs, *dicoms], tmp_path / "p.csv", batch_size=4)
    assert (report.ok, report.failed, report.not_trusted) == (12, 0, 0)
    p = [float(r["p_contrast"]) for r in rows_of(tmp_path / "p.csv")]
    # The TIFFs are truncated where the rescale slope is no whole number: less than 1 of 1200 HU.
    np.testing.assert_allclose(p[:6], p[6:], atol=2e-3)
    assert np.ptp(p) > 1e-3


def test_twins_are_predicted_once(run: TrainedModel, tmp_path: Path) -> None:
    name = "ID_0000_AGE_0060_CONTRAST_1_CT"
    write_slices(tmp_path / "set" / "tiff_images", [f"{name}.tif"])
    (tmp_path / "set" / "dicom_dir").mkdir()
    (tmp_path / "set" / "dicom_dir" / f"{name}.dcm").write_bytes(b"not looked at")
    report = predict_files(run, tmp_path / "set", tmp_path / "p.csv")
    assert [Path(row["file"]).name for row in rows_of(tmp_path / "p.csv")] == [f"{name}.tif"]
    assert ["whose TIFF was taken" in left.reason for left in report.left_out] == [True]
