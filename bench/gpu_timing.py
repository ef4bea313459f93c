"""Timing on a GPU by events, CT-like batches, and the speed of plain copies that everything is compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import cupy
import numpy as np

from bench.images import image

Call = Callable[[Any], Any]

ROUNDS = 5


def synchronize() -> None:
    """Wait for everything."""
    cupy.cuda.get_current_stream().synchronize()


def seconds(call: Call, sets: Sequence[Any], budget: float = 0.2, rounds: int = ROUNDS) -> float:
    """Median time of ``call(one of sets)`` on the GPU, each set in turn, so that no cache is warm that need not be."""
    call(sets[0])
    synchronize()
    single = _elapsed(call, sets, 1)
    repeats = int(np.clip(budget / rounds / max(single, 1e-7), 1, 500))
    return median(_elapsed(call, sets, repeats) for _ in range(rounds))


def _elapsed(call: Call, sets: Sequence[Any], repeats: int) -> float:
    start, end = cupy.cuda.Event(), cupy.cuda.Event()
    start.record()
    for i in range(repeats):
        call(sets[i % len(sets)])
    end.record()
    end.synchronize()
    return float(cupy.cuda.get_elapsed_time(start, end)) / 1e3 / repeats


def rotations(bytes_each: int) -> int:
    """How many sets of buffers it takes to be twice as large as the second-level cache; at most 64."""
    cache = int(cupy.cuda.Device().attributes.get("L2CacheSize", 50 << 20))
    return int(np.clip(-(-2 * cache // max(bytes_each, 1)), 1, 64))


def batch(dtype: str, images: int, size: int) -> Any:
    """``(images, size, size)`` phantom slices on the device, sixteen different ones over and over."""
    host = np.stack([np.ascontiguousarray(image(dtype, n)[:size, :size]) for n in range(min(images, 16))])
    some = cupy.asarray(host)
    x = cupy.empty((images, size, size), host.dtype)
    for start in range(0, images, len(host)):
        count = min(len(host), images - start)
        x[start : start + count] = some[:count]
    return x


def copy_bandwidth(size: int) -> float:
    """Bytes a second that a copy on the device reads and writes."""
    pair = cupy.empty(size, np.uint8), cupy.empty(size, np.uint8)

    def copy(_: Any) -> None:
        pair[1][...] = pair[0]

    return 2 * size / seconds(copy, [None])


def transfer_bandwidth(size: int) -> dict[str, float]:
    """Bytes a second from and to page-locked host memory."""
    held = cupy.cuda.alloc_pinned_memory(size)
    host = np.frombuffer(held, np.uint8, size)
    device = cupy.empty(size, np.uint8)
    return {
        "to_device": size / seconds(lambda _: device.set(host), [None]),
        "to_host": size / seconds(lambda _: device.get(out=host, blocking=False), [None]),
    }


def free_bytes() -> int:
    """Device memory that is left, what CuPy keeps back included."""
    cupy.get_default_memory_pool().free_all_blocks()
    return int(cupy.cuda.runtime.memGetInfo()[0])
