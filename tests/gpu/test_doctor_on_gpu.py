"""``ctfast doctor`` and ``ctfast bench`` about GPUs: with none, with simulated ones, with broken installations."""

from __future__ import annotations

import importlib.metadata
import io

import pytest
from rich.console import Console

import ctfast
from ctfast.tools import benchmark, doctor, doctor_gpu
from ctfast.tools.doctor import Finding, findings
from tests.cuda_on_host.simulation import Simulation


def facts() -> dict[str, Finding]:
    return {fact[0]: Finding(*fact) for fact in doctor_gpu.gpu_facts()}


def installed(monkeypatch: pytest.MonkeyPatch, **packages: str) -> None:
    def version(name: str) -> str:
        try:
            return packages[name.replace("-", "_")]
        except KeyError:
            raise importlib.metadata.PackageNotFoundError(name) from None

    monkeypatch.setattr(importlib.metadata, "version", version)


def with_driver(monkeypatch: pytest.MonkeyPatch, version: int | None) -> None:
    monkeypatch.setattr(doctor_gpu, "driver_version", lambda: version)


def test_this_machine_with_the_real_cupy() -> None:
    found = facts()
    assert found["extra cuda12"].good
    assert found["CuPy"].good
    assert "cupy-cuda12x" in found["CuPy"].message
    assert found["NVRTC"].good, "compiling needs no driver"
    if doctor_gpu.driver_version() is None:
        assert not found["NVIDIA driver"].good
        assert "libcuda.so.1" in found["NVIDIA driver"].message
        assert not [name for name in found if name.startswith("GPU")], "nobody asks for GPUs without a driver"
    every = {finding.subject: finding for finding in findings()}
    assert {"CuPy", "NVRTC", "NVIDIA driver", "backend gpu", "extra nn"} <= set(every)
    assert all(f.good or f.remedy for f in every.values()), "what is not good has a remedy"
    assert every["backend gpu"].message == ctfast.backends()["gpu"].reason


def test_every_gpu_is_told(host_gpu: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    with_driver(monkeypatch, 12090)
    host_gpu.devices, host_gpu.memory_limit = 2, 3 << 30
    found = facts()
    assert found["NVIDIA driver"].message == "runs CUDA up to 12.9"
    for name in ("GPU 0", "GPU 1"):
        assert found[name].good
        assert found[name].message == ("Host shim, compute capability 9.0, 4 multiprocessors, 3.0 of 3.0 GiB free")
    host_gpu.compute_capability = "70"
    assert not facts()["GPU 0"].good
    assert "7.5 or newer" in facts()["GPU 0"].message


def test_a_driver_without_gpus(host_gpu: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    with_driver(monkeypatch, 12090)
    host_gpu.devices = 0
    assert not facts()["GPUs"].good


@pytest.mark.parametrize(
    ("packages", "driver", "told", "remedy"),
    [
        ({}, None, "not installed", "ctfast[cuda12]"),
        ({}, 13000, "not installed", "ctfast[cuda13]"),
        ({"cupy_cuda12x": "13.6.0"}, 12090, "14.2 or newer is needed", "pip uninstall cupy-cuda12x"),
        (
            {"cupy_cuda12x": "14.2.0", "cupy": "14.2.0"},
            12090,
            "overwrite each other",
            "pip uninstall cupy-cuda12x cupy",
        ),
        ({"cupy_cuda13x": "14.2.0"}, 12040, "the driver runs CUDA up to 12.4", "ctfast[cuda12]"),
    ],
)
def test_what_is_wrong_with_cupy(
    monkeypatch: pytest.MonkeyPatch, packages: dict[str, str], driver: int | None, told: str, remedy: str
) -> None:
    installed(monkeypatch, **packages)
    with_driver(monkeypatch, driver)
    found = facts()["CuPy"]
    assert not found.good
    assert told in found.message
    assert remedy in found.remedy


def test_the_extra_that_fits_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with_driver(monkeypatch, 13000)
    installed(monkeypatch)
    assert facts()["extra cuda12 or cuda13"].remedy == 'pip install "ctfast[cuda13]"'
    installed(monkeypatch, cupy_cuda13x="14.2.0")
    extra = facts()["extra cuda13"]
    assert not extra.good
    assert extra.message == "missing nvidia-cuda-nvrtc"
    assert extra.remedy == 'pip install "ctfast[cuda13]"'


def test_the_command_that_fixes_it_is_shown_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    with_driver(monkeypatch, None)
    installed(monkeypatch)
    missing = facts()["extra cuda12 or cuda13"]
    monkeypatch.setattr(doctor, "findings", lambda: [missing])
    shown = io.StringIO()
    doctor.print_findings(Console(file=shown, width=150))
    assert 'pip install "ctfast[cuda12]"' in shown.getvalue()


def test_a_missing_nvrtc(host_gpu: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    import cupy

    def missing() -> tuple[int, int]:
        raise RuntimeError("CuPy failed to load libnvrtc.so.13")

    monkeypatch.setattr(cupy.cuda.nvrtc, "getVersion", missing)
    monkeypatch.setattr(cupy.cuda.runtime, "runtimeGetVersion", lambda: 13000)
    nvrtc = facts()["NVRTC"]
    assert not nvrtc.good
    assert "libnvrtc.so.13" in nvrtc.message
    assert nvrtc.remedy == "pip install nvidia-cuda-nvrtc"


def test_bench_tells_transfer_and_compute_apart(host_gpu: Simulation) -> None:
    timings = list(benchmark.measure(["int16"], 32, 2, ["median_filter", "histogram", "summary"]))
    by_backend = {t.backend: t for t in timings if t.operation == "median_filter"}
    assert set(by_backend) == {"cpu", "gpu"}
    assert by_backend["cpu"].transfer_ms == 0
    assert by_backend["gpu"].transfer_ms > 0
    assert by_backend["gpu"].compute_ms > 0
    assert all(t.error == 0 for t in timings if t.operation != "summary")
    slow_copies = [t.__class__(**{**t.__dict__, "transfer_ms": 1e6 if t.backend == "gpu" else 0}) for t in timings]
    assert benchmark.recommend(slow_copies) == "cpu", "copies count"
    assert benchmark.run_bench(
        Console(quiet=True), dtypes=["uint8"], size=32, images=1, operations=["median_filter"]
    ) in ("cpu", "gpu")
