"""The source string that the GPU would get, compiled by g++ into a shared object; found again by its content.

Variants:

``plain``     -O1, multiplications and additions contracted to FMA where the machine has it, as NVRTC does: what must be
              exact has to be exact in spite of that
``checked``   -fsanitize=thread (linked with own access hooks) and -fsanitize=undefined (own handlers), no contraction
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
CPP: Final = HERE / "cpp"
RUNTIME: Final = ("scheduler.cpp", "warps.cpp", "access.cpp", "traffic.cpp", "undefined.cpp")
COMMON: Final = ("-std=gnu++17", "-fPIC", "-fno-strict-aliasing", "-fno-math-errno", "-w")
# Units hold variables of the same names, which the loader must not take for one another.
PRIVATE: Final = ("-fvisibility=hidden", "-fno-gnu-unique")
CHECKS: Final = (
    "-fsanitize=thread,undefined,float-cast-overflow,bounds-strict",
    "-ffp-contract=off",
    "-fno-tree-sra",
    "-g1",
)
UNIT: Final = "unit.hpp"
"""What stands before every kernel; read once for all of them, as a precompiled header."""
COMPILERS: Final = 2

_slots = threading.Semaphore(COMPILERS)
_locks: defaultdict[Path, threading.Lock] = defaultdict(threading.Lock)

KERNEL: Final = re.compile(
    r"__global__\s+(?P<before>__launch_bounds__\s*(?P<b1>\((?:[^()]|\([^()]*\))*\))\s*)?void\s+"
    r"(?:__launch_bounds__\s*(?P<b2>\((?:[^()]|\([^()]*\))*\))\s*)?(?P<name>\w+)\s*\("
)
DYNAMIC: Final = re.compile(r"\bextern\s+__shared__\b")
DYNAMIC_NAME: Final = re.compile(r"\bextern\s+__shared__\b[^;\[]*?(\w+)\s*\[\s*\]\s*;")
DYNAMIC_BYTES: Final = 256 * 1024


class HostBuildError(RuntimeError):
    """g++ refused the source; the message holds its words."""


def compiler() -> str | None:
    """The C++ compiler, or None where there is none."""
    return shutil.which(os.environ.get("CXX", "g++"))


@cache
def _compiler_id() -> str:
    path = compiler()
    if path is None:
        raise HostBuildError("no g++ on the PATH: install it (apt-get install g++) or name one in CXX")
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    return f"{path} {version} {platform.machine()}"


@cache
def variant_flags(variant: str) -> tuple[str, ...]:
    """Compiler flags of a variant."""
    if variant == "checked":
        return ("-O1", *CHECKS)
    if variant != "plain":
        raise ValueError(f"variant {variant!r}: plain or checked")
    fma = "fma" in Path("/proc/cpuinfo").read_text().split() if Path("/proc/cpuinfo").exists() else False
    if platform.machine() == "aarch64":
        return ("-O1", "-fexpensive-optimizations", "-ffp-contract=fast")
    return ("-O1", "-fexpensive-optimizations", "-mfma", "-ffp-contract=fast") if fma else ("-O1",)


@cache
def cache_folder() -> Path:
    """Where shared objects are kept: ``CTFAST_HOST_CACHE``, else inside pytest's cache, else a folder of this run."""
    chosen = os.environ.get("CTFAST_HOST_CACHE")
    folder = Path(chosen) if chosen else HERE.parents[1] / ".pytest_cache" / "gpu-host"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "writable").touch()
    except OSError:
        folder = Path(tempfile.mkdtemp(prefix="gpu-host-"))
    return folder


@cache
def _own_sources() -> str:
    return "".join(path.read_text() for path in sorted(CPP.iterdir()))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def _run(arguments: list[str], what: str) -> str:
    with _slots:
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode:
        raise HostBuildError(f"{what}: g++ failed\n{done.stderr[:6000]}")
    return done.stdout


def _once(target: Path, make: Callable[[Path], object]) -> Path:
    """Make ``target`` unless it is there; other threads wait for it, other processes see the whole file or none."""
    with _locks[target]:
        if not target.exists():
            partial = target.with_suffix(f".{os.getpid()}.{threading.get_ident()}.so")
            make(partial)
            partial.replace(target)
    return target


def runtime_library() -> Path:
    """The scheduler, memory checks and counters, common to all kernels.

    ``CTFAST_HOST_UCONTEXT=1`` switches contexts as on machines other than x86-64.
    """
    portable = ("-DCTKH_UCONTEXT",) if os.environ.get("CTFAST_HOST_UCONTEXT") else ()
    flags = (*COMMON, "-O2", "-shared", *portable)
    target = cache_folder() / f"runtime-{_digest(_compiler_id(), _own_sources(), *flags)}.so"
    sources = (str(CPP / name) for name in RUNTIME)
    return _once(target, lambda made: _run([str(compiler()), *flags, *sources, "-o", str(made)], "host runtime"))


def kernel_names(source: str) -> dict[str, str]:
    """Kernels of a unit and the expression of their launch bound (``1024`` where none is given)."""
    path = cache_folder() / f"source-{_digest(source)}.cu"
    if not path.exists():
        path.write_text(source)
    text = _run([str(compiler()), "-E", "-P", "-xc++", "-D__CUDA_ARCH__=750", "-w", str(path)], "preprocessor")
    bounds = {}
    for match in KERNEL.finditer(text):
        given = match["b1"] or match["b2"]
        bounds[match["name"]] = given[1:-1].split(",")[0].strip() if given else "1024"
    return bounds


def host_source(source: str, kernels: dict[str, str]) -> str:
    """The kernel source between the prefix and the entries.

    One pair of words changes, for which C++ has no spelling a macro could give: ``extern __shared__``.
    """
    tail = [f"CTKH_ENTRY({name}, {bound})" for name, bound in kernels.items()]
    dynamic = sorted(set(DYNAMIC_NAME.findall(source)))
    labels = "".join(f'".globl {n}\\n.hidden {n}\\n{n}:\\n"' for n in [*dynamic, "ctkh_dynamic_shared"])
    section = '".pushsection ctkh_dynamic,\\"aw\\",@nobits\\n.balign 65536\\n"'
    storage = f'asm({section} {labels} ".zero {DYNAMIC_BYTES}\\n.popsection\\n");'
    body = DYNAMIC.sub("extern", source)
    return f'#include "{UNIT}"\n#line 1 "kernel.cu"\n{body}\n{storage}\nCTKH_IMAGE\n' + "\n".join(tail) + "\n"


def build(source: str, variant: str) -> Path:
    """Compile one unit; the path of its shared object."""
    flags = (*COMMON, *PRIVATE, *variant_flags(variant))
    runtime = runtime_library()
    target = cache_folder() / f"unit-{_digest(runtime.name, _compiler_id(), source, *flags)}.so"
    return _once(target, lambda made: _compile(source, flags, runtime, made))


def _precompiled(flags: tuple[str, ...]) -> Path:
    """The folder of ``UNIT`` as g++ has read it, a quarter of a second that each unit would take."""
    folder = cache_folder() / f"header-{_digest(_compiler_id(), _own_sources(), *flags)}"
    folder.mkdir(exist_ok=True)
    header = str(CPP / UNIT)
    command = [str(compiler()), *flags, "-x", "c++-header", header, "-o"]
    _once(folder / f"{UNIT}.gch", lambda made: _run([*command, str(made)], "header of all units"))
    return folder


def _compile(source: str, flags: tuple[str, ...], runtime: Path, made: Path) -> None:
    written, object_file = made.with_suffix(".cpp"), made.with_suffix(".o")
    written.write_text(host_source(source, kernel_names(source)))
    try:
        # Only compiled with the sanitizers, not linked with their libraries: the runtime has the functions instead.
        folders = f"-I{_precompiled(flags)}", f"-I{CPP}"
        _run([str(compiler()), *flags, *folders, "-c", str(written), "-o", str(object_file)], "kernel source")
        _run([str(compiler()), "-shared", str(object_file), str(runtime), "-o", str(made)], "kernel link")
    finally:
        written.unlink(missing_ok=True)
        object_file.unlink(missing_ok=True)
