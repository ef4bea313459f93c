"""An ensemble predicts the mean of its networks, wherever it is run."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

from ctfast.errors import ArgumentError, UsageError
from ctfast.model.commands.export import export_run
from ctfast.model.exchange.jax_export import export_jax, load_jax
from ctfast.model.exchange.onnx_export import export_onnx
from ctfast.model.network.explain import class_activation
from ctfast.model.prediction.compiled import Predictor
from ctfast.model.run_folder import TrainedModel
from tests.model.serving_build import CLASSES, SIZE, tiny_run


@pytest.fixture(scope="module")
def parts() -> list[TrainedModel]:
    return [tiny_run(seed=seed) for seed in (0, 1, 2)]


@pytest.fixture(scope="module")
def ensemble(parts: list[TrainedModel]) -> TrainedModel:
    first, *others = parts
    return TrainedModel.of(first.model, first.preprocessing, CLASSES, others=[other.model for other in others])


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 65536, (5, *SIZE)).astype(np.uint16)


def mean_of(parts: list[TrainedModel], images: np.ndarray) -> np.ndarray:
    each = [np.asarray(part.model.probabilities(images.astype(np.float32) / 65535)) for part in parts]
    assert np.ptp(each, axis=0).max() > 0.01, "or one network would do"
    return np.mean(each, axis=0)


def test_probabilities_are_the_mean(ensemble: TrainedModel, parts: list[TrainedModel], images: np.ndarray) -> None:
    np.testing.assert_allclose(ensemble.predict_proba(images), mean_of(parts, images), atol=1e-6)
    assert len({ensemble.hash, *(part.hash for part in parts)}) == 4


def test_maps_are_the_mean_for_the_class_that_is_named(
    ensemble: TrainedModel, parts: list[TrainedModel], images: np.ndarray
) -> None:
    predictor = Predictor(ensemble, 5, explain="hires-cam")
    p, maps = predictor.finish(predictor.start(images))
    x = images.astype(np.float32) / 65535
    each = [class_activation(part.model, x, target=p.argmax(axis=1)).maps for part in parts]
    assert maps is not None
    from ctfast.model.network.explain import enlarge

    np.testing.assert_allclose(maps, enlarge(np.mean(each, axis=0), SIZE, 3), atol=1e-5)


def test_weights_stay_where_they_are(ensemble: TrainedModel) -> None:
    """None is copied in float32; narrowed ones are made once, and anew for other weights."""

    def arrays(precision: str) -> list[jax.Array]:
        return jax.tree.leaves([state for _, state in Predictor(ensemble, 5, precision=precision)._members])

    own = jax.tree.leaves([nnx.split(member)[1] for member in ensemble.members])
    assert all(a is b for a, b in zip(arrays("float32"), own, strict=True))
    assert all(a is b for a, b in zip(arrays("bfloat16"), arrays("bfloat16"), strict=True))


def test_weights_that_changed_are_narrowed_anew(images: np.ndarray) -> None:
    run, other = tiny_run(seed=3), tiny_run(seed=4)
    before = run.predict_proba(images, precision="bfloat16")
    nnx.update(run.model, nnx.split(other.model)[1])
    after = run.predict_proba(images, precision="bfloat16")
    assert np.abs(after - before).max() > 0.01
    np.testing.assert_array_equal(after, other.predict_proba(images, precision="bfloat16"))


def test_exports_hold_all_networks(
    ensemble: TrainedModel, parts: list[TrainedModel], images: np.ndarray, tmp_path: Path
) -> None:
    import onnxruntime

    expected = mean_of(parts, images)
    found = load_jax(export_jax(ensemble, tmp_path / "m.zip", platforms=("cpu",))).predict_proba(images)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    session = onnxruntime.InferenceSession(
        export_onnx(ensemble, tmp_path / "m.onnx"), providers=["CPUExecutionProvider"]
    )
    inputs = {"images": (images / 65535).astype(np.float32)}
    probabilities, logits = session.run(["probabilities", "logits"], inputs)
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    np.testing.assert_allclose(np.exp(logits), expected, atol=1e-5)
    inputs["images"][2, 9, 9] = np.nan
    assert np.isnan(session.run(["probabilities"], inputs)[0]).any(axis=1).tolist() == [
        False,
        False,
        True,
        False,
        False,
    ]
    with pytest.raises(UsageError, match="members/1"):
        export_run(ensemble, tmp_path / "m.keras")


def test_networks_of_one_shape_alone() -> None:
    first, other = tiny_run(), tiny_run(("a", "b", "c"))
    with pytest.raises(ArgumentError, match="one shape"):
        TrainedModel.of(first.model, first.preprocessing, CLASSES, others=[other.model])
