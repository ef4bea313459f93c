"""The simulated GPUs behind the stand-in for CuPy: memory with guard zones, settings, a log of what was asked."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from tests.cuda_on_host.errors import CUDARuntimeError, OutOfMemoryError
from tests.cuda_on_host.runtime import HostFault, Launch, LaunchError, Options, library

GUARD: Final = 256
ALIGN: Final = 256
GUARD_BYTE: Final = 0xBD
FRESH_BYTE: Final = 0xA5


@dataclass
class Simulation:
    """Settings of the simulated machine, and what happened on it. Reset by the fixture for every test."""

    variant: str = "plain"
    """``plain`` or ``checked`` (see ``builder.py``)."""
    seed: int = 0
    """Order of threads and blocks: 0 ascending, 1 descending, else shuffled."""
    preempt: int = 0
    """``checked`` only: switch threads at one memory access in so many."""
    counters: bool = False
    """``checked`` only: count sectors, wavefronts and bytes."""
    only_blocks: tuple[int, int] | None = None
    """Of launches with more than 1,000 blocks run only so many first and so many last ones."""
    edit: Callable[[str], str] | None = None
    """What is done to every source before it is compiled: bugs are planted in it."""
    planted: int = 0
    """Which of them is live, 0 for none."""
    devices: int = 1
    compute_capability: str = "90"
    memory_limit: int | None = None
    """Bytes a device has; None for no limit."""
    shared_per_block: int = 48 * 1024
    shared_optin: int = 227 * 1024
    lazy: bool = False
    """Queue work and run it, in an order that streams and events allow, only when the host waits."""
    launches: list[Launch] = field(default_factory=list)
    host_waits: list[str] = field(default_factory=list)
    """Every time the host waited for the device: ``get``, ``synchronize`` and so on."""
    allocations: int = 0
    memory: weakref.WeakValueDictionary[int, Memory] = field(default_factory=weakref.WeakValueDictionary)
    used: dict[int, int] = field(default_factory=dict)
    before_allocation: Callable[[int], None] | None = None
    """Called with the bytes wanted: a test can raise from it."""
    _order: tuple[int, np.random.Generator] | None = field(default=None, repr=False)
    """The generator of ``random_below``, and the seed that it was made with."""

    def random_below(self, number: int) -> int:
        """The next of the numbers that ``seed`` gives."""
        if self._order is None or self._order[0] != self.seed:
            self._order = (self.seed, np.random.default_rng(self.seed))
        return int(self._order[1].integers(number))

    def options(self, blocks: int) -> Options:
        """For one launch of so many blocks."""
        checks = self.variant == "checked"
        first, last = (self.only_blocks if blocks > 1000 else None) or (blocks, 0)
        return Options(
            seed=self.seed, preempt=self.preempt if checks else 0, checks=checks,
            counters=checks and self.counters, only_first=first, only_last=last, access_limit=2_000_000,
            planted=self.planted,
        )  # fmt: skip

    def living(self) -> list[Memory]:
        """The live allocations; other threads may make more meanwhile."""
        return [memory for reference in self.memory.valuerefs() if (memory := reference()) is not None]

    def alive(self, address: int) -> bool:
        """Whether the address lies in a live allocation (or one past an empty one)."""
        return self.owner(address) is not None

    def owner(self, address: int) -> Memory | None:
        """The live allocation that holds the address."""
        return next((m for m in self.living() if m.ptr <= address < m.ptr + max(m.size, 1)), None)

    def check_guards(self, kernel: str) -> None:
        """No kernel wrote beside an allocation."""
        for memory in self.living():
            if not memory.guards_whole():
                raise HostFault(f"{kernel} wrote beside an allocation of {memory.size} bytes")


sim = Simulation()


def reset(**settings: Any) -> Simulation:
    """A fresh machine with these settings; arrays of the old one stay readable."""
    live = sim.memory
    sim.__init__(**settings)  # type: ignore[misc]
    sim.memory = live
    return sim


class Memory:
    """One allocation: 256-byte aligned, fresh bytes poisoned, a guard zone on each side."""

    device_id: int
    ptr: int
    size: int

    def __init__(self, size: int, device: int, stream: Any = None) -> None:
        sim.allocations += 1
        if sim.before_allocation is not None:
            sim.before_allocation(size)
        used = sim.used.get(device, 0)
        if sim.memory_limit is not None and used + size > sim.memory_limit:
            raise OutOfMemoryError(size, used)
        if not 0 <= device < sim.devices:
            raise CUDARuntimeError(101)
        self.size, self.device_id, self.stream = size, device, stream
        self._raw = np.empty(size + 2 * GUARD + ALIGN, np.uint8)
        base = self._raw.ctypes.data
        start = -(base + GUARD) % ALIGN + GUARD
        self.bytes = self._raw[start : start + size]
        self.ptr = base + start
        self._before = self._raw[start - GUARD : start]
        self._after = self._raw[start + size : start + size + GUARD]
        self._before[:] = self._after[:] = GUARD_BYTE
        if size <= 1 << 28:  # larger ones are for tests of offsets, whose pages nobody should touch
            self.bytes[:] = FRESH_BYTE
        sim.used[device] = used + size
        sim.memory[id(self)] = self
        tracked = sim.variant == "checked" and size <= 1 << 24
        name = f"allocation {sim.allocations} of {size} bytes"
        library().ctkh_allocate(self.ptr, size, tracked, name.encode())
        weakref.finalize(self, _forget, self.ptr, size, device, sim.used)

    def guards_whole(self) -> bool:
        """Whether nobody wrote there."""
        return bool((self._before == GUARD_BYTE).all() and (self._after == GUARD_BYTE).all())


class ForeignMemory(Memory):
    """Memory of another library, which came by DLPack: no guard zones."""

    def __init__(self, host: np.ndarray, device: int) -> None:
        self._raw, self.device_id, self.stream = host, device, None
        self.ptr, self.size = address_of(host), host.nbytes
        sim.used.setdefault(device, 0)
        sim.memory[id(self)] = self
        library().ctkh_allocate(self.ptr, self.size, False, b"memory of another library")
        weakref.finalize(self, _forget, self.ptr, self.size, device, {device: self.size})

    def guards_whole(self) -> bool:
        """It has none."""
        return True


def _forget(ptr: int, size: int, device: int, used: dict[int, int]) -> None:
    library().ctkh_free(ptr, size)
    used[device] -= size


def host_wrote(address: int, size: int) -> None:
    """The host (or a copy engine) wrote these bytes: a kernel may read them."""
    if sim.variant == "checked":
        library().ctkh_host_wrote(address, size)


def unsupported(what: str) -> LaunchError:
    """For what the stand-in does not have on purpose."""
    return LaunchError(f"the stand-in for CuPy has no {what}: the launchers keep to the few functions it has")


def address_of(array: np.ndarray) -> int:
    """Where a NumPy array begins."""
    return int(array.ctypes.data) if array.size else ctypes.addressof(ctypes.c_char())
