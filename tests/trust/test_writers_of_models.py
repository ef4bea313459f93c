"""Several predictions fill one table, trainings and evaluations want one folder: nothing is lost or mixed."""

from __future__ import annotations

import csv
import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ctfast.batch.held import CLAIM, claimed
from ctfast.errors import MachineError, UsageError
from ctfast.model.prediction.predictions_csv import PredictionTable

SPAWN = multiprocessing.get_context("spawn")  # children that know nothing of JAX
CLASSES = ("native", "contrast")
WRITERS, FILES, KILLED = 8, 12, 3
MODEL = "0123456789abcdef"


def table_at(path: Path, model: str = MODEL) -> PredictionTable:
    return PredictionTable(path, CLASSES, model)


def row(file: str, model: str = MODEL) -> list[str]:
    return [file, CLASSES[0], "1", "0", model, "", "", "", "hu", "auto", "1", "2.000000"]


def names(writer: int) -> list[str]:
    """Of its own files and, for every second writer, of those of the one before: both were asked about them."""
    return [f"{writer - writer % 2}/s\n{k:02d}.tif" for k in range(FILES)]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(path: Path, writer: int, barrier: Any) -> None:
    table = table_at(path)
    table.start(set(names(writer)))
    with table.appending() as append:
        for k, name in enumerate(names(writer)):
            append(row(name))
            if k == 1:
                barrier.wait(60)  # all are at work at once
            if k == 4 and writer == KILLED:
                with path.open("ab") as file:
                    file.write(b'half,"of a row')
                os.kill(os.getpid(), signal.SIGKILL)
    table.sort(names(writer))


def test_eight_writers_and_a_kill_lose_no_row(tmp_path: Path) -> None:
    path, barrier = tmp_path / "p.csv", SPAWN.Barrier(WRITERS)
    writers = [SPAWN.Process(target=write, args=(path, n, barrier)) for n in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [-9 if n == KILLED else 0 for n in range(WRITERS)]
    rows = list(table_at(path).records())  # without the half row, which stays where the killed one was the last
    assert {r["file"] for r in rows} == {name for n in range(WRITERS) for name in names(n)}
    assert {r["model"] for r in rows} == {MODEL}
    table_at(path).sort(sorted({name for n in range(WRITERS) for name in names(n)}))
    assert [r["file"] for r in rows_of(path)] == sorted(name for n in range(0, WRITERS, 2) for name in names(n))


def test_two_runs_that_did_a_file_right_after_each_other_leave_one_set_of_rows(tmp_path: Path) -> None:
    table = table_at(tmp_path / "p.csv")
    table.start(set())
    frames = [[*row("stack")[:6], str(k), "2", *row("stack")[8:]] for k in (0, 1)]
    with table.appending() as append:
        append(*frames)
        append(*frames)
        append(row("slice"))
        append(row("slice"))
    table.sort(["stack", "slice"])
    assert [(r["file"], r["frame"]) for r in rows_of(table.path)] == [("stack", "0"), ("stack", "1"), ("slice", "")]


def test_a_row_of_another_model_ends_the_run(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    first, second = table_at(path), table_at(path, "other")
    first.start(set())
    with first.appending() as append:
        append(row("a"))
        second.start(None)  # --overwrite with another model
        with second.appending() as other:
            other(row("b", "other"))
            with pytest.raises(UsageError, match=rf"another model \(other there, {MODEL} now\)"):
                append(row("c"))
            other(row("d", "other"))
    assert [r["file"] for r in rows_of(path)] == ["b", "d"]


def test_a_table_that_is_taken_away_is_told(tmp_path: Path) -> None:
    table = table_at(tmp_path / "p.csv")
    table.start(set())
    with table.appending() as append:
        (tmp_path / "p.csv").rename(tmp_path / "q.csv")
        with pytest.raises(MachineError, match="was moved or removed"):
            append(row("a"))


def test_a_prediction_in_the_middle_of_another(tmp_path: Path) -> None:
    from ctfast.model.commands.predict import predict_files
    from tests.model.serving_build import tiny_run, write_slices

    run, path = tiny_run(), tmp_path / "p.csv"
    write_slices(tmp_path / "first", [f"a{k}.tif" for k in range(4)])
    write_slices(tmp_path / "second", [f"b{k}.tif" for k in range(3)])
    inner: list[int] = []

    def progress(*, done: int, failed: int) -> None:
        if not inner:
            # Its neighbour asks about all files: what the outer run has not written yet is done twice and kept once.
            inner.append(predict_files(run, [tmp_path / "second", tmp_path / "first"], path).ok)

    assert predict_files(run, tmp_path / "first", path, batch_size=1, progress=progress).ok == 4
    assert inner[0] >= 5
    assert [Path(r["file"]).name for r in rows_of(path)] == [f"b{k}.tif" for k in range(3)] + [
        f"a{k}.tif" for k in range(4)
    ]
    assert predict_files(run, [tmp_path / "second", tmp_path / "first"], path).done_before == 7


def hold(folder: Path, answer: Any) -> None:
    with claimed(folder, "training"):
        answer.put("claimed")
        signal.pause()


@contextmanager
def held_by_another(folder: Path) -> Iterator[None]:
    answer = SPAWN.SimpleQueue()
    process = SPAWN.Process(target=hold, args=(folder, answer))
    process.start()
    try:
        assert answer.get() == "claimed"
        yield
    finally:
        process.kill()
        process.join()


def test_one_at_a_time_works_in_a_folder_and_a_kill_frees_it(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with (
        held_by_another(folder),
        pytest.raises(UsageError, match=f"another training is at work in {folder}"),
        claimed(folder, "training"),
    ):
        pass
    with claimed(folder, "training"), claimed(folder, "training"):
        assert (folder / CLAIM).exists()
    with claimed(tmp_path / "new", "evaluation"):
        pass
    assert not (tmp_path / "new").exists(), "nothing was put into it"


def test_a_second_training_and_a_second_evaluation_are_refused(tmp_path: Path) -> None:
    from ctfast.model import fit
    from ctfast.model.commands.evaluate import evaluate_run
    from tests.model.serving_build import tiny_run, write_slices
    from tests.model.training_build import TINY, easy_set, quick

    folder, trained = tmp_path / "run", tiny_run()
    for name in trained.classes:
        write_slices(tmp_path / "set" / name, ["a.tif", "b.tif"])
    with held_by_another(folder):
        for resume in (False, True):
            with pytest.raises(UsageError, match="another training is at work"):
                fit(easy_set(), config=quick(epochs=1), model_config=TINY, run_dir=folder, resume=resume, plots=False)
        with pytest.raises(UsageError, match="another evaluation is at work"):
            evaluate_run(trained, tmp_path / "set", out=folder, plots=False)
    assert [path.name for path in folder.iterdir()] == [CLAIM], "nothing was written"
    fit(easy_set(), config=quick(epochs=1), model_config=TINY, run_dir=folder, plots=False)
    evaluate_run(trained, tmp_path / "set", out=tmp_path / "evaluation", plots=False)
    with pytest.raises(UsageError, match="is not empty"):
        evaluate_run(trained, tmp_path / "set", out=tmp_path / "evaluation", plots=False)
