"""What two cores of this machine gain at best: two processes that share nothing and never leave their first cache."""

from __future__ import annotations

import multiprocessing
import time
from multiprocessing.connection import Connection
from typing import Any

import numba
import numpy as np

SECONDS, ROUNDS = 0.1, 15


@numba.njit
def _extremes(a: Any, b: Any, repeats: int) -> Any:
    """Minima and maxima of 16-bit integers, as medians take them."""
    for _ in range(repeats):
        for i in range(a.size):
            a[i] = min(a[i], b[i])
            b[i] = max(a[i] ^ 1, b[i])
    return a[0]


def _timed(repeats: int) -> float:
    a = np.arange(4096, dtype=np.int16)
    start = time.perf_counter()
    _extremes(a, a[::-1].copy(), repeats)
    return time.perf_counter() - start


def _work(pipe: Connection) -> None:
    """A process that does so many repeats as often as it is told."""
    _timed(1)
    pipe.send(0.0)
    while repeats := pipe.recv():
        pipe.send(_timed(repeats))


def share_of_two(seconds: float = SECONDS, rounds: int = ROUNDS) -> float:
    """Time of two processes for the work, in halves, that takes one of them 1; median of rounds in turns."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    other = context.Process(target=_work, args=(theirs,), daemon=True)
    other.start()
    theirs.close()  # so that the end of the other process ends the wait for it
    ours.recv()
    _timed(1)
    repeats = max(1, round(seconds / _timed(1000) * 1000))
    shares = []
    for _ in range(rounds):
        alone = _timed(repeats)
        ours.send(repeats)
        shares.append(max(_timed(repeats), ours.recv()) / (2 * alone))
    ours.send(0)
    other.join()
    return float(np.median(shares))
