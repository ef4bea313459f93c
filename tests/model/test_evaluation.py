"""Evaluations against scikit-learn's figures, their tables and plots."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from sklearn import metrics as sk

from ctfast.batch.notice import NOT_A_DEVICE
from ctfast.errors import ArgumentError, UsageError
from ctfast.model.evaluation import plots
from ctfast.model.evaluation.metrics import auc_delong, wilson
from ctfast.model.evaluation.scores import Evaluation, evaluate


def made(
    classes: int = 2, n: int = 60, seed: int = 0, groups: bool = False
) -> tuple[Evaluation, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, n)
    logits = rng.normal(size=(n, classes)) + 1.2 * np.eye(classes)[y]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    names = [f"kind {k}" for k in range(classes)]
    return evaluate(p, y, names, np.arange(n) // 2 if groups else None, rounds=200), y, p


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("groups", [False, True])
def test_figures_are_those_of_sklearn(classes: int, groups: bool) -> None:
    found, y, p = made(classes, groups=groups)
    predicted = p.argmax(axis=1)
    assert found.accuracy == wilson(int((predicted == y).sum()), 60)
    assert np.array_equal(found.confusion, sk.confusion_matrix(y, predicted))
    assert found.balanced_accuracy == pytest.approx(sk.balanced_accuracy_score(y, predicted))
    assert found.log_loss == pytest.approx(sk.log_loss(y, p))
    assert found.majority == np.bincount(y).max() / 60
    expected = sk.roc_auc_score(y, p[:, 1] if classes == 2 else p, multi_class="ovr")
    assert found.auc.value == pytest.approx(expected)
    assert found.auc.low < found.auc.value < found.auc.high
    for c, figures in enumerate(found.per_class):
        truth, called = y == c, predicted == c
        assert figures.sensitivity.value == pytest.approx(sk.recall_score(truth, called))
        assert figures.specificity.value == pytest.approx(sk.recall_score(~truth, ~called))
        assert figures.positive_predictive_value.value == pytest.approx(sk.precision_score(truth, called))
        assert figures.negative_predictive_value.value == pytest.approx(sk.precision_score(~truth, ~called))
        assert figures.auc.value == pytest.approx(sk.roc_auc_score(truth, p[:, c]))
    if groups:
        assert found.patients == 30
        assert found.accuracy_by_patient is not None
        assert found.accuracy_by_patient.low < found.accuracy.value < found.accuracy_by_patient.high
    else:
        assert found.accuracy_by_patient is None
        assert found.per_class[1].auc == auc_delong(y == 1, p[:, 1])


def test_unknown_labels_are_left_out() -> None:
    _, y, p = made()
    y[:10] = -1
    found = evaluate(p, y, ["a", "b"])
    assert found.count == 50
    assert found.accuracy == wilson(int((p.argmax(axis=1) == y)[10:].sum()), 50)


def test_one_class_only_leaves_the_auc_undefined() -> None:
    found = evaluate([[0.9, 0.1], [0.2, 0.8]], [0, 0], ["a", "b"])
    assert found.accuracy.value == 0.5
    assert math.isnan(found.auc.value)
    assert math.isnan(found.per_class[1].sensitivity.value)
    assert found.to_dict()["auc"] == {"value": None, "low": None, "high": None}
    assert "not defined" in text_of(found)


def text_of(found: Evaluation) -> str:
    shown = io.StringIO()
    console = Console(width=120, file=shown)
    console.print(found.as_table())
    console.print(found.confusion_table())
    return shown.getvalue()


def test_the_record_is_json_and_the_table_says_what_it_is_not() -> None:
    found, _, _ = made(3, groups=True)
    again = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert again["notice"] == NOT_A_DEVICE
    assert again["accuracy"]["value"] == found.accuracy.value
    assert again["confusion"] == found.confusion.tolist()
    assert len(again["per_class"]) == 3
    text = text_of(found)
    assert NOT_A_DEVICE in text
    assert f"{found.accuracy.value:.3f}" in text
    assert "sensitivity, kind 2" in text


@pytest.mark.parametrize(
    ("p", "y", "word"),
    [
        ([[0.5, 0.5]], [0, 1], "shape"),
        ([0.5, 0.5], [0, 1], "shape"),
        ([[0.5, 0.5, 0.0]], [0], "shape"),
        ([[0.5, 0.6]], [0], "add up to 1"),
        ([[1.5, -0.5]], [0], "not negative"),
        ([[math.nan, 0.5]], [0], "finite"),
        ([[0.5, 0.5]], [2], "0 to 1"),
        ([[0.5, 0.5]], [0.0], "whole numbers"),
        ([[0.5, 0.5]], [-1], "no slice has a known label"),
    ],
)
def test_bad_predictions_are_refused(p: list, y: list, word: str) -> None:
    with pytest.raises(ArgumentError, match=word):
        evaluate(p, y, ["a", "b"])
    with pytest.raises(ArgumentError, match="groups"):
        evaluate([[0.5, 0.5]], [0], ["a", "b"], groups=[1, 2])


def test_plots_show_the_figures(tmp_path: Path) -> None:
    found, y, p = made(2)
    written = plots.save_plots(found, tmp_path / "plots", ("png",))
    assert [path.name for path in written] == [
        "roc.png", "precision_recall.png", "reliability.png", "confusion.png",
    ]  # fmt: skip
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)
    x, height = plots.roc(found).lines[0].get_data()
    expected = sk.roc_curve(y, p[:, 1], drop_intermediate=False)
    assert np.array_equal(x, expected[0])
    assert np.array_equal(height, expected[1])
    texts = {t.get_text() for t in plots.confusion(found).texts}
    assert set(map(str, found.confusion.ravel().tolist())) | {NOT_A_DEVICE} == texts
    for draw in (plots.roc, plots.precision_recall, plots.reliability):
        assert NOT_A_DEVICE in {t.get_text() for t in draw(found).texts}
    one = evaluate([[0.9, 0.1], [0.2, 0.8]], [0, 0], ["a", "b"])
    assert len(plots.save_plots(one, tmp_path / "one", ("png", "svg"))) == 8
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        plots.save_plots(found, tmp_path / "file")
