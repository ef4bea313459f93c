"""Manifests, checkpoints and files of Keras that something else wrote: refused in one line, nothing outside is read."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctfast import Pipeline, Step
from ctfast.errors import FileFormatError, UsageError
from ctfast.files import write_image
from ctfast.runner import run

DEEP = "[" * 100_000 + "]" * 100_000
PIPELINE = Pipeline([Step("median_filter", size=3), Step("summary")])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    write_image(tmp_path / "in" / "a.tif", np.zeros((16, 16), np.int16), units="hu")
    return tmp_path / "in"


def changed(**values: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda row: {**row, **values}


@pytest.mark.parametrize(
    "change",
    [
        lambda row: {k: v for k, v in row.items() if k != "status"},
        changed(output=["list"]),
        changed(input=None),
        changed(started="soon"),
        changed(input_bytes={}),
        changed(inputs=3),
        lambda row: {},
    ],
)
def test_a_manifest_with_other_lines_is_refused(
    folder: Path, tmp_path: Path, change: Callable[[dict[str, Any]], Any]
) -> None:
    run(folder, tmp_path / "out", PIPELINE)
    manifest = tmp_path / "out" / "manifest.jsonl"
    (row,) = map(json.loads, manifest.read_text().splitlines())
    text = json.dumps(change(row)) + "\n"
    manifest.write_text(text)
    with pytest.raises(UsageError, match=r"manifest\.jsonl holds lines that are no rows"):
        run(folder, tmp_path / "out", PIPELINE)
    assert manifest.read_text() == text


@pytest.mark.parametrize("name", ["manifest.jsonl", "run.json", "statistics.jsonl", "failures.csv", "summary.csv"])
@pytest.mark.parametrize("text", [DEEP + "\n", "\0\n", '{"output": ["a"]}\n', "3\n"])
def test_damaged_lines_cost_no_run(folder: Path, tmp_path: Path, name: str, text: str) -> None:
    run(folder, tmp_path / "out", PIPELINE)
    (tmp_path / "out" / name).write_text(text)
    with suppress(UsageError):  # for lines that are no rows
        assert run(folder, tmp_path / "out", PIPELINE, overwrite=True).ok == 1


def test_records_of_checkpoints(tmp_path: Path) -> None:
    from ctfast.model.checkpoint import CheckpointStore

    store = CheckpointStore(tmp_path / "checkpoints")
    item = store.write("weights", {"a": np.zeros(3, np.float32)})
    store.commit({"best": {"weights": item}}, {"history": []})
    good = json.loads(store.file.read_text())
    assert store.read("best", "weights", {"a": np.zeros(3, np.float32)})["a"].shape == (3,)
    (tmp_path / "outside").write_text("secret")

    def texts() -> Any:
        files = item["files"]
        for folder in ("../../../../etc", "..", "", ".", "a/b", "/etc", 3, None):
            yield {"best": {"weights": {"folder": folder, "files": files}}}
        for file in ("../../outside", "/etc/hosts"):
            yield {"best": {"weights": {"folder": item["folder"], "files": {file: [6, 0]}}}}
        for files in (3, {"a": 3}, {"a": [1]}):
            yield {"best": {"weights": {"folder": item["folder"], "files": files}}}
        yield from (3, {"best": 3}, {"best": {"weights": 3}}, [], None)

    for checkpoints in texts():
        store.file.write_text(json.dumps({**good, "checkpoints": checkpoints}))
        with pytest.raises(FileFormatError, match="is no record of checkpoints"):
            store.read("best", "weights", {"a": np.zeros(3, np.float32)})
    store.file.write_text(DEEP)
    with pytest.raises(FileFormatError, match="nested too deeply"):
        store.record()


@pytest.mark.parametrize("name", ["config.json", "checkpoints/checkpoints.json", "data.json"])
def test_folders_of_runs(tmp_path: Path, name: str) -> None:
    from ctfast.model import fit, load_run
    from tests.model.training_build import TINY, easy_set, quick

    fit(easy_set(), config=quick(epochs=1), model_config=TINY, run_dir=tmp_path / "run", plots=False)
    for text in (DEEP, "3", "[]", '{"format": 1}', '{"format": 1, "model": [], "checkpoints": 3, "facts": 4}'):
        (tmp_path / "run" / name).write_text(text)
        if name == "data.json":
            load_run(tmp_path / "run")
            continue
        with pytest.raises(FileFormatError, match=r"\.json"):
            load_run(tmp_path / "run")


def test_files_of_keras(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    from ctfast.model import load_keras

    for text in (DEEP, "3", '{"config": {"layers": [[1]]}, "class_name": "Sequential"}', "\xff"):
        path = tmp_path / "a.keras"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", text)
            archive.writestr("model.weights.h5", b"")
        with pytest.raises(FileFormatError, match=r"a\.keras"):
            load_keras(path)
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file.attrs.create("model_config", text if len(text) < 60_000 else text[:30_000])
        with pytest.raises(FileFormatError, match=r"a\.h5"):
            load_keras(tmp_path / "a.h5")
    for value in (3, 2.5, np.zeros(4), np.zeros(3, "S5")):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file.attrs["model_config"] = value
        with pytest.raises(FileFormatError, match=r"a\.h5"):
            load_keras(tmp_path / "a.h5")
