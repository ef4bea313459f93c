"""``cupy.cuda.Stream`` and ``cupy.cuda.Event``."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from tests.cuda_on_host.errors import CUDARuntimeError
from tests.cuda_on_host.runtime import LaunchError
from tests.cuda_on_host.simulation import sim
from tests.cuda_on_host.standin import state, work
from tests.cuda_on_host.standin.graphs import Graph, Recording


class Stream:
    """``cupy.cuda.Stream``: work in order; ``null`` waits for the others and they for it."""

    null: Stream

    def __init__(
        self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: Any = None
    ) -> None:
        self.device_id = -1 if null else state.device()
        self.is_null, self.non_blocking = null, non_blocking
        self.ptr = 0 if null else id(self)
        self.queue: deque[work.Work] = deque()
        self.recording: Recording | None = None
        state.streams.append(self)

    def use(self) -> Stream:
        """Make it this thread's current stream."""
        state.set_stream(self._device(), self)
        return self

    def _device(self) -> int:
        return state.device() if self.is_null else self.device_id

    def __enter__(self) -> Stream:
        self._before = [*getattr(self, "_before", []), (self._device(), state.stream(self._device()))]
        return self.use()

    def __exit__(self, *_: Any) -> None:
        state.set_stream(*self._before.pop())

    @staticmethod
    def from_external(other: Any) -> Stream:
        """The stream of another library, by its ``__cuda_stream__``: 0 is the null stream."""
        version, pointer = other.__cuda_stream__()
        if version != 0:
            raise RuntimeError(f"__cuda_stream__ of version {version}")
        if pointer == 0:
            return Stream.null
        known = next((s for s in state.streams if s.ptr == pointer), None)
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
        work.drain(self)

    def record(self, event: Event | None = None) -> Event:
        """Mark this place in its work."""
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """Later work here comes after the event."""
        work.submit("wait_event", None, [], self, after=event.mark)

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
            work.check_legacy()
        return self.recording is not None


def _replay(device: int, name: str, do: Callable[[], None], *more: Any, **others: Any) -> work.Work:
    if state.device() != device:
        raise LaunchError(f"{name}: a graph of device {device} while device {state.device()} is current")
    return work.submit(name, do, *more, **others)


class Event:
    """``cupy.cuda.Event``."""

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
        self.mark: work.Work | None = None

    def record(self, stream: Stream | None = None) -> None:
        """Mark the present place in the stream's work."""
        self.mark = work.submit("record", None, [], stream)

    def synchronize(self) -> None:
        """Wait for it."""
        sim.host_waits.append("Event.synchronize")
        if self.mark is not None:
            work.drain_until(self.mark)

    @property
    def done(self) -> bool:
        """Whether the marked work is done."""
        return self.mark is None or self.mark.finished


Stream.null = Stream(null=True)


def get_current_stream(device_id: int | None = None) -> Stream:
    """This thread's stream on the current or the given device."""
    stream: Stream = state.stream(device_id)
    return stream


def capturing() -> bool:
    """Whether the current stream is."""
    return get_current_stream().recording is not None
