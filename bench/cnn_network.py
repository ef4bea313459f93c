"""What all candidates of `bench_cnn.py` share: weights, images, and what a candidate is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

LEARNING_RATE: Final = 1e-4
KERNELS: Final = ("k1", "k2", "k3", "d1", "d2")
BIASES: Final = ("b1", "b2", "b3", "c1", "c2")

Weights = Mapping[str, np.ndarray]
"""``k1 b1 k2 b2 k3 b3`` of the convolutions (kernels HWIO), ``d1 c1 d2 c2`` of the dense layers."""


Train = Callable[[np.ndarray, np.ndarray], float]


class Candidate(NamedTuple):
    """``forward(x)`` gives logits; ``trainer()`` starts anew and gives ``train(x, y)``, a step that gives the loss.

    ``x`` is ``(N, H, W, C)`` float32 in [0, 1]. Results are handed over as NumPy or numbers, so that nothing is left
    running. No ``trainer`` where a library does not train.
    """

    forward: Callable[[np.ndarray], np.ndarray]
    trainer: Callable[[], Train] | None


def features_side(weights: Weights) -> int:
    """Rows and columns of the last pooled layer."""
    return round((weights["d1"].shape[0] / weights["b3"].size) ** 0.5)


def random_weights(channels: int, side: int = 256, widths: Sequence[int] = (32, 64, 128), dense: int = 128) -> Weights:
    """Keras' initialisation, Glorot uniform; biases small random numbers instead of zeros, so that they matter."""
    rng = np.random.default_rng(5)

    def glorot(*shape: int) -> np.ndarray:
        taps = int(np.prod(shape[:-2]))
        limit = np.sqrt(6 / (taps * (shape[-2] + shape[-1])))
        return rng.uniform(-limit, limit, shape).astype(np.float32)

    weights, deep = {}, channels
    for n, wide in zip("123", widths, strict=True):
        weights[f"k{n}"], weights[f"b{n}"] = glorot(3, 3, deep, wide), glorot(1, wide)[0] / 10
        deep, side = wide, (side - 2) // 2
    weights["d1"], weights["c1"] = glorot(side * side * deep, dense), glorot(1, dense)[0] / 10
    weights["d2"], weights["c2"] = glorot(dense, 2), glorot(1, 2)[0] / 10
    return weights


def images(number: int, channels: int, side: int = 256) -> dict[str, np.ndarray]:
    """Smooth noise in [0, 1] as ``x``, gray even where there are three channels, and labels as ``y``."""
    rng = np.random.default_rng(6)
    coarse = rng.random((number, side // 4, side // 4, 1), np.float32).repeat(4, 1).repeat(4, 2)
    x = (0.7 * coarse + 0.3 * rng.random((number, side, side, 1), np.float32)).repeat(channels, 3)
    return {"x": np.ascontiguousarray(x), "y": rng.integers(0, 2, number).astype(np.int32)}
