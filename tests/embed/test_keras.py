"""The layer in Keras' ``predict``, on every backend of Keras that is installed; each runs in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

SCRIPT = """
import sys
import keras
import numpy as np
import ctfast
from ctfast import Pipeline, Step
from ctfast.embed.keras import Preprocessing
from ctfast.errors import ArgumentError

hu = np.random.default_rng(0).normal(40, 300, (5, 24, 32, 1)).astype(np.int16)
steps = [Step("median_filter", size=3), Step("window", center=40, width=400)]
model = keras.Sequential([keras.Input((24, 32, 1), dtype="int16"), Preprocessing(Pipeline(steps))])
expected = Pipeline(steps)(hu)
assert model.outputs[0].dtype == "float32" and model.outputs[0].shape == (None, 24, 32, 1)
found = model.predict(hu, batch_size=2, verbose=0)
assert found.dtype == np.float32
np.testing.assert_array_equal(found, expected)
np.testing.assert_array_equal(np.asarray(model(hu[:2])), expected[:2])

images = keras.Input((24, 32))
out = Preprocessing({"steps": [{"operation": "standardize"}]}, name="z")(images)
pooled = keras.layers.GlobalAveragePooling1D()(out)
second = keras.Model(images, pooled)
floats = hu[..., 0].astype(np.float32)
np.testing.assert_allclose(
    second.predict(floats, verbose=0), ctfast.standardize(floats).mean(axis=1), atol=1e-5
)

planes = np.moveaxis(np.repeat(hu, 6, axis=-1), -1, 1)  # (N, D, H, W): channels of torch, planes of a volume
volumes = keras.Sequential(
    [keras.Input((24, 32, 6), dtype="int16"), Preprocessing({"steps": [{"operation": "median_filter"}]}, (1, 2))]
)
np.testing.assert_array_equal(
    volumes.predict(np.moveaxis(planes, 1, -1), verbose=0), np.moveaxis(ctfast.median_filter(planes, 3), 1, -1)
)

model.save(sys.argv[1])
again = keras.saving.load_model(sys.argv[1])
np.testing.assert_array_equal(again.predict(hu, verbose=0), expected)
assert not again.weights and again.layers[-1].pipeline == Pipeline(steps)

for wrong in (Pipeline([Step("summary")]), 3):
    try:
        Preprocessing(wrong)
    except ArgumentError:
        continue
    raise AssertionError(wrong)
assert Preprocessing("lung-plain").pipeline.steps
print(keras.backend.backend(), "ok")
"""


TF_DATA = """
import numpy as np
import tensorflow as tf
import ctfast
from ctfast import Pipeline, Step
from ctfast.embed.tf_data import traced

hu = np.random.default_rng(0).normal(40, 300, (5, 24, 32)).astype(np.int16)
pipeline = Pipeline([Step("median_filter", size=3), Step("window", center=40, width=400, dtype="uint8")])
dataset = tf.data.Dataset.from_tensor_slices(hu).map(traced(pipeline, "uint8"), num_parallel_calls=2).batch(2)
assert dataset.element_spec.shape == (None, 24, 32) and dataset.element_spec.dtype == tf.uint8
np.testing.assert_array_equal(np.concatenate(list(dataset.as_numpy_iterator())), pipeline(hu))
try:
    list(tf.data.Dataset.from_tensor_slices(hu).map(traced(ctfast.standardize, "uint8")))
except tf.errors.InvalidArgumentError as error:
    assert "say what it has" in str(error), error
else:
    raise AssertionError("a dtype that was not said")
print("tf.data ok")
"""


@pytest.mark.parametrize("backend", ["jax", "torch", "tensorflow"])
def test_predict(backend: str, tmp_path) -> None:
    for library in ("keras", backend):
        if find_spec(library) is None:
            pytest.skip(f"{library} is not installed")
    environment = {**os.environ, "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "model.keras")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == [backend, "ok"]


def test_tf_data() -> None:
    if find_spec("tensorflow") is None:
        pytest.skip("tensorflow is not installed")
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, "-c", TF_DATA], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["tf.data", "ok"]
