"""The ``jax.export`` artefact: any batch size, plain XLA, read back by JAX alone, damage refused."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from ctfast.errors import FileFormatError
from ctfast.model.data.preprocessing import Preprocessing
from ctfast.model.exchange.jax_export import export_jax, load_jax
from ctfast.model.run_folder import TrainedModel
from tests.model.serving_build import probabilities_one_by_one, tiny_run

SIZE = (41, 36)  # odd and even, so that pooling drops rows in some blocks


def images_for(run: TrainedModel, number: int) -> np.ndarray:
    channels = (3,) if run.preprocessing.channels == 3 else ()
    return np.random.default_rng(0).integers(0, 65536, (number, *SIZE, *channels)).astype(np.uint16)


@pytest.fixture(scope="module", params=[1, 3], ids=["gray", "rgb"])
def run(request: pytest.FixtureRequest) -> Any:
    return tiny_run(("a", "b", "c"), channels=request.param, size=SIZE)


@pytest.fixture(scope="module")
def artefact(run: TrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_jax(run, tmp_path_factory.mktemp("export") / "new" / "model.zip")


def test_probabilities_are_those_of_the_network_for_any_batch(run: TrainedModel, artefact: Path) -> None:
    loaded = load_jax(artefact)
    for number in (1, 5):
        images = images_for(run, number)
        np.testing.assert_allclose(loaded.predict_proba(images), probabilities_one_by_one(run, images), atol=1e-6)
    assert loaded.classes == run.classes
    assert loaded.hash == run.hash
    assert loaded.preprocessing == run.preprocessing
    assert [p.name for p in artefact.parent.iterdir()] == ["model.zip"], "no temporary file is left"


def test_read_without_ctfast_as_the_documentation_says(run: TrainedModel, artefact: Path) -> None:
    with zipfile.ZipFile(artefact) as archive:
        exported = jax.export.deserialize(bytearray(archive.read("model.jax_export")))
        facts = json.loads(archive.read("metadata.json"))
    images = images_for(run, 2)
    found = exported.call((images / 65535).astype(np.float32))
    np.testing.assert_allclose(found, probabilities_one_by_one(run, images), atol=1e-6)
    assert facts["classes"] == list(run.classes)
    assert Preprocessing.from_dict(facts["preprocessing"]) == run.preprocessing
    assert "Not a medical device" in facts["notice"]


def test_nan_gives_nan_for_its_image_alone(run: TrainedModel, artefact: Path) -> None:
    images = (images_for(run, 4) / 65535).astype(np.float32)
    for k, place in enumerate([(0, 0), (7, 5), (40, 35)]):
        images[k][place] = np.nan
    found = np.asarray(load_jax(artefact).exported.call(images))
    np.testing.assert_allclose(found, run.model.probabilities(images), atol=1e-6)
    assert np.isnan(found).any(axis=1).tolist() == [True, True, False, False], "the last column reaches no result"


def test_it_runs_anywhere(artefact: Path) -> None:
    exported = load_jax(artefact).exported
    assert exported.platforms == ("cpu", "cuda")
    calls = set(re.findall(r"custom_call @(\w+)", exported.mlir_module()))
    assert calls <= {"shape_assertion"}, "no call into this machine's micro-kernels"
    assert not exported.disabled_safety_checks


@pytest.mark.parametrize("cut", [0, 100, 0.5, 0.999])
def test_a_truncated_artefact_is_refused(artefact: Path, tmp_path: Path, cut: float) -> None:
    data = artefact.read_bytes()
    path = tmp_path / "model.zip"
    path.write_bytes(data[: int(cut * len(data)) if cut < 1 else int(cut)])
    with pytest.raises(FileFormatError, match=re.escape(str(path))):
        load_jax(path)


def test_other_contents_are_refused(artefact: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(artefact) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    facts = json.loads(members["metadata.json"])

    def packed(**changed: bytes | None) -> Path:
        path = tmp_path / "other.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in members.items():
                new = changed.get(name.partition(".")[0], data)
                if new is not None:
                    archive.writestr(name, new)
        return path

    with pytest.raises(FileFormatError, match="export it again"):
        load_jax(packed(metadata=json.dumps({**facts, "format": 99}).encode()))
    with pytest.raises(FileFormatError, match="no exported model"):
        load_jax(packed(metadata=None))
    with pytest.raises(FileFormatError, match="no exported model"):
        load_jax(packed(model=b"garbage" * 10))
