"""Many files at once: a bounded number in flight, in threads or in processes, in order or as they finish.

Threads start at once and share one Numba; reading DICOM and TIFF holds the interpreter lock, so that some four threads
are fed at most. Processes cost about a second to start, scale to all cores, and survive a decoder that crashes: the
item that killed its process is named and the others are done.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from itertools import chain, islice
from typing import Any, Final, TypeVar

from ctfast.batch.choices import POOLS, check_choice
from ctfast.batch.processes import Ahead, in_worker, process_pool
from ctfast.errors import MachineError

DIED: Final = "the process that read this file died: out of memory, or a crash inside a decoder"
_AHEAD: Final = 2
"""Items a worker in flight: the next one waits where a worker becomes free, and memory does not grow with their
number."""
_SECONDS: Final = 1.0
"""After which somebody looks whether results can still come."""
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
    split: Callable[[A], Iterable[A]] = lambda item: (item,),
    rehearse: Callable[[], object] = os.getpid,
    stopped: Callable[[], bool] = lambda: False,
    ahead: Ahead | None = None,
    first: Callable[[Executor, A], object] | None = None,
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
        split: the parts of an item that is several, each of which may be the one that killed its process.
        rehearse: what a process must be able to do before it is given an item that may kill it. Picklable.
        stopped: whether somebody ended the work, and the processes with it: what they did not finish is left out then.
        ahead: what processes have done before they start.
        first: what is done with the workers, and for the first item, before any item.

    Raises:
        RuntimeError: an item killed its process and ``died`` is not given; the text names the item.
    """
    waiting = iter(items)
    begin: Callable[[Executor], object] | None = None
    if first is not None and (some := list(islice(waiting, 1))):
        waiting, begin = chain(some, waiting), partial(_begin, first, some[0])
    if not processes:
        with ThreadPoolExecutor(workers, thread_name_prefix="ctfast") as threads:
            if begin is not None:
                begin(threads)
            yield from _in_flight(threads, work, waiting, workers, ordered, {})
        return
    while True:
        flight: Flight[B, A] = {}
        pool = process_pool(workers, work, ahead)
        try:
            if begin is not None:
                once, begin = begin, None  # a process that dies of it is followed by others, and the item names itself
                once(pool)
            yield from _in_flight(pool, partial(in_worker, work=work), waiting, workers, ordered, flight)
            return
        except BrokenProcessPool:
            # Whatever was in flight may have done it; what had finished before is not done twice.
            suspects = dict(flight)
        except MemoryError:  # whoever has none can't tell the processes to end either
            _kill(pool)
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        if stopped():
            yield from (future.result() for future in suspects if _has_result(future))
            return
        yield from _one_by_one(work, suspects, died or _raise_died, split, rehearse)


def _begin(first: Callable[[Executor, A], object], item: A, pool: Executor) -> None:
    try:
        first(pool, item)
    except (EOFError, ConnectionError) as error:  # the server that forks processes ended while it got ready
        raise _no_start() from error


def _in_flight(
    pool: Executor, work: Callable[[A], B], waiting: Iterator[A], workers: int, ordered: bool, flight: Flight[B, A]
) -> Iterator[B]:
    """Results of ``waiting``; what is drawn and not given back stands in ``flight``, in order."""
    try:
        for item in islice(waiting, _AHEAD * workers):
            flight[_submit(pool, work, item)] = item
        while flight:
            awaited = [next(iter(flight))] if ordered else flight
            done = _first_of(pool, awaited)
            ready = [future for future in awaited if future in done]
            for future in ready:
                result = future.result()
                del flight[future]
                yield result
                for item in islice(waiting, 1):
                    flight[_submit(pool, work, item)] = item
    finally:
        for future in flight:
            future.cancel()


def _first_of(pool: Executor, futures: Iterable[Future[B]]) -> set[Future[B]]:
    """Those that are done, as soon as one is.

    Raises:
        MemoryError: there was none for the threads that do items, or hand them to processes: they died, and nothing
            would come.
    """
    while not (done := wait(futures, _SECONDS, FIRST_COMPLETED).done):
        manager = getattr(pool, "_executor_manager_thread", None)
        threads = [manager] if manager is not None else list(getattr(pool, "_threads", ()))
        if threads and not any(thread.is_alive() for thread in threads):
            raise MemoryError
    return done


def _kill(pool: ProcessPoolExecutor) -> None:
    for process in list((pool._processes or {}).values()):
        process.kill()
        process.join(_SECONDS)


def _submit(pool: Executor, work: Callable[[A], B], item: A) -> Future[B]:
    try:
        return pool.submit(work, item)
    except BrokenProcessPool as error:  # by an earlier item; this one must not be lost
        future: Future[B] = Future()
        future.set_exception(error)
        return future
    except (EOFError, ConnectionError) as error:  # the server that forks processes ended while it got ready
        raise _no_start() from error


def _one_by_one(
    work: Callable[[A], B],
    suspects: Flight[B, A],
    died: Callable[[A], B],
    split: Callable[[A], Iterable[A]],
    rehearse: Callable[[], object],
) -> Iterator[B]:
    """In a process of its own, so that the item that kills it is known."""
    pool = None
    try:
        for future, item in suspects.items():
            if _has_result(future):
                yield future.result()
                continue
            for part in split(item):
                if pool is None:
                    pool = process_pool(1, work)
                    _check_start(pool, rehearse)
                try:
                    result = _first_of(pool, [pool.submit(in_worker, part, work)]).pop().result()
                except BrokenProcessPool:
                    pool.shutdown()
                    pool, result = None, died(part)
                yield result
    except MemoryError:
        if pool is not None:
            _kill(pool)
        raise
    finally:
        if pool is not None:
            pool.shutdown()


def _has_result(future: Future[Any]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _check_start(pool: ProcessPoolExecutor, rehearse: Callable[[], object]) -> None:
    """A process that dies, or lacks memory, before it was given an item is no item's fault."""
    try:
        _first_of(pool, [pool.submit(rehearse)]).pop().result()
    except (BrokenProcessPool, MemoryError, OSError, ImportError) as error:
        if isinstance(error, MemoryError):
            _kill(pool)
        raise _no_start() from error


def _no_start() -> MachineError:
    return MachineError(
        "worker processes end before they read a file: leave them more memory (ulimit -v), or take --pool threads; a "
        "script of yours that takes processes needs if __name__ == '__main__': around its call"
    )


def _raise_died(item: object) -> Any:
    raise RuntimeError(f"{item}: {DIED}")
