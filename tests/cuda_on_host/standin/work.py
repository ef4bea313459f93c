"""When work is done. By default at once; with ``sim.lazy`` it is queued and done when the host waits, in a random order
that the streams and events allow, so that a missing wait gives wrong results."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from tests.cuda_on_host.errors import CUDARuntimeError
from tests.cuda_on_host.runtime import LaunchError
from tests.cuda_on_host.simulation import sim
from tests.cuda_on_host.standin import state

_lock = threading.RLock()


class Work:
    """One piece of work, done after those before it in its stream and after one of another stream."""

    def __init__(self, name: str, do: Callable[[], None] | None, after: Work | None, keeps: Any = None) -> None:
        self.name, self.do, self.after, self.finished = name, do, after, False
        self.keeps = keeps  # arrays that must not go before the work is done, as CuPy's pools see to

    @property
    def ready(self) -> bool:
        """Whether it waits for no other stream."""
        return self.after is None or self.after.finished

    def finish(self) -> None:
        """Do it."""
        if self.do is not None:
            self.do()
        self.finished, self.do, self.keeps = True, None, None


def submit(
    name: str, do: Callable[[], None] | None, arrays: list[Any], stream: Any = None, after: Work | None = None
) -> Work:
    """Put work on a stream (the current one by default)."""
    stream = stream or state.stream()
    _check_devices(name, stream, arrays)
    if stream.is_null:
        check_legacy()
    work = Work(name, do, after, arrays)
    if stream.recording is not None:
        stream.recording.add(name, do, arrays)
    elif sim.lazy:
        with _lock:
            _enqueue(stream, work)
    else:
        work.finish()
    return work


def _check_devices(name: str, stream: Any, arrays: list[Any]) -> None:
    here = state.device()
    if not stream.is_null and stream.device_id != here:
        raise LaunchError(f"{name}: a stream of device {stream.device_id} while device {here} is current")
    for array in arrays:
        if array._memory.device_id != here and name.startswith("launch"):
            raise LaunchError(f"{name}: an array of device {array._memory.device_id} while device {here} is current")


def check_legacy() -> None:
    """The legacy default stream waits for all blocking streams, which it can't while one of them is capturing."""
    for stream in state.streams:
        if stream.recording is not None and not stream.non_blocking:
            raise CUDARuntimeError(906)


def _enqueue(stream: Any, work: Work) -> None:
    null = state.streams[0]
    if stream.is_null:  # the legacy default stream comes after everything that other blocking streams were given
        for other in [s for s in state.streams if s.queue and not s.non_blocking and s is not stream]:
            stream.queue.append(Work("barrier", None, other.queue[-1]))
    elif not stream.non_blocking and null.queue:
        stream.queue.append(Work("barrier", None, null.queue[-1]))
    stream.queue.append(work)


def _step() -> None:
    ready = [s for s in state.streams if s.queue and s.queue[0].ready]
    if not ready:
        raise LaunchError("the streams wait for each other")
    ready[sim.random_below(len(ready))].queue.popleft().finish()


def drain(stream: Any = None) -> None:
    """Run what the stream still has, and what that waits for."""
    stream = stream or state.stream()
    with _lock:
        while stream.queue:
            _step()


def drain_until(work: Work) -> None:
    """Run until it is done."""
    with _lock:
        while not work.finished:
            _step()


def drain_all() -> None:
    """Run everything."""
    with _lock:
        while any(s.queue for s in state.streams):
            _step()
