"""The commands of the network as a user types them: exit codes, words, files."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from dataclasses import fields
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import ctfast
from ctfast.cli import app
from ctfast.cli import model as model_commands
from ctfast.errors import CTFastError
from ctfast.files import write_image
from ctfast.model import EvaluateOptions, PredictOptions, TrainConfig, TrainOptions, load_run, train_run
from ctfast.model.config import Augmentation
from ctfast.model.data.preprocessing import Preprocessing
from ctfast.tools.synth import write_set

ROOT = Path(ctfast.__file__).parents[1]
SMALL = ("--size", "24", "--widths", "4,8", "--dense", "8", "--no-plots", "--members", "1", "--test", "0")


def typed(*words: str | Path) -> tuple[int, str]:
    """Exit code and everything said, as ``ctfast.cli.main`` turns errors into code 2 and a line."""
    result = CliRunner().invoke(app, [str(w) for w in words], env={"COLUMNS": "300"})
    if isinstance(result.exception, CTFastError):
        return 2, f"{result.output}ctfast: {result.exception}"
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set") / "slices"
    write_set(folder, count=24, seed=0, size=64, dicom=True)
    return folder


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    code, said = typed("train", data, "--out", out, "--epochs", "3", "--seed", "1", "--learning-rate", "0.003", *SMALL)
    assert code == 0, said
    for words in (
        "24 slices",
        "all slices of a patient stay on one side",
        "epoch 3/3: loss",
        "images/s",
        "Not a medical device",
        str(out),
    ):
        assert words in said, words
    return out


def test_window_and_augmentation_are_kept_with_the_run(data: Path, tmp_path: Path) -> None:
    code, said = typed(
        "train", data, "--out", tmp_path / "run", "--epochs", "1", "--window", "-100,300",
        "--augment", "shift=0.06, flip_horizontal", *SMALL,
    )  # fmt: skip
    assert code == 0, said
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["training"]["augmentation"] == Augmentation(shift=0.06, flip_horizontal=True).to_dict()
    assert Preprocessing.from_dict(config["preprocessing"]) == Preprocessing.of_window(-100, 300, image_size=(24, 24))


def test_no_plots_draws_nothing(run: Path, data: Path, tmp_path: Path) -> None:
    assert not (run / "plots").exists()
    words = [word for word in SMALL if word != "--no-plots"]
    code, said = typed("train", data, "--out", tmp_path / "run", "--epochs", "1", *words)
    assert code == 0, said
    drawn = {p.name for p in (tmp_path / "run" / "plots").iterdir()}
    assert drawn >= {"loss.png", "accuracy.png", "roc.png"}


def test_the_command_line_is_the_function(run: Path, data: Path, tmp_path: Path) -> None:
    report = train_run(
        data,
        tmp_path / "run",
        TrainOptions(widths=(4, 8), plots=False, size=24),
        dense=8,
        members=1,
        test=0,
        config={"epochs": 3, "seed": 1, "learning_rate": 0.003},
    )
    assert report.result.trained.hash == load_run(run).hash
    assert (tmp_path / "run" / "validation.json").read_bytes() == (run / "validation.json").read_bytes()


@pytest.mark.parametrize("name", ["train", "evaluate", "predict", "export"])
def test_every_option_is_a_field_or_is_parsed(name: str) -> None:
    kinds = {
        "train": (TrainOptions, TrainConfig),
        "evaluate": (EvaluateOptions,),
        "predict": (PredictOptions,),
        "export": (),
    }
    arguments = {"run", "data", "inputs", "out", "csv"}
    parsed = {"augment", "window", "preset", "pipeline", "step", "size", "seed", "explain", "format", "overwrite"}
    known = {f.name for kind in kinds[name] for f in fields(kind)} | arguments | parsed
    assert set(signature(getattr(model_commands, name)).parameters) <= known


def test_train_leaves_a_whole_run(run: Path, data: Path) -> None:
    held = {"config.json", "metrics.jsonl", "environment.json", "checkpoints", "data.json", "validation.json"}
    assert held <= {p.name for p in run.iterdir()}
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 3
    record = json.loads((run / "data.json").read_text())
    assert len(record["training"]) + len(record["validation"]) == 24
    assert json.loads((run / "validation.json").read_text())["count"] == len(record["validation"])
    again, said = typed("train", data, "--out", run, "--epochs", "3", "--seed", "1", "--learning-rate", "0.003", *SMALL)
    assert again == 0, said
    assert "note: the run had ended" not in said
    refused, said = typed("train", data, "--out", run, "--epochs", "3", "--seed", "2", *SMALL)
    assert refused == 2
    assert "training.seed" in said
    refused, said = typed("train", data, "--out", run, "--no-resume", *SMALL)
    assert refused == 2


def test_predict_and_its_exit_codes(run: Path, data: Path, tmp_path: Path) -> None:
    files = sorted((data / "tiff_images").iterdir())
    table = tmp_path / "p.csv"
    code, said = typed("predict", run, *files[:5], "--csv", table, "--explain", tmp_path / "e")
    assert code == 0, said
    assert "5 files predicted, 0 failed" in said
    assert "Not a medical device" in said
    assert len(list((tmp_path / "e").rglob("*.png"))) == 5
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:6] == ["file", "prediction", "p_no contrast", "p_contrast", "model", "error"]
    assert [r["file"] for r in rows] == [str(f) for f in files[:5]]
    for row in rows:
        p = {c: float(row[f"p_{c}"]) for c in ("no contrast", "contrast")}
        assert sum(p.values()) == pytest.approx(1, abs=1e-5)
        assert row["prediction"] == max(p, key=p.__getitem__)
    code, said = typed("predict", run, *files[:6], "--csv", table)
    assert code == 0
    assert "1 files predicted, 0 failed, 5 done before" in said
    (tmp_path / "bad.tif").write_text("no")
    code, said = typed("predict", run, tmp_path / "bad.tif", files[0], "--csv", table)
    assert code == 1
    assert "failed: " in said
    assert "bad.tif" in said
    write_image(tmp_path / "u.npy", np.zeros((64, 64), np.int16))
    code, said = typed("predict", run, tmp_path / "u.npy", "--csv", tmp_path / "u.csv")
    assert code == 0
    assert "do not say that their values are HU" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predict", "nowhere", "FILE", "--csv", "x.csv"], "no run folder"),
        (["predict", "RUN", "nowhere.tif", "--csv", "x.csv"], "does not exist"),
        (
            ["predict", "RUN", "FILE", "--csv", "x.csv", "--pool", "swimming"],
            "--pool 'swimming': one of threads, processes, auto",
        ),
        (
            ["predict", "RUN", "FILE", "--csv", "x.csv", "--values", "kelvin"],
            "--units 'kelvin': one of auto, hu, stored",
        ),
        (["predict", "RUN", "FILE", "--csv", "x.csv", "--explain", "e", "--method", "x"], "hires-cam"),
        (["predict", "RUN", "FILE"], "--csv"),
        (["predict", "RUN", "FILE", "--csv", "x.csv", "--batch-size", "0"], "--batch-size"),
        (["evaluate", "nowhere", "DATA"], "no run folder"),
        (["evaluate", "RUN", "DATA", "--folds", "1"], "--folds"),
        (["train", "DATA", "--out", "o", "--widths", "a,b"], "--widths 'a,b'"),
        (["train", "DATA", "--out", "o", "--epochs", "0"], "--epochs"),
        (["train", "DATA", "--out", "o", "--schedule", "x"], "schedule"),
        (["train", "DATA", "--out", "o", "--class-weights", "heavy"], "--class-weights"),
        (["train", "DATA", "--out", "o", "--validation", "1.5"], "validation"),
        (["train", "DATA", "--out", "o", "--validation", "0", "--patience", "3"], "--patience"),
        (["train", "nowhere", "--out", "o"], "nowhere"),
        (["train", "DATA", "--out", "o", "--window", "500"], "such as --window 0,500"),
        (["train", "DATA", "--out", "o", "--window", "500,0"], "below"),
        (["train", "DATA", "--out", "o", "--window", "low,500"], "--window"),
        (["train", "DATA", "--out", "o", "--window", "0,500", "--preset", "lung"], "--window"),
        (["train", "DATA", "--out", "o", "--augment", "wild"], "flip_horizontal"),
        (["train", "DATA", "--out", "o", "--augment", "shift=far"], "'far' is no number"),
        (["train", "DATA", "--out", "o", "--augment", "shift=7"], "shift=7.0"),
        (["export", "RUN", "model.bin"], "--format"),
        (["export", "RUN", "m.onnx", "--format", "coreml"], "jax, onnx, keras"),
        (["export", "nowhere", "m.onnx"], "no run folder"),
    ],
)
def test_wrong_usage_is_exit_code_2(
    run: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    named = {"RUN": run, "DATA": data, "FILE": min((data / "tiff_images").iterdir())}
    code, said = typed(*(named.get(w, w) for w in words))
    assert code == 2, said
    assert message in said
    assert list(tmp_path.iterdir()) == [], "nothing was written"


def test_evaluate(run: Path, data: Path, tmp_path: Path) -> None:
    code, said = typed("evaluate", run, data, "--out", tmp_path / "e", "--no-plots")
    assert code == 0, said
    for words in ("accuracy", "AUC", "confusion matrix", "the run was trained on", "NOT of new patients"):
        assert words in said, words
    assert json.loads((tmp_path / "e" / "evaluation.json").read_text())["evaluation"]["count"] == 24


def test_export_every_format_gives_the_same_probabilities(run: Path, data: Path, tmp_path: Path) -> None:
    import onnxruntime

    from ctfast.model import load_keras, load_run
    from ctfast.model.exchange.jax_export import load_jax

    trained = load_run(run)
    images = trained.preprocessing.read(min((data / "tiff_images").iterdir()))[0]
    expected = trained.predict_proba(images)
    for name in ("m.zip", "m.onnx", "m.keras"):
        code, said = typed("export", run, tmp_path / name)
        assert code == 0, said
        refused, said = typed("export", run, tmp_path / name)
        assert refused == 2
        assert "--overwrite" in said
    assert typed("export", run, tmp_path / "m.zip", "--overwrite")[0] == 0
    np.testing.assert_allclose(load_jax(tmp_path / "m.zip").predict_proba(images), expected, atol=1e-6)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    found = session.run(["probabilities"], {"images": (images / 65535).astype(np.float32)})[0]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    for name in trained.model.layer_names:
        kernel = load_keras(tmp_path / "m.keras").layer(name).kernel
        np.testing.assert_array_equal(kernel, trained.model.layer(name).kernel)


def test_help_is_parsed_without_the_heavy_packages() -> None:
    script = (
        "import sys; from ctfast.cli import app\n"
        "try:\n    app(['predict', '--help'])\nexcept SystemExit:\n    pass\n"
        "print(*sys.modules)"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "kernels"), str(ROOT)])}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=env)
    assert "--explain" in done.stdout
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"numpy", "jax", "flax", "numba", "sklearn", "onnx", "tifffile"}
