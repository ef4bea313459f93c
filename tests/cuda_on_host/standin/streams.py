"""Devices, streams and events. By default work is done at once; with ``sim.lazy`` it is queued and done when the host
waits, in a random order that the streams and events allow, so that a missing wait gives wrong results."""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tests.cuda_on_host.errors import CUDARuntimeError
from tests.cuda_on_host.runtime import LaunchError
from tests.cuda_on_host.simulation import sim
from tests.cuda_on_host.standin.graphs import Graph, Recording

_local = threading.local()
_lock = threading.RLock()
_pinned: dict[int, int] = {}


def capturing() -> bool:
    """Whether the current stream is."""
    return get_current_stream().recording is not None


class Device:
    """``cupy.cuda.Device``."""

    def __init__(self, device: Any = None) -> None:
        self.id = getattr(_local, "device", 0) if device is None else int(device)

    def use(self) -> None:
        """Make it this thread's device."""
        if not 0 <= self.id < sim.devices:
            raise CUDARuntimeError(101)
        _local.device = self.id

    def __enter__(self) -> Device:
        self._before = [*getattr(self, "_before", []), getattr(_local, "device", 0)]
        self.use()
        return self

    def __exit__(self, *_: Any) -> None:
        _local.device = self._before.pop()

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
        for stream in _streams:
            if stream.recording is not None and stream.recording.device == self.id:
                raise stream.recording.breaks()
        sim.host_waits.append("Device.synchronize")
        drain_all()


class Stream:
    """``cupy.cuda.Stream``: work in order; ``null`` waits for the others and they for it."""

    null: Stream

    def __init__(
        self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: Any = None
    ) -> None:
        self.device_id = -1 if null else Device().id
        self.is_null, self.non_blocking = null, non_blocking
        self.ptr = 0 if null else id(self)
        self.queue: deque[Any] = deque()
        self.recording: Recording | None = None
        if not null:
            _streams.append(self)

    def use(self) -> Stream:
        """Make it this thread's current stream."""
        _current()[Device().id if self.is_null else self.device_id] = self
        return self

    def __enter__(self) -> Stream:
        device = Device().id if self.is_null else self.device_id
        self._before = [*getattr(self, "_before", []), (device, get_current_stream(device))]
        return self.use()

    def __exit__(self, *_: Any) -> None:
        device, stream = self._before.pop()
        _current()[device] = stream

    @staticmethod
    def from_external(other: Any) -> Stream:
        """The stream of another library, by its ``__cuda_stream__``: 0 is the null stream."""
        version, pointer = other.__cuda_stream__()
        if version != 0:
            raise RuntimeError(f"__cuda_stream__ of version {version}")
        if pointer == 0:
            return Stream.null
        known = next((s for s in _streams if s.ptr == pointer), None)
        stream = known or Stream()
        stream.ptr = pointer
        return stream

    def __cuda_stream__(self) -> tuple[int, int]:
        return (0, self.ptr)

    def synchronize(self) -> None:
        """Wait until all its work is done."""
        if self.recording is not None:
            raise self.recording.breaks()
        sim.host_waits.append("Stream.synchronize")
        drain(self)

    def record(self, event: Event | None = None) -> Event:
        """Mark this place in its work."""
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """Later work here comes after the event."""
        submit("wait_event", None, [], self, after=event.mark)

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        if self.recording is not None:
            self.recording.breaks()
        return not self.queue

    def begin_capture(self, mode: Any = None) -> None:
        """From here on write down what is asked for, in CuPy's (relaxed) mode."""
        if self.is_null:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        if mode is not None or self.recording is not None:
            raise LaunchError(f"begin_capture(mode={mode}), capturing: {self.recording is not None}")
        self.recording = Recording(self.device_id, partial(_replay, self.device_id))

    def end_capture(self) -> Graph:
        """What was written down."""
        recording, self.recording = self.recording, None
        if recording is None:
            raise CUDARuntimeError(401)
        return recording.graph()

    def is_capturing(self) -> bool:
        """Whether work is written down instead of done."""
        if self.is_null:
            _check_legacy()
        return self.recording is not None


def _check_legacy() -> None:
    """The legacy default stream waits for all blocking streams, which it can't while one of them is capturing."""
    for stream in _streams:
        if stream.recording is not None and not stream.non_blocking:
            raise CUDARuntimeError(906)


class _Work:
    """One piece of queued work."""

    def __init__(self, name: str, do: Callable[[], None] | None, after: _Work | None, keeps: Any = None) -> None:
        self.name, self.do, self.after, self.finished = name, do, after, False
        self.keeps = keeps  # arrays that must not go before the work is done, as CuPy's pools see to


class Event:
    """``cupy.cuda.Event``."""

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
        self.mark: _Work | None = None
        self._stream: Stream | None = None

    def record(self, stream: Stream | None = None) -> None:
        """Mark the present place in the stream's work."""
        self._stream = stream or get_current_stream()
        self.mark = submit("record", None, [], self._stream)

    def synchronize(self) -> None:
        """Wait for it."""
        sim.host_waits.append("Event.synchronize")
        with _lock:
            while self.mark is not None and not self.mark.finished:
                _step()

    @property
    def done(self) -> bool:
        """Whether the marked work is done."""
        return self.mark is None or self.mark.finished


_streams: list[Stream] = []
Stream.null = Stream(null=True)
_streams.append(Stream.null)


def _current() -> dict[int, Stream]:
    if not hasattr(_local, "current"):
        _local.current = {}
    return _local.current


def get_current_stream(device_id: int | None = None) -> Stream:
    """This thread's stream on the current or the given device."""
    return _current().get(Device().id if device_id is None else device_id, Stream.null)


def forget() -> None:
    """Back to the null streams, with nothing queued: for the next test."""
    _local.__dict__.clear()
    for stream in _streams:
        stream.queue.clear()
    del _streams[1:]
    _pinned.clear()


def _replay(device: int, name: str, do: Callable[[], None], *more: Any, **others: Any) -> _Work:
    if Device().id != device:
        raise LaunchError(f"{name}: a graph of device {device} while device {Device().id} is current")
    return submit(name, do, *more, **others)


def submit(
    name: str, do: Callable[[], None] | None, arrays: list[Any], stream: Any = None, after: _Work | None = None
) -> _Work:
    """Put work on a stream (the current one by default)."""
    stream = stream or get_current_stream()
    device = Device().id
    if not stream.is_null and stream.device_id != device:
        raise LaunchError(f"{name}: a stream of device {stream.device_id} while device {device} is current")
    if stream.is_null:
        _check_legacy()
    for array in arrays:
        if array._memory.device_id != device and name.startswith("launch"):
            raise LaunchError(f"{name}: an array of device {array._memory.device_id} while device {device} is current")
    work = _Work(name, do, after, arrays)
    if stream.recording is not None:
        stream.recording.add(name, do, arrays)
        return work
    if not sim.lazy:
        _finish(work)
        return work
    with _lock:
        _enqueue(stream, work)
    return work


def _enqueue(stream: Stream, work: _Work) -> None:
    if stream.is_null:  # the legacy default stream comes after everything that other blocking streams were given
        for other in [s for s in _streams if s.queue and not s.non_blocking and s is not stream]:
            stream.queue.append(_Work("barrier", None, other.queue[-1]))
    elif not stream.non_blocking and Stream.null.queue:
        stream.queue.append(_Work("barrier", None, Stream.null.queue[-1]))
    stream.queue.append(work)


def _finish(work: _Work) -> None:
    if work.do is not None:
        work.do()
    work.finished, work.do, work.keeps = True, None, None


def _step() -> None:
    ready = [s for s in _streams if s.queue and (s.queue[0].after is None or s.queue[0].after.finished)]
    if not ready:
        raise LaunchError("the streams wait for each other")
    stream = ready[int(_order().integers(len(ready)))]
    _finish(stream.queue.popleft())


def _order() -> np.random.Generator:
    if getattr(sim, "_rng", None) is None or sim._rng[0] != sim.seed:  # type: ignore[attr-defined]
        sim._rng = (sim.seed, np.random.default_rng(sim.seed))  # type: ignore[attr-defined]
    return sim._rng[1]  # type: ignore[attr-defined]


def drain(stream: Stream | None = None) -> None:
    """Run what the stream still has, and what that waits for."""
    stream = stream or get_current_stream()
    with _lock:
        while stream.queue:
            _step()


def drain_all() -> None:
    """Run everything."""
    with _lock:
        while any(s.queue for s in _streams):
            _step()


def alloc_pinned_memory(size: int) -> Any:
    """Page-locked host memory: supports the buffer protocol."""
    buffer = (ctypes.c_char * max(int(size), 1))()
    start = ctypes.addressof(buffer)
    _pinned[start] = start + len(buffer)
    weakref.finalize(buffer, _pinned.pop, start, None)
    return buffer


def is_pinned(array: np.ndarray) -> bool:
    """Whether its values are read when the copy runs, not when it is asked for."""
    address = int(array.__array_interface__["data"][0])
    return any(low <= address < high for low, high in _pinned.items())
