"""What a training does where nothing is said, and the window that is chosen for it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_selection import f_classif

from ctfast.errors import ArgumentError, UsageError
from ctfast.model import Augmentation, Dataset, TrainConfig, TrainOptions, load_run, train_run
from ctfast.model.data.decoding import HU_BINS
from ctfast.model.data.preprocessing import DEFAULT_WINDOW, Preprocessing, window_pipeline
from ctfast.model.data.window_choice import choose_window
from ctfast.model.recipe import Recipe
from ctfast.model.training.members import inner_folds, member_seed
from ctfast.tools.synth import write_set
from tests.model.data_build import made_of

SMALL = {"size": 24, "widths": (4, 8), "dense": 8, "plots": False}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set") / "slices"
    write_set(folder, count=24, seed=0, size=64, dicom=True)
    return folder


def test_the_rule() -> None:
    few, some, many = (Recipe.for_set(n) for n in (60, 2000, 9000))
    assert [r.side for r in (few, some, many)] == [64, 128, 256]
    assert [r.members for r in (few, some, many)] == [5, 3, 1]
    assert [r.config.learning_rate for r in (few, some, many)] == [1e-3, 5e-4, 3e-4]
    assert Recipe.for_set(60, side=256).config.learning_rate == 3e-4
    assert all(r.config.patience and r.config.augmentation.active for r in (few, some, many))
    assert few.config.augmentation.brightness == few.config.augmentation.contrast == 0, "HU are calibrated"
    seed = Recipe.for_set(60, "seed")
    assert (seed.side, seed.members, seed.test, seed.chooses_window, seed.config) == (256, 1, 0, False, TrainConfig())
    with pytest.raises(ArgumentError, match="auto"):
        Recipe.for_set(60, "best")
    changed = few.trained_as({"epochs": 3, "augmentation": Augmentation(shift=0.1)})
    assert (changed.epochs, changed.augmentation.shift, changed.patience) == (3, 0.1, few.config.patience)
    assert few.trained_as(TrainConfig()) == TrainConfig()
    assert (few.config.start_from_epoch, changed.start_from_epoch) == (20, 2), "the last third chooses"
    assert few.trained_as({"epochs": 3, "start_from_epoch": 0}).start_from_epoch == 0


def shares(low: int, high: int, number: int = 30, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Histograms whose classes differ from ``low`` to ``high`` HU alone."""
    rng = np.random.default_rng(seed)
    labels = np.arange(number) % 2
    counts = rng.uniform(0.9, 1.1, (number, HU_BINS))
    counts[labels == 1, (low + 1000) // 10 : (high + 1000) // 10] *= 1.5
    return counts / 1000, labels


@pytest.mark.parametrize(("low", "high"), [(150, 300), (-900, -700), (-1000, -950), (900, 1000)])
def test_the_window_spans_what_differs_and_a_margin(low: int, high: int) -> None:
    counts, labels = shares(low, high)
    chosen = choose_window(counts, labels)
    assert (chosen.low, chosen.high) == (low - 100, high + 100)
    coarse = np.sqrt(counts.reshape(len(counts), -1, 5).sum(axis=2))
    best = int(f_classif(coarse, labels)[0].argmax()) * 50 - 1000
    assert f"HU {best} to {best + 50}" in chosen.reason
    assert f"{len(labels)} training slices" in chosen.reason


def test_no_window_is_chosen_by_chance() -> None:
    for seed in range(20):
        counts, labels = shares(0, 0, seed=seed)
        assert (choose_window(counts, labels).low, choose_window(counts, labels).high) == DEFAULT_WINDOW
    assert "not known to be HU" in choose_window(None, labels).reason
    same = np.ones((6, HU_BINS))
    assert choose_window(same, np.arange(6) % 2).low == DEFAULT_WINDOW[0]
    apart = same * np.where(np.arange(6) % 2, 1.0, 2.0)[:, None]
    assert np.isfinite(choose_window(apart, np.arange(6) % 2).high), "classes that are each constant"


def test_folds_of_an_ensemble_cover_every_slice_once_by_patient() -> None:
    labels, groups = [0, 1, 1, 0] * 10, [k // 2 for k in range(40)]
    dataset = made_of(labels, groups)
    folds = inner_folds(dataset, 5, 0.2, 0)
    assert sorted(np.concatenate(folds).tolist()) == list(range(40))
    for fold in folds:
        assert not set(dataset.groups[fold]) & set(np.delete(dataset.groups, fold))
    assert len(inner_folds(made_of([0, 1] * 3, range(6)), 5, 0.2, 0)) == 3, "no more than patients of a class"
    assert [len(f) for f in inner_folds(dataset, 1, 0.0, 0)] == [0]
    with pytest.raises(ArgumentError, match="members=0"):
        inner_folds(dataset, 0, 0.2, 0)
    assert len({member_seed(0, k) for k in range(100)}) == 100


def test_slices_are_prepared_again_as_they_were(data: Path) -> None:
    from ctfast.model import load_dataset

    narrow = Preprocessing.of_window(0, 400, image_size=(8, 8))
    wide = load_dataset(data, preprocessing=Preprocessing(image_size=(8, 8)))
    again = wide.take([3, 1]).prepared_by(narrow)
    plain = load_dataset(data, preprocessing=narrow)
    assert again.files == (plain.files[3], plain.files[1])
    np.testing.assert_array_equal(again.images, plain.images[[3, 1]])
    np.testing.assert_array_equal(again.groups, wide.groups[[3, 1]])
    assert wide.prepared_by(wide.preprocessing) is wide
    x = np.random.default_rng(0).integers(-200, 1000, (4, 16, 16)).astype(np.int16)
    arrays = Dataset.from_arrays(x, [0, 1, 0, 1], preprocessing=Preprocessing(image_size=(8, 8)))
    np.testing.assert_array_equal(arrays.take([2]).prepared_by(narrow).images, narrow(x[2:3]))


def test_the_default_training(data: Path, tmp_path: Path) -> None:
    report = train_run(data, tmp_path / "run", TrainOptions(config={"epochs": 2}, members=2, tensorboard=True, **SMALL))
    run = tmp_path / "run"
    record = json.loads((run / "data.json").read_text())
    assert not {r["hash"] for r in record["test"]} & {r["hash"] for r in record["training"]}
    assert len(record["test"]) + len(record["training"]) == 24
    assert not report.chose
    assert json.loads((run / "test.json").read_text())["count"] == len(record["test"])
    assert json.loads((run / "validation.json").read_text())["count"] == len(record["training"])
    config = json.loads((run / "config.json").read_text())
    assert (config["members"], config["recipe"]["name"], config["recipe"]["chooses_window"]) == (2, "auto", True)
    assert any(note in report.warnings for note in config["recipe"]["notes"]), "the window is declared"
    assert {p.name for p in (run / "tensorboard").iterdir()} == {"member 1", "member 2"}
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [(row["member"], row["epoch"]) for row in rows] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    whole = load_run(run)
    assert whole.hash == report.result.trained.hash
    parts = [load_run(run / "members" / str(k)) for k in (1, 2)]
    images = np.random.default_rng(0).integers(0, 65535, (3, 24, 24)).astype(np.uint16)
    mean = np.mean([part.predict_proba(images) for part in parts], axis=0)
    np.testing.assert_allclose(whole.predict_proba(images), mean, atol=1e-6)
    again = train_run(data, run, TrainOptions(config={"epochs": 2}, members=2, **SMALL))
    assert again.result.trained.hash == whole.hash, "the same command trains nothing again"
    with pytest.raises(UsageError, match="members"):
        train_run(data, run, TrainOptions(config={"epochs": 2}, members=3, **SMALL))


def test_what_is_given_is_not_chosen(data: Path, tmp_path: Path) -> None:
    options = TrainOptions(
        config={"epochs": 1, "patience": 0}, validation=0, test=0, pipeline=window_pipeline(-100, 300), **SMALL
    )
    report = train_run(data, tmp_path / "run", options)
    assert report.evaluation is None, "all slices were trained on"
    assert report.result.trained.preprocessing == Preprocessing.of_window(-100, 300, image_size=(24, 24))
    assert not (tmp_path / "run" / "members").exists()
    record = json.loads((tmp_path / "run" / "data.json").read_text())
    assert len(record["training"]) == 24


@pytest.mark.parametrize(
    "fields",
    [
        {"test": 1}, {"test": -0.1}, {"members": 0}, {"size": 2}, {"recipe": "best"},
        {"validation": 0, "config": {"patience": 3}}, {"validation": 0, "members": 3},
        {"preprocessing": Preprocessing(), "size": 64},
    ],
)  # fmt: skip
def test_options_that_contradict_each_other(fields: dict) -> None:
    with pytest.raises((ArgumentError, UsageError)):
        TrainOptions(**fields)


def test_training_starts_from_other_weights(data: Path, tmp_path: Path) -> None:
    first = train_run(data, tmp_path / "a", TrainOptions(config={"epochs": 1}, members=1, test=0, **SMALL))
    words = {"members": 1, "test": 0, "init_from": tmp_path / "a", "plots": False, "widths": (4, 8)}
    same = train_run(data, tmp_path / "b", TrainOptions(config={"epochs": 1, "learning_rate": 1e-12}, dense=8, **words))
    kernel = [np.asarray(r.result.model.dense.kernel[...]) for r in (first, same)]
    np.testing.assert_allclose(kernel[0], kernel[1], atol=1e-9)
    assert same.result.trained.preprocessing == first.result.trained.preprocessing
    other = train_run(data, tmp_path / "c", TrainOptions(config={"epochs": 1}, dense=5, **words))
    assert any("drawn anew, because their shape differs: dense, dense_1" in w for w in other.warnings)
    with pytest.raises(UsageError, match="Keras"):
        train_run(data, tmp_path / "d", TrainOptions(**{**words, "init_from": tmp_path / "a.txt"}))
