"""Whether the GPU backend can be used here; if not, why, and what to do about it."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
import os
import sys
from typing import Any, Final

DISABLE: Final = "CTFAST_DISABLE_GPU"
"""Environment variable: any value but ``0`` and the empty string turns the backend off."""

OLDEST: Final = 75
"""Compute capability 7.5 (Turing): CUDA 13 knows nothing older."""

_CUPY_PACKAGES: Final = ("cupy-cuda12x", "cupy-cuda13x")
_NVRTC_PACKAGES: Final = {12: "nvidia-cuda-nvrtc-cu12", 13: "nvidia-cuda-nvrtc"}

Finding = tuple[bool, str, str]
"""Usable, reason, remedy."""

NO_DRIVER: Final = (
    False,
    "there is no NVIDIA driver on this machine",
    "sudo ubuntu-drivers install, or your system's way (a container is started with --gpus all); then nvidia-smi",
)


def probe() -> Finding:
    """``(usable, reason, remedy)``.

    CuPy, whose import takes half a second, is imported only where the user has not turned the backend off and both the
    package and a driver are there. The driver and NVRTC are asked what they are; no memory of a device is taken, no
    context made and no kernel compiled.
    """
    off = _turned_off()
    if off is not None:
        return off
    if importlib.util.find_spec("cupy") is None:
        extra = "pip install 'ctfast[cuda12]' (or 'ctfast[cuda13]'; nvidia-smi shows which CUDA the driver runs)"
        return (False, "cupy is not installed", extra)
    if "cupy" not in sys.modules and not driver_library():
        return NO_DRIVER
    try:
        cupy: Any = importlib.import_module("cupy")
    except Exception as error:  # CuPy raises whatever its compiled parts run into
        return (False, f"cupy is installed but can't be imported: {_line(error)}", _reinstall())
    return _device(cupy)


def _turned_off() -> Finding | None:
    if os.environ.get(DISABLE, "0") not in ("", "0"):
        return (False, f"turned off by {DISABLE}={os.environ[DISABLE]}", f"unset {DISABLE}")
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.split(",")[0].strip() in ("", "-1", "none", "NoDevFiles"):
        return (
            False,
            f"no GPU is visible: CUDA_VISIBLE_DEVICES={visible!r}",
            "unset CUDA_VISIBLE_DEVICES, or set it to 0",
        )
    return None


def driver_library() -> bool:
    """Whether the dynamic loader finds the driver, in the way in which CuPy finds it."""
    try:
        ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return False
    return True


def _device(cupy: Any) -> Finding:
    runtime = cupy.cuda.runtime
    try:
        driver = int(runtime.driverGetVersion())
    except RuntimeError as error:
        return (False, f"the CUDA driver can't be asked: {_line(error)}", "nvidia-smi says what the driver lacks")
    if driver == 0:
        return NO_DRIVER
    try:
        count = int(runtime.getDeviceCount())
    except RuntimeError as error:
        if "InsufficientDriver" in str(error):
            wanted = _version(runtime.runtimeGetVersion())
            reason = f"the driver (CUDA {_version(driver)}) is older than CuPy's CUDA {wanted}"
            return (False, reason, "update the driver, or pip install cupy-cuda12x in place of cupy-cuda13x")
        if "NoDevice" not in str(error):
            return (False, f"the driver finds no usable GPU: {_line(error)}", "nvidia-smi says what it sees")
        count = 0
    if count == 0:
        return (
            False,
            "there is a driver but no GPU",
            "nvidia-smi -L lists GPUs; in a container start it with --gpus all",
        )
    return usable(cupy, driver)


def usable(cupy: Any, driver: int) -> Finding:
    """What there is to say about the current device and NVRTC, where there are a driver and a GPU."""
    runtime = cupy.cuda.runtime
    properties = runtime.getDeviceProperties(int(runtime.getDevice()))
    capability = 10 * int(properties["major"]) + int(properties["minor"])
    name = properties["name"]
    name = name.decode(errors="replace") if isinstance(name, bytes) else str(name)
    if capability < OLDEST:
        reason = f"{name} has compute capability {capability / 10}; {OLDEST / 10} or newer is needed"
        return (False, reason, "use another GPU (CUDA_VISIBLE_DEVICES=<its number>), or backend='cpu'")
    toolkit = int(runtime.runtimeGetVersion())
    try:
        major, minor = cupy.cuda.nvrtc.getVersion()
    except Exception as error:  # DynamicLibNotFoundError, ImportError, by version
        package = _NVRTC_PACKAGES.get(toolkit // 1000, "nvidia-cuda-nvrtc")
        return (False, f"NVRTC, which compiles the kernels, is not found: {_line(error)}", f"pip install {package}")
    return (
        True,
        f"{name} (compute capability {capability / 10}, driver CUDA {_version(driver)}, NVRTC {major}.{minor})",
        "",
    )


def _version(number: Any) -> str:
    return f"{int(number) // 1000}.{int(number) % 1000 // 10}"


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _reinstall() -> str:
    from importlib.metadata import PackageNotFoundError, version

    installed = []
    for package in (*_CUPY_PACKAGES, "cupy"):
        with contextlib.suppress(PackageNotFoundError):
            version(package)
            installed.append(package)
    package = installed[0] if installed and installed[0] != "cupy" else _CUPY_PACKAGES[0]
    return f"pip uninstall {' '.join(installed) or 'cupy'}; pip install --force-reinstall {package}"
