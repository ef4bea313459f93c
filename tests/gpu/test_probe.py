"""Why the GPU backend can't be used: told apart with the real CuPy in fresh processes, and by simulated devices."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from ctkernels.gpu import probe
from ctkernels.gpu._core.probe import NO_DRIVER
from tests.cuda_on_host.simulation import Simulation

ROOT = Path(__file__).resolve().parents[2]
SITE = Path(sysconfig.get_paths()["purelib"])
SAY = """
import json, sys
from ctkernels.gpu import probe
first = probe()
assert probe() == first
print(json.dumps([*first, sorted({"cupy", "numpy", "numba"} & set(sys.modules))]))
"""


def driver_here() -> bool:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


without_driver = pytest.mark.skipif(
    driver_here(), reason="what a machine without an NVIDIA driver is told: this one has one"
)


def said(code: str = SAY, *, path: Path | None = None, **environment: str) -> Any:
    """What a fresh process prints as JSON. ``path``: the only place besides the project that packages come from."""
    env = {k: v for k, v in os.environ.items() if k not in ("CTFAST_DISABLE_GPU", "CUDA_VISIBLE_DEVICES")}
    folders = [ROOT / "kernels", ROOT, *([path] if path else [])]
    env |= {"PYTHONPATH": os.pathsep.join(map(str, folders)), **environment}
    command = [sys.executable, *(["-S"] if path else []), "-c", code]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, cwd=os.sep)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def installation(folder: Path, *left_out: str) -> Path:
    """A folder with this environment's packages but some."""
    folder.mkdir()
    for entry in SITE.iterdir():
        if entry.suffix != ".pth" and entry.name not in left_out and not entry.name.startswith("__editable__"):
            (folder / entry.name).symlink_to(entry)
    return folder


@without_driver
def test_no_driver_is_found_without_importing_anything() -> None:
    assert said() == [*NO_DRIVER, []]


@without_driver
def test_the_real_cupy_says_the_same(tmp_path: Path) -> None:
    usable, reason, remedy, loaded = said("import cupy\n" + SAY)
    assert (usable, reason, remedy) == NO_DRIVER
    assert "cupy" in loaded
    stub = tmp_path / "empty.c"  # a driver library that is no driver: CuPy is asked, finds out, and nothing breaks
    stub.write_text("")
    subprocess.run(["gcc", "-shared", "-o", str(tmp_path / "libcuda.so.1"), str(stub)], check=True)
    usable, reason, remedy, _ = said(LD_LIBRARY_PATH=str(tmp_path))
    assert not usable
    assert "driver" in reason
    assert remedy


def test_cupy_absent(tmp_path: Path) -> None:
    usable, reason, remedy, loaded = said(path=installation(tmp_path / "site", "cupy"))
    assert (usable, reason, loaded) == (False, "cupy is not installed", [])
    assert "ctfast[cuda12]" in remedy


def test_cupy_broken(tmp_path: Path) -> None:
    site = installation(tmp_path / "site", "cupy_backends")
    usable, reason, remedy, _ = said(
        "import ctkernels.gpu._core.probe as p; p.driver_library = lambda: True\n" + SAY, path=site
    )
    assert not usable
    assert "can't be imported" in reason
    assert "--force-reinstall cupy-cuda1" in remedy


def test_nvrtc_absent(tmp_path: Path) -> None:
    """The real CuPy looks for NVRTC where there is none; only the device is made up."""
    code = """
import json
from types import SimpleNamespace as Some
import cupy
from ctkernels.gpu._core import probe
device = {"name": b"Made-up GPU", "major": 9, "minor": 0}
runtime = Some(getDevice=lambda: 0, getDeviceProperties=lambda i: device, runtimeGetVersion=lambda: 12090)
print(json.dumps(probe.usable(Some(cuda=Some(runtime=runtime, nvrtc=cupy.cuda.nvrtc)), 12090)))
"""
    assert said(code)[::2] == [True, ""]
    usable, reason, remedy = said(code, path=installation(tmp_path / "site", "nvidia"))
    if usable:
        pytest.skip("NVRTC is missing: this machine has another one, of a CUDA toolkit")
    assert "NVRTC" in reason
    assert remedy == "pip install nvidia-cuda-nvrtc-cu12"


@pytest.mark.parametrize("value", ["1", "yes"])
def test_turned_off(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("CTFAST_DISABLE_GPU", value)
    assert probe() == (False, f"turned off by CTFAST_DISABLE_GPU={value}", "unset CTFAST_DISABLE_GPU")


@pytest.mark.parametrize("value", ["", "-1", "NoDevFiles"])
def test_no_device_is_visible(value: str) -> None:
    usable, reason, remedy, loaded = said(CUDA_VISIBLE_DEVICES=value)
    assert (usable, loaded) == (False, [])
    assert "CUDA_VISIBLE_DEVICES" in reason
    assert "CUDA_VISIBLE_DEVICES" in remedy


def test_a_zero_turns_nothing_off(host_gpu: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CTFAST_DISABLE_GPU", "0")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    usable, reason, remedy = probe()
    assert (usable, remedy) == (True, "")
    assert "9.0" in reason


@pytest.mark.parametrize(("capability", "usable"), [("70", False), ("75", True), ("120", True)])
def test_age_of_the_device(host_gpu: Simulation, capability: str, usable: bool) -> None:
    host_gpu.compute_capability = capability
    answer, reason, remedy = probe()
    assert answer == usable
    assert f"compute capability {int(capability) / 10}" in reason
    assert usable or "7.5" in reason
    assert usable or "CUDA_VISIBLE_DEVICES" in remedy


@pytest.mark.parametrize(
    ("code", "words", "mends"),
    [(35, "older than", "update the driver"), (100, "no GPU", "nvidia-smi"), (999, "999", "nvidia-smi")],
)
def test_what_the_driver_refuses(
    host_gpu: Simulation, monkeypatch: pytest.MonkeyPatch, code: int, words: str, mends: str
) -> None:
    import cupy

    class Refusal(RuntimeError):
        """As CuPy's."""

    names = {35: "cudaErrorInsufficientDriver: too old", 100: "cudaErrorNoDevice: none", 999: "error 999"}

    def refuse() -> int:
        raise Refusal(names[code])

    monkeypatch.setattr(cupy.cuda.runtime, "getDeviceCount", refuse)
    usable, reason, remedy = probe()
    assert not usable
    assert words in reason
    assert mends in remedy


def test_the_process_stays_usable() -> None:
    """After a probe that failed inside the real CuPy: CPU work, a forked child, CuPy itself."""
    code = """
import json, os, cupy, numpy as np
import ctfast
before = ctfast.backends()["gpu"].usable
x = np.arange(64 * 64, dtype=np.int16).reshape(64, 64)
here = ctfast.median_filter(x, 3)
child = os.fork()
if child == 0:
    os._exit(0 if (ctfast.median_filter(x, 3) == here).all() else 1)
print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), cupy.is_available() == before]))
"""
    assert said(code) == [0, True]
