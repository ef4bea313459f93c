"""The network's ways in: what is in its scale gives the same probabilities, all else an error of ctfast."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ctfast
from ctfast.errors import ArgumentError, CTFastError, DTypeError, ShapeError
from ctfast.model import ModelConfig, Preprocessing, Sequential4
from ctfast.model.exchange.jax_export import export_jax, load_jax
from ctfast.model.network.explain import class_activation
from ctfast.model.run_folder import TrainedModel

SIZE = (20, 24)
HU = np.random.default_rng(3).normal(60, 250, (3, *SIZE)).astype(np.int16)


@pytest.fixture(scope="module")
def run() -> TrainedModel:
    model = Sequential4(ModelConfig(image_size=SIZE, in_channels=1, widths=(4,), dense=8, classes=3))
    return TrainedModel.of(model, Preprocessing(image_size=SIZE), ("a", "b", "c"))


@pytest.fixture(scope="module")
def exported(run: TrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load_jax(export_jax(run, tmp_path_factory.mktemp("export") / "m.zip", platforms=("cpu",)))


def test_floats_of_any_kind(run: TrainedModel) -> None:
    prepared = run.preprocessing(HU)
    unit = (prepared / 65535).astype(np.float32)
    expected = np.asarray(run.model.probabilities(jnp.asarray(unit)))
    for x in (unit.astype(np.float64), unit.astype(">f4"), unit[..., None], unit.tolist(), np.asfortranarray(unit)):
        np.testing.assert_array_equal(run.model.probabilities(x), expected)
        np.testing.assert_allclose(jax.nn.softmax(class_activation(run.model, x).logits), expected, atol=1e-6)
    np.testing.assert_array_equal(jax.jit(run.model.probabilities)(unit), expected)
    np.testing.assert_allclose(run.predict_proba(prepared), expected, atol=1e-6)


def test_prepared_images_of_any_kind(run: TrainedModel, exported: Any) -> None:
    prepared = run.preprocessing(HU)
    expected = run.predict_proba(prepared)
    for x in (prepared.astype(">u2"), prepared[..., None], np.asfortranarray(prepared), jnp.asarray(prepared)):
        np.testing.assert_array_equal(run.predict_proba(x), expected)
        np.testing.assert_allclose(exported.predict_proba(x), expected, atol=1e-6)


def test_empty_batches(run: TrainedModel, exported: Any) -> None:
    assert run.predict_proba(np.zeros((0, *SIZE), np.uint16)).shape == (0, 3)
    assert exported.predict_proba(np.zeros((0, *SIZE), np.uint16)).shape == (0, 3)
    assert run.model.probabilities(np.zeros((0, *SIZE))).shape == (0, 3)
    assert class_activation(run.model, np.zeros((0, *SIZE), np.float32)).maps.shape[0] == 0


@pytest.mark.parametrize("entry", ["probabilities", "class_activation", "run", "export"])
def test_other_scales_and_what_is_no_batch(entry: str, run: TrainedModel, exported: Any) -> None:
    entries: dict[str, Callable[[Any], Any]] = {
        "probabilities": run.model.probabilities,
        "class_activation": lambda x: class_activation(run.model, x),
        "run": run.predict_proba,
        "export": exported.predict_proba,
    }
    prepared = run.preprocessing(HU)
    floats = entry in ("probabilities", "class_activation")
    right: Any = prepared / 65535 if floats else prepared
    others: list[tuple[Any, type[CTFastError]]] = [
        (HU, DTypeError),
        (prepared if floats else (prepared / 65535), DTypeError),
        ((prepared >> 8).astype(np.uint8), DTypeError),
        (HU.astype(np.float32), ArgumentError if floats else DTypeError),
        (right[0], ShapeError),
        (right[:, :-1], ShapeError),
        (np.stack([right] * 2, axis=-1), ShapeError),
        (np.stack([right] * 3, axis=-1), ShapeError),
        (np.ma.masked_array(right), ArgumentError),
        (right.astype(object), DTypeError),
        (right.ravel()[0], ShapeError),
        ([[1.0], [1.0, 2.0]], ArgumentError),
        (None, DTypeError),
    ]
    for x, error in others:
        with pytest.raises(error):
            entries[entry](x)
    deleted = jnp.asarray(right.astype(np.float32 if floats else np.uint16)) + 0
    deleted.delete()
    with pytest.raises(ArgumentError, match="deleted"):
        entries[entry](deleted)


def test_a_deleted_array_in_a_kernel() -> None:
    x = jnp.ones((8, 8)) + 1
    x.delete()
    with pytest.raises(ArgumentError, match="deleted, or donated"):
        ctfast.median_filter(x, 3)


def test_arrays_of_any_byte_order_to_jax() -> None:
    x = np.arange(6, dtype=">f4").reshape(2, 3)
    np.testing.assert_array_equal(ctfast.to_jax(x), x)


def test_a_forked_child_is_told_and_does_not_hang(tmp_path: Path) -> None:
    if not hasattr(__import__("os"), "fork"):
        pytest.skip("there is no fork here")
    code = """
import os, signal, warnings
warnings.simplefilter("ignore")
import numpy as np, ctfast, jax.numpy as jnp
from ctfast.model import ModelConfig, Sequential4
from ctfast.errors import BackendUnavailableError
model = Sequential4(ModelConfig(image_size=(20, 24), in_channels=1, widths=(4,), dense=8, classes=2))
x = np.zeros((1, 20, 24), np.float32)
model.probabilities(x)
y = jnp.asarray(x)
child = os.fork()
if not child:
    signal.alarm(60)
    ctfast.median_filter(x, 3)
    for call in (lambda: model.probabilities(x), lambda: ctfast.median_filter(y, 3), lambda: ctfast.to_jax(x)):
        try:
            call()
        except BackendUnavailableError as error:
            assert "spawn" in str(error)
        else:
            os._exit(3)
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert model.probabilities(x).shape == (1, 2)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
