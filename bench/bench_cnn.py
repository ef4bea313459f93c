"""The network, forward and a training step with Adam: naive Flax, Keras, PyTorch, ONNX Runtime, OpenVINO.

All cores, every candidate in a process of its own, in turns (`cnn_turns.py`); the same weights, the same images, with
one input channel for all or three for all. Logits and the losses of two steps are compared before anything is timed.
``CTFAST_BENCH_PEERS=ctfast,onnxruntime`` takes some of the candidates; ``torch as it comes`` leaves PyTorch's memory to
the C library's settings, where all others' is kept (``cnn_turns.ALLOCATOR``).
Without ``--benchmark-enable`` our own paths are compared on a small network, and no peer is imported.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from bench.cnn_candidates import CANDIDATES, ctfast_path
from bench.cnn_network import images, random_weights
from bench.cnn_turns import ALLOCATOR, Turns

LOGITS = 1e-4
"""Most that logits (of size 0.1 to 1) may differ: float32 sums of 115,200 products in different orders."""
NARROW = {"ctfast bfloat16": 1e-3, "ctfast int8": 1e-3}
"""The same for weights of the hidden layer that are narrower."""
LOSS = 1e-3
"""Most that losses may differ: after a step of Adam, whose first update is the gradient's sign, near-zeros count."""


@pytest.fixture(scope="module", params=[1, 3], ids=["gray", "rgb"])
def turns(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The candidates for so many input channels; the number itself in a run without timing."""
    if not request.config.getoption("benchmark_enable"):
        yield request.param
        return
    names = os.environ.get("CTFAST_BENCH_PEERS", ",".join(CANDIDATES)).split(",")
    turns = Turns(request.param, tmp_path_factory.mktemp("cnn"), names)
    yield turns
    turns.close()


@functools.cache
def small_results(what: str, channels: int) -> Mapping[str, Any]:
    """What our paths find on a small network of the same build."""
    weights = random_weights(channels, 40, (32, 8, 8), 16)
    data = images(4, channels, 40)
    results = {}
    for path in ("ffi", "lax", "xla") if channels == 1 else ("ffi", "xla"):
        candidate = ctfast_path(path)(weights)
        if what == "forward":
            results[path] = candidate.forward(data["x"])
        else:
            assert candidate.trainer is not None
            train = candidate.trainer()
            results[path] = [train(data["x"], data["y"]) for _ in range(2)]
    return results


def _assert_alike(results: Mapping[str, Any], most: float) -> None:
    first, *others = results
    for name in others:
        difference = np.abs(np.asarray(results[name]) - np.asarray(results[first])).max()
        allowed = NARROW.get(name, most)
        assert difference <= allowed, f"{name} does other work than {first}: {difference}"


def _compare(benchmark: Any, turns: Any, what: str, batch: int) -> None:
    most = LOGITS if what == "forward" else LOSS
    if benchmark.disabled:
        _assert_alike(small_results(what, turns), most)
        benchmark(lambda: None)
        return
    results = turns.results(what, batch)
    _assert_alike(results, most)
    seconds = turns.medians(what, batch, list(results))
    benchmark.extra_info.update(
        cnn=what,
        batch=batch,
        channels=turns.channels,
        seconds=seconds,
        first_call={name: turns.first[name, what, batch] for name in results},
        peak_bytes={name: turns.peaks[name] for name in results},
        allocator=ALLOCATOR,
        absent=list(turns.absent),
    )
    benchmark.pedantic(lambda: None, rounds=1)


@pytest.mark.parametrize("batch", [1, 8, 32, 64])
def bench_forward(benchmark: Any, turns: Any, batch: int) -> None:
    _compare(benchmark, turns, "forward", batch)


@pytest.mark.parametrize("batch", [16, 32])
def bench_train_step(benchmark: Any, turns: Any, batch: int) -> None:
    _compare(benchmark, turns, "train", batch)


def bench_every_candidate_has_a_name_and_a_module() -> None:
    """The table of candidates is well-formed even where no peer is installed."""
    assert list(CANDIDATES)[:2] == ["ctfast", "ctfast lax"]
    assert all(module.isidentifier() for module, _ in CANDIDATES.values())
