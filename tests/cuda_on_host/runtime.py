"""Runs kernels of a built unit: argument checks, launch, what the launch asked of memory, faults in words."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from tests.cuda_on_host import builder, elf

MAX_THREADS: Final = 1024
SHARED_ALIGN: Final = 65536  # as __shared__ in kernel.hpp
MAX_GRID: Final = (2**31 - 1, 65535, 65535)


class HostFault(AssertionError):
    """A kernel did what it must not: a race, an access out of bounds, undefined behaviour, a divergent barrier ...

    An AssertionError, so that no launcher takes it for an error of CUDA and wraps it.
    """


class LaunchError(AssertionError):
    """The launcher asked for something that a GPU would refuse or, worse, misread: argument types, sizes, grids."""


class Options(ctypes.Structure):
    """See ``machine.hpp``."""

    _fields_ = (
        ("seed", ctypes.c_uint32),
        ("preempt", ctypes.c_uint32),
        ("checks", ctypes.c_uint32),
        ("counters", ctypes.c_uint32),
        ("only_first", ctypes.c_uint64),
        ("only_last", ctypes.c_uint64),
        ("access_limit", ctypes.c_uint64),
        ("planted", ctypes.c_uint64),
    )


COUNTERS: Final = (
    "read_requests", "read_sectors", "read_ideal", "read_bytes",
    "write_requests", "write_sectors", "write_ideal", "write_bytes",
    "shared_requests", "shared_wavefronts", "shared_ideal",
    "atomic_global", "atomic_shared", "blocks", "barriers", "unique_read", "unique_written",
)  # fmt: skip


class _Traffic(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in COUNTERS)


@cache
def library() -> ctypes.PyDLL:
    """The runtime. ``PyDLL`` keeps the interpreter lock, so that one launch runs at a time."""
    lib = ctypes.PyDLL(str(builder.runtime_library()), mode=ctypes.RTLD_GLOBAL)
    lib.ctkh_launch.restype = ctypes.c_char_p
    lib.ctkh_races.restype = ctypes.c_char_p
    lib.ctkh_traffic.restype = ctypes.POINTER(_Traffic)
    lib.ctkh_module.restype = ctypes.c_void_p
    size, word = ctypes.c_size_t, ctypes.c_uint64
    lib.ctkh_allocate.argtypes = (size, size, ctypes.c_int, ctypes.c_char_p)
    lib.ctkh_free.argtypes = lib.ctkh_host_wrote.argtypes = (size, size)
    lib.ctkh_module.argtypes = (size, size, ctypes.c_uint, *(ctypes.c_void_p,) * 3, size, word)
    lib.ctkh_launch.argtypes = (*(ctypes.c_void_p,) * 5, ctypes.c_uint, ctypes.c_void_p)
    for name in ("ctkh_allocate", "ctkh_free", "ctkh_host_wrote"):
        getattr(lib, name).restype = None
    return lib


@dataclass(frozen=True)
class Argument:
    """One parameter of a kernel: ``c`` pointer to const, ``m`` to what may be written, ``s`` scalar; element kind."""

    how: str
    kind: str
    size: int

    def __str__(self) -> str:
        """The C type, roughly."""
        names = {"i": "int", "u": "unsigned", "f": "float", "b": "bool", "v": "struct"}
        base = f"{names[self.kind]}{self.size * 8 or ''}"
        return {"c": f"const {base}*", "m": f"{base}*", "s": base}[self.how]


@dataclass
class Launch:
    """What one launch was and, if counted, what it asked of memory."""

    kernel: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    shared_bytes: int
    counters: dict[str, int] = field(default_factory=dict)


class Kernel:
    """One ``extern "C" __global__`` function of a unit."""

    def __init__(self, unit: Unit, name: str) -> None:
        self.unit, self.name = unit, name
        lib = unit.library
        signature = getattr(lib, f"ctkh_signature_{name}")
        signature.restype = ctypes.c_char_p
        self.arguments = tuple(
            Argument(text[0], text[1], int(text[2:])) for text in signature().decode().split(",") if text
        )
        self.bound = int(getattr(lib, f"ctkh_bound_{name}")())
        self._run = ctypes.cast(getattr(lib, f"ctkh_run_{name}"), ctypes.c_void_p)

    def launch(
        self, grid: Sequence[int], block: Sequence[int], packed: Sequence[bytes], shared_bytes: int, options: Options
    ) -> Launch:
        """Run it with arguments that were checked and packed; raises HostFault."""
        lib = library()
        buffers = [ctypes.create_string_buffer(value, len(value)) for value in packed]
        pointers = (ctypes.c_void_p * max(len(buffers), 1))(*(ctypes.addressof(b) for b in buffers))
        three = ctypes.c_uint * 3
        error = lib.ctkh_launch(
            self.unit.handle, self._run, pointers, three(*grid), three(*block), shared_bytes, ctypes.byref(options)
        )
        where = f"{self.name} grid {tuple(grid)} block {tuple(block)} seed {options.seed} preempt {options.preempt}"
        if error is not None:
            raise HostFault(f"{where}: {self.unit.explain(error.decode())}")
        races = lib.ctkh_races().decode().splitlines()
        if races:
            text = "\n  ".join(self.unit.explain_race(line) for line in races[:6])
            raise HostFault(f"{where}: {len(races)} races\n  {text}")
        counters = {}
        if options.counters:
            traffic = lib.ctkh_traffic().contents
            counters = {name: int(getattr(traffic, name)) for name in COUNTERS}
        return Launch(self.name, tuple(grid), tuple(block), shared_bytes, counters)  # type: ignore[arg-type]


class Unit:
    """A compiled unit, loaded into this process."""

    def __init__(self, source: str, variant: str) -> None:
        self.source, self.variant = source, variant
        self.path: Path = builder.build(source, variant)
        runtime = library()
        self.library = ctypes.PyDLL(str(self.path))
        image = (ctypes.c_ulong * 2)()
        self.library.ctkh_image(image)
        base = int(image[0])
        symbols = elf.read(self.path.read_bytes()).symbols
        shared = [s for s in symbols if s.size and s.name.startswith("_ZZ") and s.value % SHARED_ALIGN == 0]
        dynamic = next(base + s.value for s in symbols if s.name == "ctkh_dynamic_shared")
        self.static_shared = sum(s.size for s in shared)
        names = [_readable(s.name).encode() for s in shared]
        n = len(shared)
        self.handle = ctypes.c_void_p(
            runtime.ctkh_module(
                base, int(image[1]), n,
                (ctypes.c_size_t * max(n, 1))(*(base + s.value for s in shared)),
                (ctypes.c_uint64 * max(n, 1))(*(s.size for s in shared)),
                (ctypes.c_char_p * max(n, 1))(*names),
                dynamic, builder.DYNAMIC_BYTES,
            )
        )  # fmt: skip
        kernels = (s.name.removeprefix("ctkh_signature_") for s in symbols if s.name.startswith("ctkh_signature_"))
        self.kernels = {name: Kernel(self, name) for name in sorted(set(kernels))}

    def explain(self, text: str) -> str:
        """Program addresses and line numbers in ``text`` with the source lines they mean."""
        text = re.sub(r"\[pc ([0-9a-f]+)\]", lambda match: self._source_line(match[1]), text)
        lines = self.source.splitlines()
        for number in sorted({int(n) for n in re.findall(r"\blines? (\d+)", text)}):
            if 0 < number <= len(lines):
                text += f"\n  line {number}: {lines[number - 1].strip()}"
        return text

    def explain_race(self, line: str) -> str:
        """One line of ``ctkh_races``."""
        first, second, where = line.split(" ", 2)
        return f"{where}: {self._source_line(first)} and {self._source_line(second)}"

    def _source_line(self, pc: str) -> str:
        tool = shutil.which("addr2line")
        if tool is None:
            return f"pc {pc}"
        address = f"{max(int(pc, 16) - 1, 0):x}"
        done = subprocess.run([tool, "-e", str(self.path), address], capture_output=True, text=True, check=False)
        line = re.search(r":(\d+)", done.stdout)
        return f"line {line[1]}" if line else f"pc {pc}"


def _readable(symbol: str) -> str:
    match = re.fullmatch(r"_ZZ.*E(\d+)([A-Za-z_]\w*?)(_\d+)?", symbol)
    return match[2][: int(match[1])] if match else symbol.partition(".")[0]


@cache
def unit(source: str, variant: str) -> Unit:
    """The loaded unit, once a process."""
    return Unit(source, variant)
