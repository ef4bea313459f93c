"""``cupy.cuda.Device``."""

from __future__ import annotations

from typing import Any

from tests.cuda_on_host.simulation import sim
from tests.cuda_on_host.standin import state, work


class Device:
    """``cupy.cuda.Device``."""

    def __init__(self, device: Any = None) -> None:
        self.id = state.device() if device is None else int(device)

    def use(self) -> None:
        """Make it this thread's device."""
        state.set_device(self.id)

    def __enter__(self) -> Device:
        self._before = [*getattr(self, "_before", []), state.device()]
        self.use()
        return self

    def __exit__(self, *_: Any) -> None:
        state.set_device(self._before.pop())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __int__(self) -> int:
        return self.id

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"

    @property
    def compute_capability(self) -> str:
        """Such as "90"."""
        return sim.compute_capability

    @property
    def attributes(self) -> dict[str, int]:
        """Of ``cudaDeviceGetAttribute``."""
        major, minor = int(sim.compute_capability[:-1]), int(sim.compute_capability[-1])
        return {
            "MultiProcessorCount": 4,
            "MaxSharedMemoryPerBlock": sim.shared_per_block,
            "MaxSharedMemoryPerBlockOptin": sim.shared_optin,
            "MaxSharedMemoryPerMultiprocessor": sim.shared_optin + 1024,
            "MaxThreadsPerBlock": 1024,
            "MaxThreadsPerMultiProcessor": 2048,
            "MaxGridDimX": 2**31 - 1,
            "MaxGridDimY": 65535,
            "MaxGridDimZ": 65535,
            "WarpSize": 32,
            "ComputeCapabilityMajor": major,
            "ComputeCapabilityMinor": minor,
            "L2CacheSize": 4 << 20,
        }

    @property
    def mem_info(self) -> tuple[int, int]:
        """Free and total bytes."""
        total = sim.memory_limit or 8 << 30
        return (total - sim.used.get(self.id, 0), total)

    def synchronize(self) -> None:
        """Wait for all its streams."""
        for stream in state.streams:
            if stream.recording is not None and stream.recording.device == self.id:
                raise stream.recording.breaks()
        sim.host_waits.append("Device.synchronize")
        work.drain_all()
