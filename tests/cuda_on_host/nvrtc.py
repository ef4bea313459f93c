"""The compiler that a GPU gets, without a GPU: NVRTC from its PyPI package, with the options that CuPy gives it."""

from __future__ import annotations

import ctypes
import importlib.util
import json
import re
import threading
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Final

from tests.cuda_on_host import builder, elf

ARCHITECTURES: Final = ("75", "80", "90", "100", "120")
CUPY_OPTIONS: Final = ("-std=c++17", "-ftz=true")
"""What CuPy 14 adds to the options of a RawModule by itself."""

_slots = threading.Semaphore(2)


class NvrtcError(RuntimeError):
    """NVRTC refused the source; the message is its log."""


@dataclass(frozen=True)
class Resources:
    """What a kernel takes on one architecture."""

    registers: int
    stack: int
    """Bytes of local memory a thread."""
    spill_stores: int
    spill_loads: int
    static_shared: int


def library_path() -> Path | None:
    """NVRTC's shared object of the PyPI package, None where it is not installed."""
    for package in ("nvidia.cuda_nvrtc", "nvidia.cu13"):
        try:
            spec = importlib.util.find_spec(package)
        except ModuleNotFoundError:
            continue
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            libraries = sorted(p for p in (Path(folder) / "lib").glob("libnvrtc.so.*") if "alt" not in p.name)
            if libraries:
                return libraries[0]
    return None


@cache
def _library() -> ctypes.CDLL:
    path = library_path()
    if path is None:
        raise NvrtcError("no NVRTC: pip install nvidia-cuda-nvrtc-cu12")
    for builtins in path.parent.glob("libnvrtc-builtins.so.*"):
        ctypes.CDLL(str(builtins), mode=ctypes.RTLD_GLOBAL)
    lib = ctypes.CDLL(str(path))
    lib.nvrtcGetErrorString.restype = ctypes.c_char_p
    return lib


@cache
def version() -> str:
    """Such as "12.9"."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    _library().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return f"{major.value}.{minor.value}"


def compile_unit(source: str, architecture: str, options: tuple[str, ...] = ()) -> dict[str, Resources]:
    """Compile a unit's source string to machine code; resources of each kernel. Results are kept by content."""
    flags = (*options, *CUPY_OPTIONS, f"-arch=sm_{architecture}", "--ptxas-options=-v")
    key = builder._digest(version(), source, *flags)
    kept = builder.cache_folder() / f"nvrtc-{key}.json"
    if not kept.exists():
        with _slots:
            image, log = _compile(source, flags)
        kernels = _resources(image, log)
        partial = kept.with_suffix(f".{threading.get_ident()}")
        partial.write_text(json.dumps({name: asdict(r) for name, r in kernels.items()}))
        partial.replace(kept)
    return {name: Resources(**r) for name, r in json.loads(kept.read_text()).items()}


def _compile(source: str, flags: tuple[str, ...]) -> tuple[bytes, str]:
    lib = _library()
    program = ctypes.c_void_p()
    lib.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernel.cu", 0, None, None)
    array = (ctypes.c_char_p * len(flags))(*(f.encode() for f in flags))
    status = lib.nvrtcCompileProgram(program, len(flags), array)
    size = ctypes.c_size_t()
    lib.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    text = ctypes.create_string_buffer(size.value)
    lib.nvrtcGetProgramLog(program, text)
    log = text.value.decode()
    if status:
        lib.nvrtcDestroyProgram(ctypes.byref(program))
        raise NvrtcError(f"{lib.nvrtcGetErrorString(status).decode()} {flags}\n{log[:6000]}")
    lib.nvrtcGetCUBINSize(program, ctypes.byref(size))
    image = ctypes.create_string_buffer(size.value)
    lib.nvrtcGetCUBIN(program, image)
    lib.nvrtcDestroyProgram(ctypes.byref(program))
    return image.raw, log


def _resources(image: bytes, log: str) -> dict[str, Resources]:
    """From ptxas' words, for the kernels that the machine code has."""
    names = [section.name for section in elf.read(image).sections]
    kernels = {name.removeprefix(".text.") for name in names if name.startswith(".text.")}
    resources = {}
    for part in log.split("Compiling entry function '")[1:]:
        name = part.partition("'")[0]
        if name not in kernels:
            raise NvrtcError(f"{name} is in ptxas' log but not in the machine code")
        resources[name] = Resources(
            _number(r"Used (\d+) registers", part),
            _number(r"(\d+) bytes stack frame", part),
            _number(r"(\d+) bytes spill stores", part),
            _number(r"(\d+) bytes spill loads", part),
            _number(r"(\d+) bytes smem", part, 0),
        )
    if not resources:
        raise NvrtcError(f"no kernels in ptxas' words:\n{log[:2000]}")
    return resources


def _number(pattern: str, text: str, default: int | None = None) -> int:
    """The largest number: device functions that were not inlined have lines of their own."""
    numbers = [int(n) for n in re.findall(pattern, text)]
    if not numbers and default is None:
        raise NvrtcError(f"ptxas did not say {pattern!r}:\n{text[:500]}")
    return max(numbers) if numbers else int(default or 0)
