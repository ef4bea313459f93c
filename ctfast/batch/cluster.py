"""Many files on many machines, on dask.distributed: groups of files are tasks, what they give comes to this process.

A worker that dies is no loss: the scheduler gives its tasks to others. A task that killed several workers is split, so
that the file that does it is named. Workers must see the files (a shared disk, URLs) and be of this version.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain, islice
from typing import Any, Final, TypeVar

from ctfast import __version__
from ctfast.batch.limits import bytes_per_file
from ctfast.batch.urls import is_url
from ctfast.errors import MachineError, UsageError, missing_extra

LOCAL: Final = "local"
_MOST_FILES: Final = 100
_SHARES: Final = 4
"""Groups a thread at least, so that all end together."""
_AHEAD: Final = 2
"""Groups a thread that are with the scheduler: the next one waits where a thread becomes free."""
_SECONDS: Final = 10
_PATIENCE: Final = 60.0
"""Seconds without anything done, after which somebody asks whether there are workers."""

A = TypeVar("A")
B = TypeVar("B")
Group = tuple[A, ...]
Work = Callable[[Group[A]], B]


def check_address(cluster: str | None) -> None:
    """Refuse what is no address.

    Raises:
        UsageError: with what is allowed.
    """
    if cluster not in (None, LOCAL) and not is_url(str(cluster)):
        raise UsageError(f"cluster={cluster!r}: local, or an address such as tcp://host:8786, is allowed")


class Cluster:
    """Workers that are connected, and fit.

    Args:
        client: distributed's.
        threads: of all workers together.
    """

    def __init__(self, client: Any, threads: int) -> None:
        self._client, self.threads = client, threads

    def map(
        self, work: Work[A, B], items: Iterable[A], number: int, died: Work[A, B], *, ordered: bool = False
    ) -> Iterator[B]:
        """What ``work`` gave for groups of ``items``.

        Args:
            work: takes some items; it should return failures, as an exception ends the map. Picklable.
            items: about ``number`` of them, drawn from as workers become free.
            number: see there; the fewer, the smaller the groups.
            died: what stands for the result of an item, given alone, that killed its worker.
            ordered: in the order of the items, or as they finish.

        Raises:
            MachineError: the scheduler went away, no worker is left, or one that came later is of another version.
        """
        drawn, most = iter(items), max(1, min(_MOST_FILES, number // (_SHARES * self.threads)))
        results = self._results(
            partial(_prepared, work, __version__), iter(lambda: tuple(islice(drawn, most)), ()), died
        )
        yield from chain.from_iterable(_in_order(results) if ordered else (some for _, some in results))

    def _results(self, work: Work[A, B], groups: Iterator[Group[A]], died: Work[A, B]) -> Iterator[tuple[int, list[B]]]:
        suspects: list[tuple[int, Group[A]]] = []
        for index, group, result in self._finished(work, groups, _AHEAD * self.threads):
            if result is None:
                suspects.append((index, group))
            else:
                yield index, [result]
        # A worker that dies takes all with it that it was given; who did it shows alone.
        for index, group in suspects:
            singles = self._finished(work, ((item,) for item in group), 1)
            yield index, [died(single) if result is None else result for _, single, result in singles]

    def _finished(
        self, work: Work[A, B], groups: Iterator[Group[A]], at_once: int
    ) -> Iterator[tuple[int, Group[A], B | None]]:
        """Number, group and what it gave; None where the workers that were given it died."""
        from distributed import KilledWorker, wait

        waiting: dict[Any, tuple[int, Group[A]]] = {}
        numbered = enumerate(groups)
        while True:
            for index, group in islice(numbered, at_once - len(waiting)):
                waiting[self._client.submit(work, group, pure=False)] = index, group
            if not waiting:
                return
            try:
                with self._client.as_current():
                    finished = wait(list(waiting), timeout=_PATIENCE, return_when="FIRST_COMPLETED").done
            except TimeoutError:
                if not self._client.nthreads():
                    raise MachineError("the cluster has no worker left: start some") from None
                continue
            except Exception as error:  # cancelled, or no longer connected
                raise _gone(error) from error
            for future in finished:
                index, group = waiting.pop(future)
                if future.status == "finished":
                    yield index, group, future.result()
                    continue
                why = future.exception() if future.status == "error" else None
                if isinstance(why, MachineError):
                    raise why
                if not isinstance(why, KilledWorker):
                    raise _gone(why)
                yield index, group, None


def _in_order(results: Iterable[tuple[int, list[B]]]) -> Iterator[list[B]]:
    early: dict[int, list[B]] = {}
    following = 0
    for index, some in results:
        early[index] = some
        while following in early:
            yield early.pop(following)
            following += 1


def _gone(error: BaseException | None) -> MachineError:
    why = f" ({type(error).__name__}: {error})" if error is not None else ""
    return MachineError(f"the cluster failed or its scheduler went away{why}: look after it")


@contextmanager
def connected(address: str | None, workers: int, problem: Callable[[], str]) -> Iterator[Cluster | None]:
    """The cluster of an address, or one of processes on this machine for ``"local"``; None where none is asked for.

    Args:
        address: as ``check_address`` allows.
        workers: processes of ``"local"``.
        problem: says on a worker why it can't do the work; empty where it can. Picklable.

    Raises:
        MissingDependencyError: distributed is not installed here.
        MachineError: the scheduler can't be reached.
        UsageError: it has no workers, or one of them does not fit; with the reason.
    """
    if address is None:
        yield None
        return
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise missing_extra("cluster: dask.distributed is needed", "cluster") from None
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # a worker that dies is told by us, if by anybody
    if address == LOCAL:
        with (
            LocalCluster(workers, threads_per_worker=1, dashboard_address=":0", silence_logs=logging.CRITICAL) as local,
            Client(local) as client,
        ):
            yield _checked(client, address, problem)
        return
    try:
        client = Client(address, timeout=_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        text = " ".join(str(error).split())[:300]
        raise MachineError(
            f"cluster={address!r} can't be reached: {text}: start `dask scheduler` and `dask worker` there, or name "
            "another address"
        ) from error
    with client:
        yield _checked(client, address, problem)


def _checked(client: Any, address: str, problem: Callable[[], str]) -> Cluster:
    """Refuse workers that would fail each file."""
    threads = client.nthreads()
    if not threads:
        raise UsageError(f"cluster={address!r} has no workers: start some with `dask worker {address}`")
    versions = client.run(_look_for_version(), on_error="return")
    for worker, version in versions.items():
        if version != __version__:
            said = f"ctfast {version}" if isinstance(version, str) else f"no ctfast ({version})"
            raise UsageError(f"worker {worker} has {said}, this is {__version__}: install the same there")
    for worker, why in client.run(problem, on_error="return").items():
        if why:
            raise UsageError(f"worker {worker}: {why}")
    return Cluster(client, sum(threads.values()))


def _look_for_version() -> Callable[[], str]:
    """A function that needs no ctfast to be sent."""

    def version() -> str:
        import ctfast

        return ctfast.__version__

    return version


def _prepared(work: Work[A, B], version: str, group: Group[A]) -> B:
    """On a worker: some files, each on one core, as other threads and workers have the others."""
    if version != __version__:  # one that came later
        raise MachineError(f"a worker has ctfast {__version__}, this is {version}: install the same there")
    if "CTFAST_NUM_THREADS" not in os.environ:
        from ctfast.threads import set_num_threads  # with Numba, which commands that use no cluster need not wait for

        set_num_threads(1)
    return work(group)


def share_of_memory() -> int:
    """On a worker: bytes for each of the files that are at work there."""
    from distributed import get_worker

    return bytes_per_file(get_worker().state.nthreads)
