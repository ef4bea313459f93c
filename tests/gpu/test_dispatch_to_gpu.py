"""Why the GPU backend can't be used, told by everything that would use it: with the real CuPy, on this machine.

Where there is a GPU, the tests of refusals do not apply and say so.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ctfast
from ctfast import Pipeline, Step, backend
from ctfast.errors import BackendUnavailableError, CTFastError
from ctfast.runner import run
from tests.cuda_on_host.simulation import Simulation

IMAGE = np.arange(80, dtype=np.int16).reshape(8, 10)
ROOT = Path(ctfast.__file__).parents[1]


@pytest.fixture
def why() -> backend.BackendStatus:
    status = ctfast.backends()["gpu"]
    if status.usable:
        pytest.skip("a GPU is here: refusals of machines without one were not seen")
    return status


def python(code: str, **environment: str) -> str:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "kernels"), str(ROOT)]), **environment}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_way_to_ask_gets_the_reason_and_the_remedy(why: backend.BackendStatus, tmp_path: Path) -> None:
    assert why.reason
    assert why.remedy
    pipeline = Pipeline([Step("median_filter")])
    np.save(tmp_path / "x.npy", IMAGE)
    for call in (
        lambda: ctfast.median_filter(IMAGE, backend="gpu"),
        lambda: ctfast.histogram(IMAGE, backend="gpu"),
        lambda: ctfast.summary(IMAGE, backend="gpu"),
        lambda: pipeline(IMAGE, backend="gpu"),
        lambda: run(tmp_path / "x.npy", tmp_path / "out", pipeline, backend="gpu"),
        lambda: ctfast.use_backend("gpu").__enter__(),
    ):
        with pytest.raises(BackendUnavailableError) as error:
            call()
        assert why.reason in str(error.value)
        assert why.remedy in str(error.value)
    assert not (tmp_path / "out").exists(), "refused before any work"
    assert int(ctfast.median_filter(IMAGE)[0, 0]) == int(ctfast.median_filter(IMAGE, backend="reference")[0, 0])


def test_the_environment_and_the_command_are_refused_alike(
    why: backend.BackendStatus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CTFAST_BACKEND", "gpu")
    with pytest.raises(BackendUnavailableError):
        ctfast.median_filter(IMAGE)
    assert ctfast.median_filter(IMAGE, backend="cpu").shape == IMAGE.shape
    np.save(tmp_path / "x.npy", IMAGE)
    command = [sys.executable, "-m", "ctfast", "run", str(tmp_path / "x.npy"), "--out", str(tmp_path / "out")]
    command += ["--step", "median_filter", "--backend", "gpu"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "kernels"), str(ROOT)])}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 2
    assert why.reason in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_the_real_cupy_here_finds_no_driver(why: backend.BackendStatus) -> None:
    import cupy

    try:
        cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError:
        assert "driver" in why.reason or "GPU" in why.reason
    with pytest.raises(RuntimeError):
        cupy.empty(3)


def test_cupy_missing_switched_off_or_hidden() -> None:
    script = "import ctfast; s = ctfast.backends()['gpu']; print(s.usable, s.reason, '|', s.remedy)"
    absent = python("import sys; sys.modules['cupy'] = None; " + script)
    assert absent.startswith("False cupy is not installed")
    assert "ctfast[cuda12]" in absent
    off = python(script, CTFAST_DISABLE_GPU="1")
    assert off.startswith("False turned off by CTFAST_DISABLE_GPU=1")
    hidden = python(script, CUDA_VISIBLE_DEVICES="")
    assert hidden.startswith("False no GPU is visible")
    assert "unset CUDA_VISIBLE_DEVICES" in hidden


def test_calls_on_the_host_never_load_cupy() -> None:
    script = "import ctfast, numpy, sys; ctfast.median_filter(numpy.zeros((9, 9), 'i2')); print('cupy' in sys.modules)"
    assert python(script).strip() == "False"


def test_jax_leaves_memory_to_cupy_unless_the_user_says_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in backend._JAX_MEMORY:
        monkeypatch.delenv(name, raising=False)
    backend.share_gpu_memory()
    assert os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "true")
    backend.share_gpu_memory()
    assert os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] == "true"
    monkeypatch.delenv("XLA_PYTHON_CLIENT_PREALLOCATE")
    monkeypatch.setenv("XLA_PYTHON_CLIENT_MEM_FRACTION", ".5")
    backend.share_gpu_memory()
    assert "XLA_PYTHON_CLIENT_PREALLOCATE" not in os.environ


def test_only_a_gpu_that_is_used_touches_the_setting(host_gpu: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in backend._JAX_MEMORY:
        monkeypatch.delenv(name, raising=False)
    ctfast.median_filter(IMAGE)
    ctfast.backends()
    assert "XLA_PYTHON_CLIENT_PREALLOCATE" not in os.environ
    ctfast.median_filter(IMAGE, backend="gpu")
    assert os.environ.pop("XLA_PYTHON_CLIENT_PREALLOCATE") == "false"


def test_the_choice_follows_the_array(host_gpu: Simulation) -> None:
    import cupy

    assert backend.select(None) == "cpu"
    assert backend.select(None, 0) == "gpu"
    assert backend.select("cpu", 0) == "cpu"
    with ctfast.use_backend("reference"):
        result = ctfast.median_filter(cupy.asarray(IMAGE))
        assert isinstance(result, cupy.ndarray)
        assert host_gpu.launches == []
    np.testing.assert_array_equal(result.get(), ctfast.median_filter(IMAGE, backend="reference"))


def test_a_device_array_without_a_usable_backend(host_gpu: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    import cupy

    x = cupy.asarray(IMAGE)
    unusable = backend.BackendStatus("gpu", False, "the reason", "the remedy")
    monkeypatch.setattr(backend, "status", lambda name: unusable)
    with pytest.raises(CTFastError, match="the reason; the remedy"):
        ctfast.median_filter(x)
