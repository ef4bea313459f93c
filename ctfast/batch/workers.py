"""Many files at once: a bounded number in flight, in threads or in processes, in order or as they finish.

Threads start at once and share one Numba; reading DICOM and TIFF holds the interpreter lock, so that some four threads
are fed at most. Processes cost about a second to start, scale to all cores, and survive a decoder that crashes: the
item that killed its process is named and the others are done.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Any, Final, TypeVar

from ctfast.batch.choices import POOLS, check_choice
from ctfast.errors import MachineError

DIED: Final = "the process that read this file died: out of memory, or a crash inside a decoder"
_AHEAD: Final = 2
"""Items a worker in flight: the next one waits where a worker becomes free, and memory does not grow with their
number."""
_PAY_FROM: Final = 150
"""Files a worker, below which starting processes costs more than it gains."""

A = TypeVar("A")
B = TypeVar("B")
Flight = dict["Future[B]", A]


def use_processes(files: int, workers: int, pool: str, backend: str = "cpu") -> bool:
    """Whether workers are processes: as asked for, or where they pay; a GPU is fed by the threads of one process.

    Raises:
        UsageError: ``pool`` is none of ``POOLS``.
    """
    check_choice("pool", pool, POOLS)
    if pool == "auto":
        return backend != "gpu" and workers > 1 and files >= _PAY_FROM * workers
    return pool == "processes"


def bounded_map(
    work: Callable[[A], B],
    items: Iterable[A],
    workers: int,
    *,
    processes: bool = False,
    ordered: bool = True,
    died: Callable[[A], B] | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[B]:
    """``work(item)`` for every item; at most two items a worker are drawn and not yet given back.

    Args:
        work: what to do; it should return failures, as an exception ends the map. Picklable where ``processes``.
        items: drawn from as workers become free. Picklable where ``processes``.
        workers: threads or processes.
        processes: whether they are processes, which compute on one core each. A calling script then needs the
            ``if __name__ == "__main__"`` guard.
        ordered: results in the order of the items, or as they finish.
        died: what stands for the result of an item that killed its process.
        stopped: whether somebody ended the work, and the processes with it: what they did not finish is left out then.

    Raises:
        RuntimeError: an item killed its process and ``died`` is not given; the text names the item.
    """
    waiting = iter(items)
    if not processes:
        with ThreadPoolExecutor(workers, thread_name_prefix="ctfast") as threads:
            yield from _in_flight(threads, work, waiting, workers, ordered, {})
        return
    while True:
        flight: Flight[B, A] = {}
        pool = _new_pool(workers, work)
        try:
            yield from _in_flight(pool, partial(_in_worker, work=work), waiting, workers, ordered, flight)
            return
        except BrokenProcessPool:
            # Whatever was in flight may have done it; what had finished before is not done twice.
            suspects = dict(flight)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        if stopped():
            yield from (future.result() for future in suspects if _has_result(future))
            return
        yield from _one_by_one(work, suspects, died or _raise_died)


def _in_flight(
    pool: Executor, work: Callable[[A], B], waiting: Iterator[A], workers: int, ordered: bool, flight: Flight[B, A]
) -> Iterator[B]:
    """Results of ``waiting``; what is drawn and not given back stands in ``flight``, in order."""
    try:
        for item in islice(waiting, _AHEAD * workers):
            flight[_submit(pool, work, item)] = item
        while flight:
            if ordered:
                ready = [next(iter(flight))]
            else:
                done = wait(flight, return_when=FIRST_COMPLETED).done
                ready = [future for future in flight if future in done]
            for future in ready:
                result = future.result()
                del flight[future]
                yield result
                for item in islice(waiting, 1):
                    flight[_submit(pool, work, item)] = item
    finally:
        for future in flight:
            future.cancel()


def _submit(pool: Executor, work: Callable[[A], B], item: A) -> Future[B]:
    try:
        return pool.submit(work, item)
    except BrokenProcessPool as error:  # by an earlier item; this one must not be lost
        future: Future[B] = Future()
        future.set_exception(error)
        return future


def _one_by_one(work: Callable[[A], B], suspects: Flight[B, A], died: Callable[[A], B]) -> Iterator[B]:
    """In a process of its own, so that the item that kills it is known."""
    pool = None
    try:
        for future, item in suspects.items():
            if _has_result(future):
                yield future.result()
                continue
            if pool is None:
                pool = _new_pool(1, work)
                _check_start(pool)
            try:
                result = pool.submit(_in_worker, item, work).result()
            except BrokenProcessPool:
                pool.shutdown()
                pool, result = None, died(item)
            yield result
    finally:
        if pool is not None:
            pool.shutdown()


def _has_result(future: Future[Any]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _check_start(pool: ProcessPoolExecutor) -> None:
    """A process that dies before it was given an item is no item's fault."""
    try:
        pool.submit(os.getpid).result()
    except BrokenProcessPool:
        raise MachineError(
            "worker processes end as soon as they start: leave them more memory (ulimit -v), or take --pool threads"
        ) from None


def _raise_died(item: object) -> Any:
    raise RuntimeError(f"{item}: {DIED}")


def _new_pool(workers: int, work: Callable[..., object]) -> ProcessPoolExecutor:
    # Not fork: it copies locks that threads of ours and of JAX hold.
    method = "spawn" if sys.platform == "win32" else "forkserver"
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        # Imported once, for all of them.
        context.set_forkserver_preload([(work.func if isinstance(work, partial) else work).__module__])
        # Ctrl-C and often SIGTERM go to the whole process group. The server that forks the workers must outlive them,
        # and workers, which inherit this, must not be hit before they know how to end (``_start``).
        from multiprocessing import forkserver, resource_tracker  # neither is there on Windows

        resource_tracker.ensure_running()  # which would unblock them again
        with _blocked(signal.SIGINT, signal.SIGTERM):
            forkserver.ensure_running()
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_start)


@contextmanager
def _blocked(*numbers: int) -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start() -> None:
    from ctfast.threads import set_num_threads

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end_quietly)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    set_num_threads(1)  # the cores are taken by the other workers
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _end_quietly(*_: object) -> None:
    """A worker that is told to end takes back what it was writing, and leaves the rest to the parent."""
    raise SystemExit(128 + signal.SIGTERM)


def _in_worker(item: A, work: Callable[[A], B]) -> B:
    try:
        return work(item)
    except SystemExit:  # else the pool would hand it to the parent as this item's error, and go on
        os._exit(128 + signal.SIGTERM)


def _exit_with_parent() -> None:
    """A worker must not outlive a run that was killed; nobody else would tell it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
