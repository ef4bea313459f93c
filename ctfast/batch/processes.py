"""Processes that read files: when they pay, how they start, and that none outlives its run."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Final

DIED: Final = "the process that read this file died: out of memory, or a crash inside a decoder"
_PAY_FROM: Final = 150
"""Files a worker, below which starting processes costs more than it gains."""


def use_processes(files: int, workers: int, pool: str, backend: str = "cpu") -> bool:
    """Whether workers are processes: as asked for, or where they pay; a GPU is fed by the threads of one process."""
    if pool == "auto":
        return backend != "gpu" and workers > 1 and files >= _PAY_FROM * workers
    return pool == "processes"


def new_pool(workers: int, preload: str, prepare: Callable[..., None] | None = None, *args: Any) -> ProcessPoolExecutor:
    """A pool whose processes compute on one core each; ``prepare(*args)`` is called in each of them first.

    ``preload`` is the module that a fork server imports once for all of them. A calling script needs the
    ``if __name__ == "__main__"`` guard.
    """
    # Not fork: it copies locks that threads of ours and of JAX hold.
    method = "spawn" if sys.platform == "win32" else "forkserver"
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload([preload])
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(prepare, args))


def _start(prepare: Callable[..., None] | None, args: tuple[Any, ...]) -> None:
    from ctfast.threads import set_num_threads

    set_num_threads(1)  # the cores are taken by the other workers
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    if prepare is not None:
        prepare(*args)


def _exit_with_parent() -> None:
    """A worker must not outlive a run that was killed; nobody else would tell it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
