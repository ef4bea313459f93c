"""``cupy.from_dlpack``."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.cuda_on_host.simulation import ForeignMemory, sim
from tests.cuda_on_host.standin import state
from tests.cuda_on_host.standin.arrays import ndarray


class _OnTheHost:
    """What ``numpy.from_dlpack`` is shown of an array that claims to live on a GPU."""

    def __init__(self, capsule: Any) -> None:
        self._capsule = capsule

    def __dlpack__(self, **_: Any) -> Any:
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


def from_dlpack(x: Any) -> ndarray:
    """The array of another library on the device that it names, without a copy."""
    kind, device = x.__dlpack_device__()
    if kind != 2:
        raise BufferError("only arrays on a CUDA device can be taken over")
    if isinstance(x, ndarray):
        return x._view(x._host)
    host = np.from_dlpack(_OnTheHost(x.__dlpack__(stream=state.stream(device).ptr or 1)))
    owner = sim.owner(int(host.__array_interface__["data"][0])) if host.size else None
    return ndarray(None, host=host, memory=owner or ForeignMemory(host, device))
