"""Copies that overlap with computing: page-locked memory, three streams of a device, events between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ctkernels.gpu._core.device import cupy
from ctkernels.gpu._core.probe import OLDEST

Array = Any
"""A CuPy array."""
Event = Any
"""A CuPy event."""


def usable_devices() -> list[int]:
    """The GPUs that this process sees and the kernels run on."""
    count = int(cupy.cuda.runtime.getDeviceCount())
    return [number for number in range(count) if int(cupy.cuda.Device(number).compute_capability) >= OLDEST]


class Slot:
    """Memory of one chunk, page-locked on the host and on the device; kept and used again by the next chunk."""

    def __init__(self, device: int) -> None:
        self.device = device
        self._host: dict[str, NDArray[np.uint8]] = {}
        self._device: dict[str, Array] = {}

    def host(self, name: str, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        """A page-locked array; what an earlier call gave under this name must not be in use any more."""
        size = prod(shape) * np.dtype(dtype).itemsize
        held = self._host.get(name)
        if held is None or held.size < size:
            self._host.pop(name, None)
            with cupy.cuda.Device(self.device):
                held = np.frombuffer(cupy.cuda.alloc_pinned_memory(size), np.uint8, size)
            self._host[name] = held
        return held[:size].view(dtype).reshape(shape)

    def on_device(self, name: str, like: NDArray[Any]) -> Array:
        """A device array of the shape and dtype of ``like``; call it with the device current."""
        held = self._device.get(name)
        if held is None or held.size < like.nbytes:
            del held
            self._device.pop(name, None)
            held = self._device[name] = cupy.empty(like.nbytes, np.uint8)
        return held[: like.nbytes].view(like.dtype).reshape(like.shape)

    def drop(self, *, host: bool = True) -> None:
        """Give the memory up, all or only the device's; nothing may use it any more."""
        self._device.clear()
        if host:
            self._host.clear()


class Lanes:
    """One device's three streams: copies in, computing, copies out. Chunks follow each other on each of them."""

    def __init__(self, device: int) -> None:
        self.device = device
        with cupy.cuda.Device(device):
            self._in, self._work, self._out = (cupy.cuda.Stream(non_blocking=True) for _ in range(3))

    def launch(
        self,
        slot: Slot,
        source: NDArray[Any],
        targets: Sequence[NDArray[Any]],
        compute: Callable[[Array, list[Array]], None],
    ) -> Event:
        """Ask for a chunk's work and return at once: copy in, ``compute(x, results)``, copy the results out.

        Args:
            slot: whose memory is used; its earlier chunk is finished.
            source: page-locked.
            targets: page-locked, one for each result, written when the event has come.
            compute: puts its work on the current stream.

        Returns:
            The event after the last copy.
        """
        with cupy.cuda.Device(self.device):
            x = slot.on_device("source", source)
            results = [slot.on_device(f"result {k}", target) for k, target in enumerate(targets)]
            x.set(source, stream=self._in)
            self._work.wait_event(_recorded(self._in))
            with self._work:
                compute(x, results)
            self._out.wait_event(_recorded(self._work))
            for result, target in zip(results, targets, strict=True):
                result.get(stream=self._out, out=target, blocking=False)
            return _recorded(self._out)

    def synchronize(self) -> None:
        """Wait for everything that was asked for."""
        with cupy.cuda.Device(self.device):
            for stream in (self._in, self._work, self._out):
                stream.synchronize()

    def free_bytes(self) -> int:
        """Memory that the device still has, with what CuPy keeps for later given back first."""
        with cupy.cuda.Device(self.device) as device:
            cupy.get_default_memory_pool().free_all_blocks()
            return int(device.mem_info[0])


def _recorded(stream: Any) -> Event:
    # Waiting must not spin: the cores are reading and writing files.
    event = cupy.cuda.Event(block=True, disable_timing=True)
    event.record(stream)
    return event
