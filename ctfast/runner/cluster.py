"""A run on many machines, on dask.distributed: groups of files are tasks, and this process alone writes the records.

A worker that dies is no loss: the scheduler gives its tasks to others, whose outputs take the place of its own. A task
that killed several workers is split, so that the file that does it is named. Workers must see inputs and outputs (a
shared disk, URLs) and be of this version.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

from ctfast import __version__
from ctfast.batch.inside import on_disk
from ctfast.batch.limits import bytes_per_file
from ctfast.batch.urls import is_url
from ctfast.errors import CTFastError, MachineError, UsageError, missing_extra
from ctfast.files.formats import by_extension, written
from ctfast.runner.done import Done, process_and_encode
from ctfast.runner.settings import Settings
from ctfast.runner.several import QUICKLY_FROM
from ctfast.runner.task import Task, in_one_process
from ctfast.threads import set_num_threads

LOCAL: Final = "local"
_MOST_FILES: Final = 100
_SHARES: Final = 4
"""Groups a thread at least, so that all end together."""
_AHEAD: Final = 2
"""Groups a thread that are with the scheduler: the next one waits where a thread becomes free."""
_SECONDS: Final = 10
_PATIENCE: Final = 60.0
"""Seconds without anything done, after which somebody asks whether there are workers."""


class Cluster:
    """Workers that are connected, and fit.

    Args:
        client: distributed's.
        threads: of all workers together.
    """

    def __init__(self, client: Any, threads: int) -> None:
        self._client, self.threads = client, threads

    def done(
        self,
        tasks: Iterator[Task],
        files: int,
        settings: Settings,
        died: Callable[[Sequence[Task], Settings], Done],
    ) -> Iterator[Done]:
        """What groups of ``tasks``, about ``files``, gave, as they finish.

        Raises:
            MachineError: the scheduler went away.
        """
        most = max(1, min(_MOST_FILES, files // (_SHARES * self.threads)))
        groups = iter(lambda: tuple(islice(tasks, most)), ())
        work = partial(_work, settings=settings, version=__version__, quickly=files >= QUICKLY_FROM)
        suspects: list[Task] = []
        for group, done in self._finished(work, groups, _AHEAD * self.threads):
            if done is None:
                suspects += group
            else:
                yield done
        # A worker that dies takes all with it that it was given; who did it shows alone.
        for group, done in self._finished(work, ((task,) for task in suspects), 1):
            yield died(group, settings) if done is None else done

    def _finished(
        self, work: Callable[..., Done], groups: Iterator[tuple[Task, ...]], at_once: int
    ) -> Iterator[tuple[tuple[Task, ...], Done | None]]:
        """What each group gave; None where the workers that were given it died."""
        from distributed import KilledWorker, wait

        waiting: dict[Any, tuple[Task, ...]] = {}
        while True:
            for group in islice(groups, at_once - len(waiting)):
                waiting[self._client.submit(work, group, pure=False)] = group
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
                group = waiting.pop(future)
                if future.status == "finished":
                    yield group, future.result()
                    continue
                why = future.exception() if future.status == "error" else None
                if not isinstance(why, KilledWorker):
                    raise _gone(why)
                yield group, None


def _gone(error: BaseException | None) -> MachineError:
    why = f" ({type(error).__name__}: {error})" if error is not None else ""
    return MachineError(f"the cluster failed or its scheduler went away{why}: look after it")


@contextmanager
def connected(address: str | None, workers: int, settings: Settings, tasks: Sequence[Task]) -> Iterator[Cluster | None]:
    """The cluster of an address, or one of processes on this machine for ``"local"``; None where none is asked for.

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
    if any(map(in_one_process, tasks[:1])):
        raise UsageError("cluster: memory:// is seen by one process alone; take paths or other URLs")
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # a worker that dies is told by the run, if by anybody
    if address == LOCAL:
        with (
            LocalCluster(workers, threads_per_worker=1, dashboard_address=":0", silence_logs=logging.CRITICAL) as local,
            Client(local) as client,
        ):
            yield _checked(client, address, settings, tasks)
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
        yield _checked(client, address, settings, tasks)


def _checked(client: Any, address: str, settings: Settings, tasks: Sequence[Task]) -> Cluster:
    """Refuse workers that would fail each file."""
    threads = client.nthreads()
    if not threads:
        raise UsageError(f"cluster={address!r} has no workers: start some with `dask worker {address}`")
    versions = client.run(_look_for_version(), on_error="return")
    for worker, version in versions.items():
        if version != __version__:
            said = f"ctfast {version}" if isinstance(version, str) else f"no ctfast ({version})"
            raise UsageError(f"worker {worker} has {said}, this is {__version__}: install the same there")
    there = Path(settings.out)
    while settings.out and not is_url(there) and not there.exists():
        there = there.parent  # the run makes what is below
    problems = client.run(_problem_of, settings, list(tasks[:1]), str(there), on_error="return")
    for worker, problem in problems.items():
        if problem:
            raise UsageError(f"worker {worker}: {problem}")
    return Cluster(client, sum(threads.values()))


def _look_for_version() -> Callable[[], str]:
    """A function that needs no ctfast to be sent."""

    def version() -> str:
        import ctfast

        return ctfast.__version__

    return version


def _problem_of(settings: Settings, tasks: Sequence[Task], out: str) -> str:
    """On a worker: why it can't do such files; empty where it can."""
    from ctfast import backend
    from ctfast.batch import remote

    try:
        backend.select(settings.backend)
        for path in (settings.out if is_url(settings.out) else out, *(path for task in tasks for path in task.files)):
            if is_url(path):
                remote.check(path)
            elif not os.path.lexists(on_disk(path)):
                return f"{path} is not there: workers need a disk that they share, or URLs"
            elif (kind := by_extension(Path(path))) is not None:
                kind.check_package()
        output = written(settings.format)
        if not output.writer_alone:
            output.check_package()
    except CTFastError as error:
        return str(error)
    return ""


def _work(tasks: Sequence[Task], settings: Settings, version: str, quickly: bool) -> Done:
    """On a worker: some files, each on one core, as other threads and workers have the others."""
    from distributed import get_worker

    if version != __version__:  # one that came later
        return Done.by_machine(f"a worker has ctfast {__version__}, the run {version}: install the same there")
    if "CTFAST_NUM_THREADS" not in os.environ:
        set_num_threads(1)
    memory = bytes_per_file(get_worker().state.nthreads)
    return process_and_encode(tasks, replace(settings, max_bytes=memory), quickly=quickly)
