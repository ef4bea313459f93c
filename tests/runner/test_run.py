"""The main job: every input accounted for, nothing lost, nothing half written."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ctfast
from ctfast import Pipeline, Step
from ctfast.files import read_image, write_image
from ctfast.runner import Row, read_rows, run
from ctfast.runner.running import run_tasks
from ctfast.runner.settings import Settings
from ctfast.runner.task import Task

Make = Callable[..., Path]

ONE_NAN = np.ones((5, 5), np.float32)
ONE_NAN[1, 2] = np.nan


def table_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def rows_of(out: Path) -> list[Row]:
    return read_rows(out)


@pytest.mark.parametrize("pool", ["threads", "processes"])
def test_outputs_equal_the_pipeline_and_are_all_listed(
    make_folder: Make, tmp_path: Path, pipeline: Pipeline, pool: str
) -> None:
    folder = make_folder(7)
    (folder / "deep" / "er").mkdir(parents=True)
    write_image(folder / "deep" / "er" / "x.npy", np.ones((2, 9, 11), np.int16))
    report = run(folder, tmp_path / "out", pipeline, workers=2, pool=pool)
    assert (report.ok, report.failed, report.images) == (8, 0, 9)
    rows = rows_of(tmp_path / "out")
    assert [r["status"] for r in rows] == ["ok"] * 8
    for row in rows:
        source, output = Path(str(row["input"])), Path(str(row["output"]))
        assert output.relative_to(tmp_path / "out").with_suffix("") == source.relative_to(folder).with_suffix("")
        result = read_image(output).pixels
        np.testing.assert_array_equal(result, pipeline(read_image(source).pixels))
        assert (row["shape"], row["dtype"]) == (list(result.shape), "uint8")
        assert row["pipeline"] == pipeline.hash
        assert len(str(row["input_hash"])) == 64
    assert sorted(p.name for p in (tmp_path / "out").iterdir() if p.name.startswith(".")) == []


def test_statistics_are_those_of_the_images(make_folder: Make, tmp_path: Path) -> None:
    folder = make_folder(5)
    write_image(folder / "stack.tif", np.arange(4 * 9 * 11, dtype=np.int16).reshape(4, 9, 11), units="hu")
    pipeline = Pipeline(
        [Step("median_filter", size=3), Step("histogram", bins=64, value_range=(-1024, 3071)), Step("summary")]
    )
    run(folder, tmp_path / "out", pipeline, workers=2)
    archive = np.load(tmp_path / "out" / "statistics.npz")
    table = table_of(tmp_path / "out" / "summary.csv")
    assert len(table) == 9 == len(archive["counts"])
    np.testing.assert_array_equal(archive["edges"], np.linspace(-1024, 3071, 65))
    for i, row in enumerate(table):
        image = np.atleast_3d(read_image(tmp_path / "out" / row["output"]).pixels.T).T[int(row["frame"])]
        np.testing.assert_array_equal(archive["counts"][i], np.histogram(image, 64, (-1024, 3071))[0])
        assert float(row["p50"]) == np.median(image) == archive["p50"][i]
        assert float(row["mean"]) == pytest.approx(image.mean())
        assert archive["output"][i] == row["output"]


def test_one_bad_file_never_stops_the_batch(make_folder: Make, tmp_path: Path, pipeline: Pipeline) -> None:
    folder = make_folder(4)
    (folder / "empty.tif").write_bytes(b"")
    (folder / "page.tif").write_text("<html>404</html>")
    good = (folder / "slice_000.tif").read_bytes()
    (folder / "cut.tif").write_bytes(good[: len(good) // 2])
    write_image(folder / "nan.tif", ONE_NAN, units="hu")
    report = run(folder, tmp_path / "out", pipeline, workers=2)
    assert (report.ok, report.failed) == (5, 3)
    failures = table_of(tmp_path / "out" / "failures.csv")
    assert sorted(Path(f["input"]).name for f in failures) == ["cut.tif", "empty.tif", "page.tif"]
    assert all(f["error"] for f in failures)
    assert not list((tmp_path / "out").glob("cut*"))
    again = run(folder, tmp_path / "out", pipeline, workers=2)
    assert (again.done_before, again.failed) == (5, 3), "failures are tried again"
    (folder / "cut.tif").write_bytes(good)
    assert run(folder, tmp_path / "out", pipeline).ok == 1
    assert len(rows_of(tmp_path / "out")) == 8, "one line an input, however often it was tried"


def test_stop_at_the_first_error(make_folder: Make, tmp_path: Path, pipeline: Pipeline) -> None:
    folder = make_folder(20)
    (folder / "slice_000.tif").write_bytes(b"broken")
    report = run(folder, tmp_path / "out", pipeline, workers=1, on_error="stop")
    assert report.failed == 1
    assert report.skipped > 10
    assert report.ok + report.failed + report.skipped == 20
    states = [r["status"] for r in rows_of(tmp_path / "out")]
    assert len(states) == 20
    assert states.count("skipped") == report.skipped
    assert len(list((tmp_path / "out").glob("slice*.tif"))) == report.ok
    assert run(folder, tmp_path / "out", pipeline).ok == report.skipped


def test_a_step_that_refuses_is_named_in_the_failure(make_folder: Make, tmp_path: Path) -> None:
    folder = make_folder(1)
    write_image(folder / "float.tif", ONE_NAN, units="hu")
    report = run(folder, tmp_path / "out", Pipeline([Step("histogram")]))
    assert report.failed == 1
    assert "give value_range" in report.failures[0]["error"]
    assert "step 1 of the pipeline" in report.failures[0]["error"]


def test_unknown_values_are_counted_not_guessed(make_folder: Make, tmp_path: Path, pipeline: Pipeline) -> None:
    folder = make_folder(3, suffix=".npy")
    assert run(folder, tmp_path / "a", pipeline).not_hu == 3
    assert {r["units"] for r in rows_of(tmp_path / "a")} == {"unknown"}
    assert run(folder, tmp_path / "b", pipeline, units="hu").not_hu == 0
    assert {r["units"] for r in rows_of(tmp_path / "b")} == {"hu"}


@pytest.mark.parametrize(("format", "suffix"), [("tif", ".tif"), ("npy", ".npy"), ("nii", ".nii.gz"), ("png", ".png")])
def test_formats(make_folder: Make, tmp_path: Path, pipeline: Pipeline, format: str, suffix: str) -> None:
    folder = make_folder(2)
    assert run(folder, tmp_path / "out", pipeline, format=format).ok == 2
    assert len(list((tmp_path / "out").glob(f"slice_*{suffix}"))) == 2


def test_compression_makes_files_smaller(tmp_path: Path, pipeline: Pipeline) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write_image(folder / "flat.tif", np.zeros((200, 200), np.int16), units="hu")
    for compression in ("none", "zlib"):
        run(folder, tmp_path / compression, pipeline, compression=compression)
    sizes = [(tmp_path / c / "flat.tif").stat().st_size for c in ("none", "zlib")]
    assert sizes[1] < sizes[0] / 10


def test_a_file_larger_than_memory_allows_is_refused(make_folder: Make, tmp_path: Path, pipeline: Pipeline) -> None:
    folder = make_folder(1, size=64)
    settings = Settings(pipeline, "cpu", max_bytes=1000)
    source = next(folder.iterdir())
    [outcome] = run_tasks([Task(str(source), str(tmp_path / "o.tif"))], settings, 1, processes=False)
    assert outcome.row["status"] == "failed"
    assert "1000" in outcome.row["error"] or "1,000" in outcome.row["error"]


def test_few_files_are_in_flight_whatever_the_number(
    make_folder: Make, tmp_path: Path, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ctfast.runner.work as work

    lock, now, most = threading.Lock(), 0, 0
    read = work.read_image

    def counted(*args: object, **kwargs: object) -> object:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        try:
            return read(*args, **kwargs)  # type: ignore[arg-type]
        finally:
            with lock:
                now -= 1

    monkeypatch.setattr(work, "read_image", counted)
    drawn = 0
    folder = make_folder(40)

    def tasks() -> object:
        nonlocal drawn
        for path in sorted(folder.iterdir()):
            drawn += 1
            yield Task(str(path), str(tmp_path / "o" / path.name))

    outcomes = run_tasks(tasks(), Settings(pipeline, "cpu"), 3, processes=False)  # type: ignore[arg-type]
    finished = 0
    for _ in outcomes:
        finished += 1
        assert drawn <= finished + 6
    assert finished == 40
    assert 1 <= most <= 3


def test_a_decoder_that_kills_its_process_is_named_and_the_run_goes_on(make_folder: Make, tmp_path: Path) -> None:
    folder = make_folder(8)
    killer = tmp_path / "killer"
    killer.mkdir()
    # Python imports this at the start of every process that has the folder on its path.
    (killer / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'forkserver' in ' '.join(sys.orig_argv) or '--multiprocessing-fork' in ' '.join(sys.orig_argv):\n"
        "    import ctfast.files.reading as r, os\n"
        "    import ctfast.files as f\n"
        "    read = f.read_image\n"
        "    def die(path, **kw):\n"
        "        if 'slice_003' in str(path): os._exit(139)\n"
        "        return read(path, **kw)\n"
        "    f.read_image = die\n"
    )
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import sys
            from ctfast import Pipeline, Step
            from ctfast.runner import run
            if __name__ == "__main__":
                p = Pipeline([Step("window", center=0, width=400, dtype="uint8")])
                report = run({str(folder)!r}, {str(tmp_path / "out")!r}, p, workers=2, pool="processes")
                print(report.ok, report.failed, [f["error"] for f in report.failures])
            """
        )
    )
    root = Path(ctfast.__file__).parents[1]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(killer), str(root / "kernels"), str(root)])}
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False, env=env, timeout=120
    )
    assert done.stdout.startswith("7 1 "), done.stdout + done.stderr
    assert "process that read this file died" in done.stdout
    assert len(list((tmp_path / "out").glob("slice_*.tif"))) == 7
