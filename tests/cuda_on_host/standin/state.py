"""All streams that there are, and which device and streams are current in a thread."""

from __future__ import annotations

import threading
from typing import Any, Final

from tests.cuda_on_host.errors import CUDARuntimeError
from tests.cuda_on_host.simulation import sim

streams: Final[list[Any]] = []
"""The null stream first."""

_thread = threading.local()


def device() -> int:
    """The current one's number."""
    return getattr(_thread, "device", 0)


def set_device(number: int) -> None:
    """Make it current."""
    if not 0 <= number < sim.devices:
        raise CUDARuntimeError(101)
    _thread.device = number


def _current() -> dict[int, Any]:
    if not hasattr(_thread, "streams"):
        _thread.streams = {}
    return _thread.streams


def stream(of_device: int | None = None) -> Any:
    """The current one of that device, by default of the current device."""
    return _current().get(device() if of_device is None else of_device, streams[0])


def set_stream(of_device: int, current: Any) -> None:
    """Make it current for that device."""
    _current()[of_device] = current


def forget() -> None:
    """Device 0 and the null stream with nothing queued: for the next test."""
    _thread.__dict__.clear()
    for known in streams:
        known.queue.clear()
    del streams[1:]
