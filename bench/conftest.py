"""One thread, one image, the same work: how every comparison in this folder is made (see README.md)."""

from __future__ import annotations

import os

# Before any library reads them: peers must not use a second thread while ours uses one.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
    os.environ.setdefault(_name, "1")

import importlib.metadata
import importlib.util
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import cv2
import pytest

import ctfast
from bench.images import bandwidth_seconds
from bench.paired import PROCESSOR, paired_medians
from ctkernels.cpu._core.vectors import VECTOR_BYTES

Peers = Mapping[str, Callable[[], Any]]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = ctfast.get_num_threads(), cv2.getNumThreads()
    ctfast.set_num_threads(1)
    cv2.setNumThreads(1)
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(1)
    yield
    ctfast.set_num_threads(before[0])
    cv2.setNumThreads(before[1])


@pytest.fixture
def compare(benchmark: Any) -> Callable[..., None]:
    """Check our result against the oracle and the peers against ours, then time all of them in turns.

    ``ours`` and the peers are calls without arguments; ``oracle`` raises when our result is wrong; ``same`` says
    whether a peer's result is the same work (None where only the effect is comparable); ``absent`` names peers that
    are not there.
    """

    def run(
        row: str,
        column: str,
        ours: Callable[[], Any],
        peers: Peers,
        *,
        oracle: Callable[[Any], None],
        same: Callable[[Any, Any], bool] | None = None,
        moved_bytes: int = 0,
        absent: tuple[str, ...] = (),
        pixels: int = 512 * 512,
        threads: int = 1,
    ) -> None:
        result = ours()
        oracle(result)
        for name, peer in peers.items():
            theirs = peer()
            if same is not None and theirs is not None:
                assert same(theirs, result), f"{name} does other work in {row} {column}"
        if benchmark.disabled:
            benchmark(ours)
            return
        medians = paired_medians({"ctfast": ours, **peers}, threads=threads)
        benchmark.extra_info.update(
            row=row,
            column=column,
            pixels=pixels,
            seconds=medians,
            absent=list(absent),
            copy_seconds=bandwidth_seconds(moved_bytes) if moved_bytes else None,
        )
        benchmark.pedantic(ours, rounds=5, iterations=1, warmup_rounds=1)

    return run


def pytest_benchmark_update_json(config: Any, benchmarks: Any, output_json: dict[str, Any]) -> None:
    """Note which versions were measured."""
    packages = (
        "numba",
        "numpy",
        "opencv-python-headless",
        "scipy",
        "scikit-image",
        "torch",
        "ipp",
        "diplib",
        "SimpleITK",
    )
    if any("cnn" in b["extra_info"] for b in output_json["benchmarks"]):
        packages = ("jax", "flax", "keras", "tensorflow-cpu", "torch", "onnxruntime", "openvino")
    output_json["ctfast_clock"] = "processor" if PROCESSOR else "wall"
    output_json["ctfast_vector_bytes"] = VECTOR_BYTES
    output_json["ctfast_versions"] = {
        name: importlib.metadata.version(name) for name in packages if _is_installed(name)
    }


def _is_installed(package: str) -> bool:
    try:
        return bool(importlib.metadata.version(package))
    except importlib.metadata.PackageNotFoundError:
        return False
