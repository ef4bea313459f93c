"""One GPU's part of a run: chunks in, results out, three streams busy at once, smaller chunks where memory is short."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from numpy.typing import NDArray

from ctfast import backend
from ctfast.dispatch.chain import CheckedChain
from ctfast.dispatch.device_errors import device_errors
from ctfast.dispatch.transfer import streams
from ctfast.errors import DeviceMemoryError
from ctfast.runner.gpu.chunks import Chunk, Key
from ctfast.runner.gpu.sizes import sizes

SLOTS = 3
"""Chunks of a GPU at a time: one being read, one on the GPU, one being written."""
_SHARE_OF_MEMORY = 0.5
_SCRATCH_BYTES_A_PIXEL = 24
"""Between two steps of a chain: two intermediate images of at most 8 bytes a pixel, tables and histograms."""


class DeviceWorker:
    """A GPU with its slots, a thread that starts its work and one that waits for it."""

    def __init__(
        self, device: int, computed: Callable[[Chunk], None], failed: Callable[[Chunk, Exception], None]
    ) -> None:
        self.device = device
        self._computed, self._failed = computed, failed
        with device_errors():
            self._streams = streams().Lanes(device)
            self._free_bytes: int = self._streams.free_bytes()
        self.slots = [streams().Slot(device) for _ in range(SLOTS)]
        self._ready: SimpleQueue[Chunk | None] = SimpleQueue()
        self._running: SimpleQueue[tuple[Chunk, Any, float] | None] = SimpleQueue()
        self._fitting: dict[Key, int] = {}  # images of a chunk, where more were too many before
        self._threads = [
            threading.Thread(target=work, name=f"ctfast-gpu-{device}", daemon=True)
            for work in (self._launch_chunks, self._await_chunks)
        ]
        for thread in self._threads:
            thread.start()

    def capacity(self, key: Key, chain: CheckedChain) -> int:
        """Images a chunk may hold: by the bytes of a copy, the memory of the GPU, and what did not fit before."""
        pixels = key.height * key.width
        source, result = pixels * key.dtype.itemsize, pixels * (chain.dtype.itemsize if chain.makes_image else 0)
        by_memory = int(_SHARE_OF_MEMORY * self._free_bytes) // (
            SLOTS * (source + result) + _SCRATCH_BYTES_A_PIXEL * pixels
        )
        return max(1, min(sizes().chunk_bytes // source, by_memory, self._fitting.get(key, by_memory)))

    def launch(self, chunk: Chunk) -> None:
        """Do a chunk; ``computed`` or ``failed`` is called with it later."""
        self._ready.put(chunk)

    def close(self) -> None:
        """End the threads when what they have is done, and give the memory back."""
        self._ready.put(None)
        for thread in self._threads:
            thread.join()
        for slot in self.slots:
            slot.drop()

    def _launch_chunks(self) -> None:
        while (chunk := self._ready.get()) is not None:
            begin = time.perf_counter()
            try:
                chunk.results = _results(chunk)
                try:
                    self._running.put((chunk, self._launched(chunk, slice(0, chunk.reserved)), begin))
                except DeviceMemoryError:
                    self._in_parts(chunk)
                    chunk.seconds = time.perf_counter() - begin
                    self._computed(chunk)
            except Exception as error:  # one bad chunk never stops a batch
                self._failed(chunk, error)
        self._running.put(None)

    def _await_chunks(self) -> None:
        while (item := self._running.get()) is not None:
            chunk, event, begin = item
            try:
                with device_errors():
                    event.synchronize()
            except Exception as error:
                self._failed(chunk, error)
                continue
            chunk.seconds = time.perf_counter() - begin
            self._computed(chunk)

    def _launched(self, chunk: Chunk, part: slice) -> Any:
        with device_errors():
            return self._streams.launch(
                chunk.slot, chunk.source[part], [result[part] for result in chunk.results], _compute(chunk.chain)
            )

    def _in_parts(self, chunk: Chunk) -> None:
        """Half as many images at a time, and half of that, until it fits; later chunks are as small."""
        start, part = 0, max(1, chunk.reserved // 2)
        self._release_memory()
        while start < chunk.reserved:
            try:
                event = self._launched(chunk, slice(start, min(start + part, chunk.reserved)))
                with device_errors():
                    event.synchronize()
                start += part
            except DeviceMemoryError:
                if part == 1:
                    raise
                part //= 2
                self._release_memory()
        self._fitting[chunk.key] = part

    def _release_memory(self) -> None:
        """All that is not in use: buffers of other slots have the size that was too large."""
        with device_errors():
            self._streams.synchronize()
            for slot in self.slots:
                slot.drop(host=False)
            self._free_bytes = self._streams.free_bytes()


def _results(chunk: Chunk) -> list[NDArray[Any]]:
    chain, slot = chunk.chain, chunk.slot
    shape = (chunk.reserved, chunk.key.height, chunk.key.width)
    results = [slot.host("image", shape, chain.dtype)] if chain.makes_image else []
    return results + [slot.host(link.operation, *chain.rows(shape, link)) for link in chain.statistics]


def _compute(chain: CheckedChain) -> Callable[[Any, list[Any]], None]:
    run = backend.chain_kernel("gpu")
    assert run is not None, "the GPU backend takes chains"
    first = int(chain.makes_image)

    def compute(x: Any, results: list[Any]) -> None:
        run(x, results[0] if first else None, chain.links, results[first:])

    return compute
