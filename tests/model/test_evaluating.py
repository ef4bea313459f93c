"""`ctfast evaluate` as a function: a run on a set, its recipe cross-validated, what is written and warned of."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

import ctfast.model
from ctfast.batch.held import contents
from ctfast.batch.notice import NOT_A_DEVICE
from ctfast.errors import FileFormatError, UsageError
from ctfast.files import write_image
from ctfast.model import EvaluateOptions, ModelConfig, TrainConfig, fit
from ctfast.model.commands import printing
from ctfast.model.commands.evaluate import evaluate_run
from ctfast.model.commands.printing import print_evaluation
from ctfast.model.data.dataset import Dataset, load_dataset
from ctfast.model.data.preprocessing import Preprocessing
from ctfast.model.data.record import record_of, seen_before
from ctfast.model.data.split import split_by_group
from ctfast.model.evaluation.cross_validation import NetworkLearner
from ctfast.model.evaluation.metrics import Interval
from tests.model.data_build import SMALL


@dataclass
class Recipe:
    """Stands for TrainConfig."""

    seed: int = 0
    patience: int | None = None


@dataclass
class Bright:
    """Stands for TrainedModel: bright slices are of class 1."""

    preprocessing: Preprocessing = SMALL
    classes: tuple[str, ...] = ("dark", "bright")
    config: Any = None
    training: Recipe = field(default_factory=Recipe)

    def predict_proba(self, images: NDArray[np.uint16]) -> NDArray[np.float32]:
        p = images.mean(axis=(1, 2), dtype=np.float32) / 65535
        return np.stack([1 - p, p], axis=1)


def bright_set(folder: Path, number: int = 20) -> Path:
    rng = np.random.default_rng(0)
    for k in range(number):
        name = ("dark", "bright")[k % 2]
        (folder / name).mkdir(parents=True, exist_ok=True)
        hu = rng.normal(100 + 600 * (k % 2), 100, (16, 16)).astype(np.int16)
        write_image(folder / name / f"{k}.tif", hu, units="hu")
    return folder


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(ctfast.model, "load_run", lambda path: Bright(), raising=False)
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def test_a_run_on_a_set(run: Path, tmp_path: Path) -> None:
    folder = bright_set(tmp_path / "set")
    (folder / "dark" / "bad.tif").write_bytes(b"II*\0")
    found = evaluate_run(run, folder)
    assert found.evaluation.accuracy.value == 1.0
    assert found.unread == 1
    assert found.out == run / "evaluation"
    record = json.loads((found.out / "evaluation.json").read_text())
    assert record["notice"] == NOT_A_DEVICE
    assert record["evaluation"]["count"] == 20
    with (found.out / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["file", "label", "prediction", "p_dark", "p_bright"]
    assert all(row["label"] == row["prediction"] for row in rows)
    assert {p.name for p in (found.out / "plots").iterdir()} >= {"roc.png", "reliability.svg", "confusion.png"}
    assert all(path.exists() for path in found.files)
    assert any("does not say which slices it was trained on" in w for w in found.warnings)
    shown = io.StringIO()
    print_evaluation(found, Console(width=120, file=shown))
    assert NOT_A_DEVICE in shown.getvalue()
    assert "bad.tif" in shown.getvalue()
    assert evaluate_run(run, folder, plots=False).out == run / "evaluation-2", "nothing is overwritten unasked"


def test_results_are_replaced_whole_or_not_at_all(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = bright_set(tmp_path / "set")
    before = evaluate_run(run, folder, out=tmp_path / "out", plots=False)
    held = {path: path.read_bytes() for path in before.files}

    def full_disk(source: Any, target: Any) -> None:
        raise OSError(28, "No space left on device", str(target))

    options = EvaluateOptions(labels=_labels(folder), out=tmp_path / "out", overwrite=True, plots=False)
    with monkeypatch.context() as patch:
        patch.setattr("ctfast.batch.atomic.os.replace", full_disk)
        with pytest.raises(OSError, match="No space left"):
            evaluate_run(run, folder / "bright", options)
    assert {path: path.read_bytes() for path in contents(tmp_path / "out")} == held

    def no_room(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("ctfast.model.commands.evaluate.write_json", no_room)
        with pytest.raises(OSError, match="No space left"):
            evaluate_run(run, folder / "bright", replace(options, out=tmp_path / "new", overwrite=False))
    assert not (tmp_path / "new").exists(), "the same call can be made again"


def test_slices_that_were_trained_on_are_named(run: Path, tmp_path: Path) -> None:
    folder = bright_set(tmp_path / "set")
    dataset = load_dataset(folder, preprocessing=SMALL)
    record = record_of(dataset, [0, 1], [2])
    assert seen_before(dataset, record) == list(dataset.files[:3])
    (run / "data.json").write_text(json.dumps(record))
    found = evaluate_run(run, folder, plots=False)
    assert any("trained on 3 files (bright/1.tif" in w and "--folds" in w for w in found.warnings)
    other = bright_set(tmp_path / "none", 2)
    (run / "data.json").write_text(json.dumps(record_of(dataset, [5])))
    assert not any("trained" in w for w in evaluate_run(run, other, plots=False).warnings)


def test_the_classes_are_those_of_the_run(run: Path, tmp_path: Path) -> None:
    folder = bright_set(tmp_path / "set")
    only = evaluate_run(run, folder / "bright", labels=_labels(folder), plots=False)
    assert only.evaluation.accuracy.value == 1.0
    assert only.to_dict()["evaluation"]["auc"]["value"] is None
    (folder / "dark").rename(folder / "gray")
    with pytest.raises(UsageError, match="of other classes than dark, bright: gray"):
        evaluate_run(run, folder)


def _labels(folder: Path) -> Path:
    (folder / "t.csv").write_text("file,label\n" + "".join(f"{k}.tif,bright\n" for k in range(1, 20, 2)))
    return folder / "t.csv"


def test_where_results_go(run: Path, tmp_path: Path) -> None:
    folder = bright_set(tmp_path / "set")
    with pytest.raises(UsageError, match="out= is needed"):
        evaluate_run(Bright(), folder)  # type: ignore[arg-type]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("")
    with pytest.raises(UsageError, match="not empty"):
        evaluate_run(run, folder, out=tmp_path / "out")
    found = evaluate_run(Bright(), folder, out=tmp_path / "out", overwrite=True, plots=False)  # type: ignore[arg-type]
    assert (tmp_path / "out" / "mine").exists()
    assert found.files[0].parent == tmp_path / "out"
    with pytest.raises(UsageError, match="is a file"):
        evaluate_run(run, folder, out=tmp_path / "out" / "mine")


class Calls:
    """Stands for ``fit``: notes what it was given, returns nothing that can predict."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int, int]] = []

    def __call__(self, dataset: Dataset, *, config: Recipe, model_config: Any, validation: Any) -> Any:
        self.seen.append((len(dataset), config.seed, 0 if validation is None else len(validation)))
        return type("FitResult", (), {"model": None})()


def test_early_stopping_holds_patients_of_the_training_side_out(tmp_path: Path) -> None:
    dataset = load_dataset(bright_set(tmp_path / "set"), preprocessing=SMALL)
    fit = Calls()
    NetworkLearner(Recipe(), None, fit).learn(dataset, 3)  # type: ignore[arg-type]
    NetworkLearner(replace(Recipe(), patience=2), None, fit).learn(dataset, 4)  # type: ignore[arg-type]
    assert fit.seen == [(20, 3, 0), (20, 4, 4)]


def test_a_real_run_and_its_recipe(tmp_path: Path) -> None:
    folder = bright_set(tmp_path / "set", 24)
    dataset = load_dataset(folder, preprocessing=Preprocessing(image_size=(16, 16)))
    training, held = split_by_group(dataset, 0.25)
    config = TrainConfig(epochs=25, batch_size=4, learning_rate=1e-2, path="xla")
    shape = ModelConfig(image_size=(16, 16), widths=(4,), dense=8)
    fit(dataset, config=config, model_config=shape, validation=held, run_dir=tmp_path / "run")
    (tmp_path / "run" / "data.json").write_text(json.dumps(record_of(dataset, training, held)))
    found = evaluate_run(tmp_path / "run", folder, plots=False)
    assert found.evaluation.accuracy.value >= 0.9
    assert any("trained on 24 files" in w for w in found.warnings)
    assert found.seen == found.to_dict()["seen"] == 24
    lines: list[str] = []
    crossed = evaluate_run(tmp_path / "run", folder, folds=2, seeds=(3,), plots=False, on_fold=lines.append)
    assert crossed.cross_validation is not None
    assert crossed.cross_validation.outcomes[0].accuracy.value >= 0.9
    assert crossed.cross_validation.outcomes[0].probabilities.shape == (1, 24, 2)
    assert crossed.out == tmp_path / "run" / "cross-validation"
    assert json.loads((crossed.out / "evaluation.json").read_text())["cross_validation"]["folds"] == 2
    assert sum("the run's recipe" in line for line in lines) == 2
    shown = io.StringIO()
    print_evaluation(crossed, Console(width=160, file=shown))
    assert "gain in accuracy" in shown.getvalue()


def test_folds_need_the_folder_of_a_run(run: Path, tmp_path: Path) -> None:
    folder = bright_set(tmp_path / "set")
    with pytest.raises(UsageError, match="as a folder"):
        evaluate_run(Bright(), folder, folds=2, out=tmp_path / "out")  # type: ignore[arg-type]
    with pytest.raises(FileFormatError, match=r"no config\.json"):
        evaluate_run(run, folder, folds=2)


@pytest.mark.parametrize(("gain", "told"), [(-0.15, True), (0.0, True), (0.05, False), (None, False)])
def test_a_network_that_does_not_beat_the_baselines_is_told(gain: float | None, told: bool) -> None:
    interval = None if gain is None else Interval(gain, -0.3, 0.1)
    best = SimpleNamespace(name="HU histogram")
    found: Any = SimpleNamespace(best_baseline=best, outcomes=[SimpleNamespace(gain=interval), best])
    shown = io.StringIO()
    printing._tell_if_baselines_win(found, Console(file=shown, width=200))
    assert ("does not beat the baseline HU histogram" in shown.getvalue()) is told
