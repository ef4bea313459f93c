"""A stand-in for the package ``cupy``, so that real launchers run without a GPU; ``install.py`` puts it in place.

It has what the launchers and the runner use and nothing else: whoever needs more adds it here, as strict as CuPy or
stricter.
"""

from __future__ import annotations

import types
from typing import Any

from tests.cuda_on_host import errors
from tests.cuda_on_host.runtime import MAX_GRID
from tests.cuda_on_host.simulation import sim
from tests.cuda_on_host.standin import graphs, state, streams
from tests.cuda_on_host.standin.arrays import (
    MemoryPointer,
    asarray,
    ascontiguousarray,
    asnumpy,
    empty,
    may_share_memory,
    ndarray,
    shares_memory,
    zeros,
)
from tests.cuda_on_host.standin.devices import Device
from tests.cuda_on_host.standin.dlpack import from_dlpack
from tests.cuda_on_host.standin.modules import RawKernel, RawModule
from tests.cuda_on_host.standin.pinned import alloc_pinned_memory

__version__ = "14.2.0"


class _Pool:
    """The memory pools: nothing is kept back here."""

    def free_all_blocks(self, stream: Any = None) -> None:
        """Nothing to free."""

    def used_bytes(self) -> int:
        """Bytes of live arrays on the current device."""
        return sim.used.get(state.device(), 0)

    def total_bytes(self) -> int:
        """The same: nothing is kept back."""
        return self.used_bytes()

    def n_free_blocks(self) -> int:
        """None."""
        return 0


_pool = _Pool()


def get_default_memory_pool() -> _Pool:
    """Of device memory."""
    return _pool


def get_default_pinned_memory_pool() -> _Pool:
    """Of page-locked memory."""
    return _pool


def is_available() -> bool:
    """Whether a device is there."""
    return sim.devices > 0


def _device_count() -> int:
    if sim.devices == 0:
        raise errors.CUDARuntimeError(35)
    return sim.devices


def _properties(device: int) -> dict[str, Any]:
    if not 0 <= device < sim.devices:
        raise errors.CUDARuntimeError(101)
    major, minor = int(sim.compute_capability[:-1]), int(sim.compute_capability[-1])
    return {
        "name": b"Host shim", "major": major, "minor": minor, "totalGlobalMem": sim.memory_limit or 8 << 30,
        "multiProcessorCount": 4, "sharedMemPerBlock": sim.shared_per_block,
        "sharedMemPerBlockOptin": sim.shared_optin, "maxGridSize": MAX_GRID, "memoryClockRate": 1_000_000,
        "memoryBusWidth": 256, "l2CacheSize": 4 << 20, "warpSize": 32, "clockRate": 1_000_000,
    }  # fmt: skip


def _module(name: str, **members: Any) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__dict__.update(members)
    return module


runtime = _module(
    "cupy.cuda.runtime",
    CUDARuntimeError=errors.CUDARuntimeError,
    getDeviceCount=_device_count,
    getDeviceProperties=_properties,
    getDevice=state.device,
    setDevice=state.set_device,
    deviceSynchronize=lambda: Device().synchronize(),
    memGetInfo=lambda: Device().mem_info,
    driverGetVersion=lambda: 12090,
    runtimeGetVersion=lambda: 12090,
    cudaErrorMemoryAllocation=2,
    is_hip=False,
)
cuda = _module(
    "cupy.cuda",
    Device=Device,
    Stream=streams.Stream,
    Event=streams.Event,
    Graph=graphs.Graph,
    get_current_stream=streams.get_current_stream,
    alloc_pinned_memory=alloc_pinned_memory,
    is_available=is_available,
    MemoryPointer=MemoryPointer,
    runtime=runtime,
    get_local_runtime_version=lambda: 12090,
    driver=_module("cupy.cuda.driver", CUDADriverError=errors.CUDADriverError),
    memory=_module("cupy.cuda.memory", OutOfMemoryError=errors.OutOfMemoryError, MemoryPointer=MemoryPointer),
    compiler=_module("cupy.cuda.compiler", CompileException=errors.CompileException),
    device=_module("cupy.cuda.device", Device=Device),
    stream=_module("cupy.cuda.stream", Stream=streams.Stream, Event=streams.Event),
    graph=_module("cupy.cuda.graph", Graph=graphs.Graph),
    nvrtc=_module("cupy.cuda.nvrtc", getVersion=lambda: (12, 9)),
    Function=RawKernel,
)
cuda.runtime.__dict__["driver"] = cuda.driver

__all__ = [
    "RawKernel",
    "RawModule",
    "asarray",
    "ascontiguousarray",
    "asnumpy",
    "cuda",
    "empty",
    "from_dlpack",
    "get_default_memory_pool",
    "get_default_pinned_memory_pool",
    "is_available",
    "may_share_memory",
    "ndarray",
    "shares_memory",
    "zeros",
]
