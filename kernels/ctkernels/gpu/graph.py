"""A chain recorded as a CUDA graph: ``launch`` asks for all its kernels at once, with no Python between them.

For batches so small that asking takes longer than computing. The chain is run twice: once as it is, which compiles its
kernels and brings its tables to the device, and once on a stream that only writes down what is asked for (CUDA's stream
capture). The second time nothing is compiled, copied from the host or allocated, and nobody waits.

The graph holds addresses, so a :class:`Captured` keeps the arrays, the tables and the scratch memory alive.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np

from ctkernels.contract import Link
from ctkernels.gpu import chain, chain_volume
from ctkernels.gpu._core import device
from ctkernels.gpu._core.device import cupy
from ctkernels.gpu._core.errors import GpuError, GpuLaunchError

DeviceArray = device.DeviceArray


class Captured:
    """What :func:`capture` recorded, with all memory that it uses."""

    def __init__(self, graph: Any, keeps: Sequence[Any]) -> None:
        self._graph, self._keeps = graph, keeps
        self._device = device.current_device()
        self._lock = threading.Lock()

    def launch(self) -> None:
        """Run the chain on what is in ``x`` now, on the current stream; returns at once.

        Launches never overlap, on whatever streams. As with an array of CuPy that another stream than its own uses, do
        not let go of this before the last one is done.

        Raises:
            GpuError: another device than that of the recording is current.
            GpuLaunchError, GpuMemoryError: in place of every error of CUDA.
        """
        here = device.current_device()
        if here != self._device:
            raise GpuError(
                f"a chain recorded on device {self._device} was launched while device {here} is current; launch it "
                f"under 'with cupy.cuda.Device({self._device}):', or record one there"
            )
        try:
            with self._lock:  # CUDA lets one thread at a time use a graph
                self._graph.launch()
        except device.cuda_errors() as error:
            raise _failed("a recorded chain could not be launched", error) from error


def capture(
    x: DeviceArray,
    out: DeviceArray | None,
    links: Sequence[Link],
    statistics: Sequence[DeviceArray],
    *,
    axes: Sequence[int] | None = None,
) -> Captured:
    """Run the chain, as :func:`chain.run` does with the same arguments, and record it for these very arrays.

    ``axes`` says that they are volumes, as :func:`chain_volume.run` takes them.

    Other threads may go on working meanwhile, but must not wait for the whole device: CUDA breaks the recording off.

    Raises:
        GpuError: the current stream is recording already, or the recording was broken off; chains run as before.
    """
    try:
        busy = cupy.cuda.get_current_stream().is_capturing()
    except device.cuda_errors() as error:  # the default stream, while a stream that waits for it is recording
        raise _failed("a chain can't be recorded now", error) from error
    if busy:
        raise GpuError("a chain can't be recorded on a stream that is capturing already; end that capture first")
    if axes is None:
        needed, run = chain.workspace_bytes(x.shape, x.dtype, links), chain.run
    else:
        needed = chain_volume.workspace_bytes(x.shape, x.dtype, links, axes)
        run = partial(chain_volume.run, axes=axes)
    workspace = device.empty(max(needed, 1), np.uint8)

    def work() -> None:
        run(x, out, links, statistics, workspace=workspace)

    with device.holding() as tables:
        work()
        graph = _recorded(work)
    return Captured(graph, (x, out, *statistics, workspace, *tables.values()))


def _recorded(work: Callable[[], None]) -> Any:
    # Its own stream: the default stream can't record, and one that waits for the default stream would hinder that.
    stream = cupy.cuda.Stream(non_blocking=True)
    try:
        with stream:
            stream.begin_capture()
            try:
                work()
            except BaseException:
                with suppress(*device.cuda_errors()):  # after CUDA broke it off this ends the capture and raises
                    stream.end_capture()
                raise
            return stream.end_capture()
    except GpuError:
        raise
    except device.cuda_errors() as error:
        raise _failed("recording a chain failed", error) from error


def _failed(what: str, error: Exception) -> GpuError:
    if device.is_out_of_memory(error):
        return device.out_of_memory(0, error)
    return GpuLaunchError(
        f"{what}: {str(error)[:400]}. A capture breaks off when any thread waits for the whole device or allocates "
        "memory that CUDA has to wait for; try again when none does, or run the chain without recording it"
    )
