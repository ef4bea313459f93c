"""What ``ctfast doctor`` looks at for the GPU backend: driver, CuPy, NVRTC, every device, and the fix for each.

``backend gpu`` says whether it all works together; these say what there is.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
import importlib.util
from collections.abc import Iterator
from typing import Any, Final

Fact = tuple[str, bool, str, str]
"""Subject, whether it is good, what was found, what fixes it."""

EXTRAS: Final = {
    "cuda12": ("cupy-cuda12x", "nvidia-cuda-nvrtc-cu12"),
    "cuda13": ("cupy-cuda13x", "nvidia-cuda-nvrtc"),
}
_CUPY_PACKAGES: Final = ("cupy-cuda12x", "cupy-cuda13x", "cupy-cuda11x", "cupy")
_OLDEST_CUPY: Final = (14, 2)
_OLDEST_DEVICE: Final = (7, 5)


def gpu_facts() -> Iterator[Fact]:
    """Look at what there is; nothing here needs a GPU, a driver or CuPy."""
    driver = driver_version()
    yield _driver(driver)
    yield _extra(driver)
    yield _cupy(driver)
    if importlib.util.find_spec("cupy") is not None:
        try:
            cupy: Any = importlib.import_module("ctkernels.gpu._core.device").cupy
        except Exception as error:  # whatever its compiled parts run into
            yield ("CuPy import", False, _line(error), "pip install --force-reinstall the package named above")
            return
        yield _nvrtc(cupy)
        if driver is not None:
            yield from _devices(cupy)


def driver_version(library: str = "libcuda.so.1") -> int | None:
    """The newest CUDA that the driver runs, as 1000 major + 10 minor; None without a driver. Needs no package."""
    try:
        cuda = ctypes.CDLL(library)
    except OSError:
        return None
    version = ctypes.c_int()
    return version.value if cuda.cuDriverGetVersion(ctypes.byref(version)) == 0 else None


def _driver(driver: int | None) -> Fact:
    if driver is None:
        message = "not found: libcuda.so.1 can't be loaded"
        return (
            "NVIDIA driver",
            False,
            message,
            "install it where there is an NVIDIA GPU (in a container: start it with --gpus all)",
        )
    return ("NVIDIA driver", True, f"runs CUDA up to {_dotted(driver)}", "")


def _fitting(driver: int | None) -> str:
    return "cuda13" if driver is not None and driver >= 13000 else "cuda12"


def _extra(driver: int | None) -> Fact:
    """One of the two is enough; both together would overwrite each other's files."""
    name = next((extra for extra, packages in EXTRAS.items() if _version(packages[0])), None)
    if name is None:
        return ("extra cuda12 or cuda13", False, "not installed", f'pip install "ctfast[{_fitting(driver)}]"')
    versions = {package: _version(package) for package in EXTRAS[name]}
    missing = [package for package, version in versions.items() if version is None]
    if missing:
        return (f"extra {name}", False, f"missing {', '.join(missing)}", f'pip install "ctfast[{name}]"')
    return (f"extra {name}", True, ", ".join(f"{p} {v}" for p, v in versions.items()), "")


def _cupy(driver: int | None) -> Fact:
    installed = {package: version for package in _CUPY_PACKAGES if (version := _version(package)) is not None}
    if not installed:
        return ("CuPy", False, "not installed", f'pip install "ctfast[{_fitting(driver)}]"')
    message = ", ".join(f"{package} {version}" for package, version in installed.items())
    again = f'pip uninstall {" ".join(installed)}; pip install "ctfast[{_fitting(driver)}]"'
    if len(installed) > 1:
        return ("CuPy", False, f"{message}: they overwrite each other's files", again)
    [(package, version)] = installed.items()
    if tuple(int(n) for n in version.split(".")[:2] if n.isdigit()) < _OLDEST_CUPY:
        return ("CuPy", False, f"{message}; 14.2 or newer is needed", again)
    if package == "cupy-cuda13x" and driver is not None and driver < 13000:
        return ("CuPy", False, f"{message}, but the driver runs CUDA up to {_dotted(driver)}", again)
    return ("CuPy", True, message, "")


def _nvrtc(cupy: Any) -> Fact:
    try:
        major, minor = cupy.cuda.nvrtc.getVersion()
    except Exception as error:  # DynamicLibNotFoundError, by version
        package = "nvidia-cuda-nvrtc" if cupy.cuda.runtime.runtimeGetVersion() >= 13000 else "nvidia-cuda-nvrtc-cu12"
        return ("NVRTC", False, f"can't be loaded: {_line(error)}", f"pip install {package}")
    return ("NVRTC", True, f"{major}.{minor}, compiles the kernels at their first use", "")


def _devices(cupy: Any) -> Iterator[Fact]:
    try:
        count = int(cupy.cuda.runtime.getDeviceCount())
    except RuntimeError as error:
        yield ("GPUs", False, f"none: {_line(error)}", "see backend gpu")
        return
    for number in range(count):
        yield _device(cupy, number)


def _device(cupy: Any, number: int) -> Fact:
    subject = f"GPU {number}"
    try:
        facts = cupy.cuda.runtime.getDeviceProperties(number)
        with cupy.cuda.Device(number) as device:
            free, total = device.mem_info
    except RuntimeError as error:
        return (subject, False, f"can't be asked: {_line(error)}", "nvidia-smi says what holds it")
    name = facts["name"].decode(errors="replace")
    capability = (int(facts["major"]), int(facts["minor"]))
    message = (
        f"{name}, compute capability {capability[0]}.{capability[1]}, {facts['multiProcessorCount']} multiprocessors, "
        f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
    )
    if capability < _OLDEST_DEVICE:
        oldest = ".".join(map(str, _OLDEST_DEVICE))
        return (subject, False, f"{message}; {oldest} or newer is needed", "CUDA_VISIBLE_DEVICES chooses another GPU")
    return (subject, True, message, "")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _dotted(version: int) -> str:
    return f"{version // 1000}.{version % 1000 // 10}"


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
