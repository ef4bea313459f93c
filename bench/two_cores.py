"""What two cores of this machine gain at best: two processes that share nothing, each with half of a volume."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

import ctfast


def _calls(name: str, x: np.ndarray, params: dict[str, Any]) -> Callable[[], Any]:
    out = np.empty_like(x)
    return lambda: getattr(ctfast, name)(x, **params, out=out)


def _work(pipe: Connection, name: str, x: np.ndarray, params: dict[str, Any]) -> None:
    """A process that filters its half as often as it is told."""
    ctfast.set_num_threads(1)
    call = _calls(name, x, params)
    call()
    pipe.send(True)
    while pipe.recv():
        call()
        pipe.send(True)


@contextmanager
def two_processes(name: str, x: np.ndarray, params: dict[str, Any]) -> Iterator[Callable[[], None]]:
    """A call that filters the upper rows of a volume here, on one thread, and the lower ones in another process."""
    half = x.shape[1] // 2
    mine = _calls(name, np.ascontiguousarray(x[:, :half]), params)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    lower = np.ascontiguousarray(x[:, half:])
    other = context.Process(target=_work, args=(theirs, name, lower, params), daemon=True)
    other.start()
    theirs.close()  # so that the end of the other process ends the wait for it
    ours.recv()

    def both() -> None:
        before = ctfast.get_num_threads()
        ctfast.set_num_threads(1)
        ours.send(True)
        mine()
        ours.recv()
        ctfast.set_num_threads(before)

    try:
        yield both
    finally:
        ours.send(False)
        other.join()
