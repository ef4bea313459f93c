"""Tiny networks and files for the tests of prediction, explanation and export."""

from __future__ import annotations

from pathlib import Path

import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.typing import NDArray

from ctfast.files import write_image
from ctfast.model.config import ModelConfig
from ctfast.model.data.preprocessing import Preprocessing
from ctfast.model.network.sequential4 import Sequential4
from ctfast.model.run_folder import TrainedModel

SIZE = (32, 30)
CLASSES = ("native", "contrast")


def tiny_run(
    classes: tuple[str, ...] = CLASSES, *, seed: int = 0, channels: int = 1, size: tuple[int, int] = SIZE
) -> TrainedModel:
    """A network of three small blocks with random weights, as ``load_run`` would give it."""
    config = ModelConfig(image_size=size, widths=(4, 8, 8), dense=16, classes=len(classes))
    model = Sequential4(config, rngs=nnx.Rngs(seed))
    rng = np.random.default_rng(seed)
    for name in model.layer_names:  # biases other than zero, or a lost one would not be seen
        layer = model.layer(name)
        layer.bias[...] = jnp.asarray(rng.normal(0, 0.1, layer.bias.shape), jnp.float32)
    return TrainedModel.of(model, Preprocessing(image_size=size, channels=channels), classes)


def write_slices(folder: Path, names: list[str], seed: int = 0) -> list[Path]:
    """HU slices, each another."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    paths = [folder / name for name in names]
    for path in paths:
        base = rng.normal(200, 250, (4, 5)).repeat(16, axis=0).repeat(12, axis=1)
        pixels = (base + rng.normal(0, 20, base.shape)).round().astype(np.int16)
        write_image(path, pixels, units="hu" if path.suffix == ".tif" else "unknown")
    return paths


def probabilities_one_by_one(run: TrainedModel, images: NDArray[np.uint16]) -> NDArray[np.float64]:
    """What the network says of each image alone: scipy's softmax of its logits."""
    from scipy.special import softmax

    rows = [
        np.asarray(run.model(jnp.asarray(image[np.newaxis] / 65535, jnp.float32)), np.float64)[0] for image in images
    ]
    return softmax(np.array(rows), axis=1)


def weights_of(model: Sequential4, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Kernel (3, 3, in, out) or (in, out), and bias."""
    layer = model.layer(name)
    return np.asarray(layer.kernel[...]), np.asarray(layer.bias[...])
