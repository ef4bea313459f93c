"""The ONNX file in ONNX Runtime against the network itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import pytest
from scipy.special import softmax

from ctfast.model.data.preprocessing import Preprocessing
from ctfast.model.exchange.onnx_export import IR_VERSION, OPSET, export_onnx
from ctfast.model.run_folder import TrainedModel
from tests.model.serving_build import tiny_run


@pytest.fixture(scope="module", params=[(1, (41, 36)), (3, (32, 37))], ids=["gray", "rgb"])
def run(request: pytest.FixtureRequest) -> Any:
    channels, size = request.param
    return tiny_run(("a", "b", "c"), channels=channels, size=size)


@pytest.fixture(scope="module")
def session(run: TrainedModel, tmp_path_factory: pytest.TempPathFactory) -> onnxruntime.InferenceSession:
    path = export_onnx(run, tmp_path_factory.mktemp("onnx") / "new" / "model.onnx")
    assert [p.name for p in path.parent.iterdir()] == ["model.onnx"], "no temporary file is left"
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("number", [1, 5])
def test_onnx_runtime_gives_the_network_s_outputs(
    run: TrainedModel, session: onnxruntime.InferenceSession, number: int
) -> None:
    channels = (3,) if run.preprocessing.channels == 3 else ()
    images = np.random.default_rng(0).random((number, *run.preprocessing.image_size, *channels), np.float32)
    probabilities, logits = session.run(["probabilities", "logits"], {"images": images})
    expected = np.asarray(run.model(jnp.asarray(images)))
    assert np.ptp(expected) > 0.01, "or a constant network would pass"
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    np.testing.assert_allclose(probabilities, softmax(expected, axis=1), atol=1e-5)


def test_nan_gives_nan_for_its_image_alone_wherever_it_is(
    run: TrainedModel, session: onnxruntime.InferenceSession
) -> None:
    """ONNX Runtime's own pooling drops NaN or keeps it, by its place."""
    rows, columns = run.preprocessing.image_size
    places = [(i, j) for i in (0, 7, rows // 2, rows - 8, rows - 1) for j in (0, 5, columns // 2, columns - 1)]
    channels = (3,) if run.preprocessing.channels == 3 else ()
    images = np.random.default_rng(0).random((len(places) + 1, rows, columns, *channels), np.float32)
    for k, (i, j) in enumerate(places):
        images[k, i, j] = np.nan
    probabilities, logits = session.run(["probabilities", "logits"], {"images": images})
    expected = np.asarray(run.model(jnp.asarray(images)))
    assert 3 <= np.isnan(expected[:, 0]).sum() < len(places), "borders that no block looks at, and all else"
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    np.testing.assert_allclose(probabilities, softmax(expected, axis=1), atol=1e-5)


def test_it_says_what_it_is(run: TrainedModel, session: onnxruntime.InferenceSession) -> None:
    facts = session.get_modelmeta().custom_metadata_map
    assert json.loads(facts["classes"]) == list(run.classes)
    assert facts["hash"] == run.hash
    assert Preprocessing.from_dict(json.loads(facts["preprocessing"])) == run.preprocessing
    assert "65535" in facts["input"]
    assert "INTER_AREA" in facts["input"]
    assert "Not a medical device" in session.get_modelmeta().description
    (given,) = session.get_inputs()
    assert given.shape[0] == "N"
    assert [o.shape for o in session.get_outputs()] == [["N", 3], ["N", 3]]


def test_opset_and_layout(run: TrainedModel, tmp_path: Path) -> None:
    model = onnx.load(export_onnx(run, tmp_path / "m.onnx"))
    assert [(o.domain, o.version) for o in model.opset_import] == [("", OPSET)]
    assert model.ir_version == IR_VERSION
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("Conv") == 3
    gray = run.preprocessing.channels == 1
    assert kinds.count("Transpose") == (0 if gray else 1)
    first = next(w for w in model.graph.initializer if w.name == "conv1_kernel")
    assert tuple(first.dims) == (4, 1 if gray else 3, 3, 3)
