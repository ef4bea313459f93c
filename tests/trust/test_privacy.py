"""Nothing that names a patient leaves unasked, names of files are no commands, and outputs are as private as inputs."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from ctfast.analysis import analyze
from ctfast.analysis.command import report
from ctfast.analysis.scan import pseudonyms
from ctfast.batch.lines import one_line
from ctfast.batch.privacy import keep_private
from ctfast.cli import app
from tests.files.files_build import dicom, slice_hu

IDENTIFIERS = {
    "PatientID": "IDENTITY-4711",
    "PatientName": "Doe^Identity",
    "PatientBirthDate": "19501231",
    "AccessionNumber": "ACC4711",
    "InstitutionName": "Identity Hospital",
    "StudyInstanceUID": "1.2.826.0.1.4711.1",
    "SeriesInstanceUID": "1.2.826.0.1.4711.2",
}


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    pseudonyms._own_key.cache_clear()
    yield tmp_path / "config" / "ctfast" / "pseudonym.key"
    pseudonyms._own_key.cache_clear()


@pytest.fixture
def slices(tmp_path: Path) -> Path:
    folder = tmp_path / "secret-folder" / "set"
    for label in ("native", "contrast"):
        (folder / label).mkdir(parents=True)
        for k in range(3):
            dicom(folder / label / f"{label}{k}.dcm", slice_hu(64, 64, seed=k), **IDENTIFIERS)
    (folder / "native" / "bad.dcm").write_bytes((folder / "native" / "native0.dcm").read_bytes()[:900])
    return folder


def everything_in(*outputs: Path) -> bytes:
    files = [p for out in outputs for p in (out.rglob("*") if out.is_dir() else [out]) if p.is_file()]
    assert files
    return b"\n".join(path.read_bytes() for path in files)


def test_reports_show_stand_ins(slices: Path, tmp_path: Path, key: Path) -> None:
    files = [tmp_path / f"r.{end}" for end in ("html", "csv", "json")]
    report(slices, *files[:1], csv=files[1], json=files[2], figures=tmp_path / "figures")
    report(slices / "native" / "native0.dcm", tmp_path / "single.html", json=tmp_path / "single.json")
    found = everything_in(*files, tmp_path / "single.html", tmp_path / "single.json", tmp_path / "figures")
    for value in (*IDENTIFIERS.values(), "secret-folder"):
        assert value.encode() not in found, value
    patient = pseudonyms.pseudonym("P", IDENTIFIERS["PatientID"])
    assert patient.encode() in found
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    facts = analyze(slices).records[0].facts
    assert (facts["patient"], str(facts["study"])[:3], str(facts["series"])[:3]) == (patient, "ST-", "SE-")


def test_who_asks_for_identities_gets_them(slices: Path, tmp_path: Path, key: Path) -> None:
    report(slices, tmp_path / "r.html", csv=tmp_path / "r.csv", identified=True)
    found = everything_in(tmp_path / "r.html", tmp_path / "r.csv")
    assert IDENTIFIERS["PatientID"].encode() in found
    assert IDENTIFIERS["SeriesInstanceUID"].encode() in found
    assert not key.exists()


def test_stand_ins_are_stable_secret_and_shared_by_a_key(key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = pseudonyms.pseudonym("P", "1")
    pseudonyms._own_key.cache_clear()
    assert pseudonyms.pseudonym("P", "1") == first, "the next process reads the same key"
    assert len({first, pseudonyms.pseudonym("P", "2")}) == 2
    key.unlink()
    pseudonyms._own_key.cache_clear()
    assert pseudonyms.pseudonym("P", "1") != first, "another user's key"
    monkeypatch.setenv("CTFAST_PSEUDONYM_KEY", "ours")
    assert pseudonyms.pseudonym("P", "1") == "P-07d41d6830", "HMAC-SHA256, the same everywhere"


def test_without_a_folder_for_the_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    pseudonyms._own_key.cache_clear()
    assert pseudonyms.pseudonym("P", "1") == pseudonyms.pseudonym("P", "1")
    pseudonyms._own_key.cache_clear()


def test_runs_and_models_hold_no_identifiers(slices: Path, tmp_path: Path) -> None:
    from ctfast.model.commands.evaluate import evaluate_run
    from ctfast.model.commands.predict import predict_files
    from ctfast.model.commands.train import train_run
    from ctfast.model.config import TrainConfig
    from ctfast.model.data.preprocessing import Preprocessing
    from ctfast.runner import run
    from tests.trust.builds import SMALL_PIPELINE

    run(slices, tmp_path / "out", SMALL_PIPELINE)
    run(slices, tmp_path / "series", SMALL_PIPELINE, series=True)
    preprocessing = Preprocessing(image_size=(16, 16))
    train_run(slices, tmp_path / "run", preprocessing=preprocessing, validation=0, plots=False, widths=(4,), dense=4,
              config=TrainConfig(epochs=1, batch_size=4))  # fmt: skip
    predict_files(tmp_path / "run", slices, tmp_path / "p.csv")
    evaluate_run(tmp_path / "run", slices, out=tmp_path / "evaluation", plots=False)
    found = everything_in(*(tmp_path / name for name in ("out", "series", "run", "p.csv", "evaluation")))
    for value in IDENTIFIERS.values():
        assert value.encode() not in found, value


@pytest.mark.parametrize(
    ("folder", "file", "private"),
    [(0o755, 0o644, False), (0o755, 0o640, True), (0o750, 0o644, True), (0o700, 0o600, True)],
)
def test_outputs_are_as_private_as_inputs(tmp_path: Path, folder: int, file: int, private: bool) -> None:
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_uid == os.getuid() and "pytest" in str(parent):
            parent.chmod(0o755)
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / "a.npy", slice_hu())
    (tmp_path / "in" / "a.npy").chmod(file)
    (tmp_path / "in").chmod(folder)
    before = os.umask(0o022)
    try:
        done = CliRunner().invoke(
            app, ["run", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--step", "median_filter size=3"]
        )
        assert done.exit_code == 0, done.output
        assert os.umask(0o022) == 0o022, "as it was"
        for name in ("a.tif", "manifest.jsonl", "run.json", "failures.csv"):
            mode = stat.S_IMODE((tmp_path / "out" / name).stat().st_mode)
            assert mode & 0o777 == (0o640 if private else 0o644), name
        for given in ("in/a.npy", "in/*.npy"):
            assert (keep_private([tmp_path / given]) is not None) == private
            os.umask(0o022)
    finally:
        os.umask(before)


def test_names_are_no_commands(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    names = [
        "\x1b[2Jclear.npy",
        "two\nwritten: lines.npy",
        "\x9b31mred.npy",
        "\u202eright to left.npy",
        "caf\u00e9.npy",
    ]
    for name in names:
        (tmp_path / "in" / name).write_bytes(b"no image")
    np.save(tmp_path / "in" / "good.npy", slice_hu())
    step = ["--step", "median_filter size=3"]
    for command in (["run", "in", "--out", "out", *step], ["run", "in", "--out", "new", "--dry-run", *step],
                    ["report", "in", "--out", "r.html"]):  # fmt: skip
        paths = [str(tmp_path / word) if word in ("in", "out", "new", "r.html") else word for word in command]
        text = CliRunner().invoke(app, paths).output
        assert "caf\u00e9" in text
        assert not set(text) & {"\x1b", "\x9b", "\u202e"}, command
        assert not [line for line in text.splitlines() if line.startswith("written: lines")]
    assert one_line("a\x1b[2J\nb\u202e\udcff\u00e9") == "a\\x1b[2J\\nb\\u202e\\udcff\u00e9"
