"""Run folders: resume after SIGKILL, nothing half-written loads, damage and other versions are refused by name."""

from __future__ import annotations

import errno
import json
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctfast.errors import ArgumentError, FileFormatError, UsageError
from ctfast.model import Augmentation, fit, load_run
from ctfast.model.checkpoint import CheckpointStore
from tests.model.training_build import QUICK, TINY, easy_set, numbers, python, quick

CONFIG = quick(epochs=6, augmentation=Augmentation.mild())

TRAIN = """
import os, sys, time
from tests.model.training_build import TINY, easy_set, quick
from ctfast.model import Augmentation, fit

def show(p):
    if p.row is not None:
        print("epoch", p.epoch, flush=True)

if "--stall" in sys.argv:  # hangs between the arrays of epoch 4 and the record that would make them count
    from ctfast.model.checkpoint import CheckpointStore
    commit = CheckpointStore.commit
    def stall(self, checkpoints, facts):
        if len(facts["history"]) == 4:
            print("stalled", flush=True)
            time.sleep(600)
        commit(self, checkpoints, facts)
    CheckpointStore.commit = stall
fit(easy_set(), config=quick(epochs=6, augmentation=Augmentation.mild()), model_config=TINY, validation=range(6),
    run_dir=sys.argv[1], resume=True, progress=show)
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    return fit(easy_set(), config=CONFIG, model_config=TINY, validation=range(6), run_dir=folder)


@pytest.fixture
def run(finished: Any, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished.run_dir, tmp_path / "run"))


def test_the_folder(finished: Any) -> None:
    folder = finished.run_dir
    config = json.loads((folder / "config.json").read_text())
    assert (config["format"], config["classes"]) == (1, ["dark", "bright"])
    assert config["model"]["widths"] == [4]
    assert config["training"]["epochs"] == 6
    assert config["preprocessing"]["image_size"] == [16, 16]
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert rows == list(finished.history)
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["packages"]["jax"]
    assert environment["devices"]
    data = json.loads((folder / "data.json").read_text())
    assert (len(data["training"]), len(data["validation"])) == (21, 6)
    for plot in ("loss.png", "accuracy.png"):
        assert (folder / "plots" / plot).read_bytes().startswith(b"\x89PNG")
    assert not list(folder.rglob("*.tmp"))


def test_best_and_last_load(finished: Any) -> None:
    best, last = load_run(finished.run_dir), load_run(finished.run_dir, "last")
    images = easy_set().images
    assert best.hash == finished.trained.hash
    np.testing.assert_array_equal(best.predict_proba(images), finished.trained.predict_proba(images))
    assert (best.hash == last.hash) == (finished.best_epoch == 6)
    assert best.training == CONFIG
    assert best.classes == ("dark", "bright")
    with pytest.raises(ArgumentError, match="'best' or 'last'"):
        load_run(finished.run_dir, "first")


@pytest.mark.parametrize("stall", [False, True])
def test_killed_and_resumed_gives_the_same_numbers(
    finished: Any, tmp_path: Path, stall: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder, cache = tmp_path / "run", str(tmp_path_factory.getbasetemp() / "cache")
    process = python(TRAIN, str(folder), *(["--stall"] if stall else []), cache=cache)
    assert process.stdout is not None
    until = "stalled" if stall else "epoch 3"
    for line in process.stdout:
        if line.strip() == until:
            break
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors
    store = CheckpointStore(folder / "checkpoints")
    done = len(store.record().facts["history"])
    assert done == 3 if stall else done >= 3
    if stall:
        named = {i["folder"] for items in store.record().checkpoints.values() for i in items.values()}
        assert {p.name for p in store.folder.iterdir() if p.is_dir()} > named, "arrays without a record are there"
    load_run(folder, "last")
    resumed = fit(easy_set(), config=CONFIG, model_config=TINY, validation=range(6), run_dir=folder, resume=True)
    assert numbers(resumed.history) == numbers(finished.history)
    assert resumed.trained.hash == finished.trained.hash
    assert load_run(folder, "last").hash == load_run(finished.run_dir, "last").hash
    named = {i["folder"] for items in store.record().checkpoints.values() for i in items.values()}
    assert {p.name for p in store.folder.iterdir()} == named | {"checkpoints.json"}, "nothing unnamed is left"


def test_a_finished_run_is_not_trained_again(run: Path, finished: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from ctfast.model.training import epoch

    monkeypatch.setattr(epoch.EpochTrainer, "train_epoch", None)
    again = fit(easy_set(), config=CONFIG, model_config=TINY, validation=range(6), run_dir=run, resume=True)
    assert again.trained.hash == finished.trained.hash
    assert again.history == finished.history


def test_a_folder_that_is_taken(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="resume=True"):
        fit(easy_set(), config=CONFIG, model_config=TINY, validation=range(6), run_dir=run)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(FileFormatError, match=r"no config\.json"):
        fit(easy_set(), config=CONFIG, model_config=TINY, run_dir=tmp_path / "other", resume=True)
    assert (tmp_path / "other" / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("changes", "dataset", "told"),
    [
        ({"learning_rate": 1e-5}, easy_set(), "training.learning_rate"),
        ({"epochs": 3}, easy_set(), "has 6 epochs, epochs=3 were asked for"),
        ({}, easy_set(seed=3), "data"),
    ],
)
def test_another_run_is_not_gone_on_with(run: Path, changes: dict, dataset: Any, told: str) -> None:
    config = quick(epochs=6, augmentation=Augmentation.mild())
    config = type(config).from_dict({**config.to_dict(), **changes})
    with pytest.raises(UsageError, match=told):
        fit(dataset, config=config, model_config=TINY, validation=range(6), run_dir=run, resume=True)


def test_a_finished_run_goes_on_with_more_epochs(run: Path, finished: Any) -> None:
    more = replace(CONFIG, epochs=8)
    words: Any = {"model_config": TINY, "validation": range(6), "run_dir": run, "resume": True}
    found = fit(easy_set(), config=more, **words)
    assert numbers(found.history[:6]) == numbers(finished.history), "what was trained stays"
    assert [row["epoch"] for row in found.history] == list(range(1, 9))
    assert "goes on to 8" in " ".join(found.notes)
    assert found.history[6]["learning_rate"] > finished.history[5]["learning_rate"]
    assert found.trained.hash == load_run(run).hash
    assert json.loads((run / "config.json").read_text())["training"]["epochs"] == 8
    again = fit(easy_set(), config=more, **words)
    assert again.trained.hash == found.trained.hash
    assert not again.notes, "nothing is left to do"


def test_a_run_that_stopped_early_goes_on_with_more_patience(tmp_path: Path) -> None:
    config = quick(epochs=30, learning_rate=0.1, patience=1, schedule="constant", clip=0)
    words: Any = {"model_config": TINY, "validation": range(6), "run_dir": tmp_path / "run", "resume": True}
    first = fit(easy_set(), config=config, **words)
    assert "no lower validation loss" in first.stopped, "else this test shows nothing"
    same = fit(easy_set(), config=replace(config, epochs=40), **words)
    assert len(same.history) == len(first.history), "more epochs don't help a run that has no patience left"
    more = fit(easy_set(), config=replace(config, patience=0), **words)
    assert len(more.history) == 30


def largest(folder: Path) -> Path:
    return max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def best_folder(run: Path) -> Path:
    store = CheckpointStore(run / "checkpoints")
    return store.folder / store.record().checkpoints["best"]["weights"]["folder"]


@pytest.mark.parametrize("damage", ["truncated", "changed", "removed", "emptied"])
def test_damaged_weights_are_refused(run: Path, damage: str) -> None:
    path = largest(best_folder(run))
    whole = path.read_bytes()
    if damage == "removed":
        path.unlink()
    else:
        kept = {"truncated": whole[:-1], "changed": whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:], "emptied": b""}
        path.write_bytes(kept[damage])
    with pytest.raises(FileFormatError, match=f"{path.name}.*which='last'.*train again"):
        load_run(run)


def test_a_damaged_or_missing_record(run: Path) -> None:
    record = run / "checkpoints" / "checkpoints.json"
    text = record.read_text()
    record.write_text(text[: len(text) // 2])
    with pytest.raises(FileFormatError, match=r"checkpoints\.json is damaged.*train again"):
        load_run(run)
    record.unlink()
    with pytest.raises(FileFormatError, match="no finished checkpoint; resume it"):
        load_run(run)


@pytest.mark.parametrize("file", ["config.json", "checkpoints/checkpoints.json"])
def test_another_version(run: Path, file: str) -> None:
    data = json.loads((run / file).read_text())
    (run / file).write_text(json.dumps({**data, "format": 99, "ctfast": "9.0"}))
    with pytest.raises(FileFormatError, match=rf"{file.split('/')[-1]} has format 99 \(ctfast 9.0\).*reads 1"):
        load_run(run)


def test_weights_of_another_shape(run: Path) -> None:
    data = json.loads((run / "config.json").read_text())
    data["model"]["dense"] = 9
    (run / "config.json").write_text(json.dumps(data))
    with pytest.raises(FileFormatError, match="belongs to another checkpoint"):
        load_run(run)


def test_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"no run folder of ctfast"):
        load_run(tmp_path)
    with pytest.raises(FileFormatError, match=r"no run folder of ctfast"):
        load_run(tmp_path / "none")


def test_checkpoints_wait_for_their_time(tmp_path: Path) -> None:
    config = quick(epochs=3, checkpoint_seconds=1000)
    seen: list[bool] = []
    run = tmp_path / "run"
    fit(
        easy_set(),
        config=config,
        model_config=TINY,
        validation=range(6),
        run_dir=run,
        progress=lambda p: seen.append((run / "checkpoints").exists()) if p.row else None,
    )
    assert seen == [False, False, True]
    assert QUICK.checkpoint_seconds == 0


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on files on Windows")
def test_a_checkpoint_that_finds_no_room_is_the_system_s_error_and_leaves_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import resource

    store = CheckpointStore(tmp_path)
    kept = store.write("weights", [np.arange(6.0)])
    store.commit({"last": {"weights": kept}}, {})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as told:
            store.write("weights", [np.arange(60_000.0)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (told.value.errno, capfd.readouterr().err) == (errno.EFBIG, "")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoints.json", kept["folder"]]
    np.testing.assert_array_equal(store.read("last", "weights", [np.empty(6)])[0], np.arange(6.0))
