"""CUDA graphs by stream capture: what a capturing stream is asked for is written down, and done at a graph's launch.

As on a GPU a graph knows addresses and keeps no array alive; unlike there, a launch that uses memory given back fails.
Refused while capturing: what CuPy and CUDA refuse (copies from and to the host, waiting), and all that the launchers
have no need for.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.cuda_on_host.errors import CUDARuntimeError
from tests.cuda_on_host.runtime import LaunchError

_COPIES = {"set": "H2D", "asarray": "H2D", "get": "D2H"}
_UNSUPPORTED, _INVALIDATED = 900, 901


class _Recorded(NamedTuple):
    name: str
    do: Callable[[], None]
    """Must hold no array."""
    memories: tuple[Any, ...]
    """Weak references to what it uses."""

    def run(self) -> None:
        """Do it, if a GPU still could."""
        if any(memory() is None for memory in self.memories):
            raise LaunchError(f"{self.name} in a graph: memory that was given back")
        self.do()


class Recording:
    """A capture under way on one stream."""

    def __init__(self, device: int, submit: Callable[..., Any]) -> None:
        self.device, self.submit = device, submit
        self.works: list[_Recorded] = []
        self._valid = True

    def add(self, name: str, do: Callable[[], None] | None, arrays: list[Any]) -> None:
        """Write down work, or refuse it."""
        if name in _COPIES:  # CuPy's own check, which leaves the capture whole
            raise RuntimeError(f"the current stream is capturing, so {_COPIES[name]} transfers are disallowed")
        if not self._valid:
            raise CUDARuntimeError(_INVALIDATED)
        if do is None or not name.startswith(("launch of ", "fill")):
            raise LaunchError(f"{name} while the stream is capturing: the stand-in has launches and fills only")
        self.works.append(_Recorded(name, do, tuple(weakref.ref(array._memory) for array in arrays)))

    def breaks(self, status: int = _UNSUPPORTED) -> CUDARuntimeError:
        """The error for something that a capture does not survive."""
        self._valid = False
        return CUDARuntimeError(status)

    def graph(self) -> Graph:
        """The end of the capture."""
        if not self._valid:
            raise CUDARuntimeError(_INVALIDATED)
        return Graph(self)


class Graph:
    """``cupy.cuda.Graph``."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._last: Any = None

    def launch(self, stream: Any = None) -> None:
        """Do all of it on the stream; after what an earlier launch does, on whatever stream that is."""
        for work in self._recording.works:
            self._last = self._recording.submit(work.name, work.run, [], stream, after=self._last)

    def upload(self, stream: Any = None) -> None:
        """Bring it to the device ahead of its first launch: nothing to do."""
