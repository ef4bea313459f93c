"""Worker processes: how they start, and what they do with Ctrl-C and SIGTERM.

Both signals often go to the whole process group. The server that forks the workers must outlive them, so it is started
with both blocked, and workers, which inherit that, must not be hit before they know how to end (``_start``). The server
is the process's only one: its other children, of the user's own pools, get both signals back (``in_fork_server``).
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ctfast.batch.address_space import Need, check_room
from ctfast.batch.interrupts import GROUP_SIGNALS
from ctfast.batch.machine import is_no_thread

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext

A = TypeVar("A")
B = TypeVar("B")


class Ahead(NamedTuple):
    """What processes have done before they start: the server that forks them imports a module and has it prepare.

    A server that runs already does not.

    Attributes:
        module: imported once, for all processes.
        text: what its ``prepare`` is called with.
    """

    module: str
    text: str


def process_pool(workers: int, work: Callable[..., object], ahead: Ahead | None = None) -> ProcessPoolExecutor:
    """Processes that have imported ``work``, compute on one core each and end with this one.

    Raises:
        MachineError: there is no room for them.
    """
    environ = (dict(os.environ),)
    if sys.platform == "win32":
        return ProcessPoolExecutor(
            workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start, initargs=environ
        )
    context = start_server(work, ahead)
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=environ)


def start_server(
    work: Callable[..., object], ahead: Ahead | None = None, *, fork_of_this: bool = False
) -> ForkServerContext:
    """What forks processes for ``work``: it starts, if it does not run yet, and loads what they need by itself.

    There is none on Windows.

    Args:
        work: what they will do.
        ahead: what is done before they start.
        fork_of_this: whether it may be a fork of this process, which spares it half a second of imports, where this
            one has a single thread, whose locks nobody holds. Not in a user's process: it would hold what is open
            there, and inherit whatever state there is.

    Raises:
        MachineError: there is no room for it.
    """
    check_room(Need.KERNELS)
    # Workers are not forked from here: it copies locks that threads of ours and of JAX hold.
    from multiprocessing import forkserver, resource_tracker  # neither is there on Windows

    from ctfast.batch import in_fork_server

    context = in_fork_server.WorkerContext()
    modules = [((work.func if isinstance(work, partial) else work).__module__, "")]
    if ahead is not None:
        modules.append((ahead.module, ahead.text))
    context.set_forkserver_preload([in_fork_server.__name__])  # which imports the others, once for all of them
    resource_tracker.ensure_running()  # which would unblock them again
    with _blocked():
        if fork_of_this and _has_one_thread():
            with _forking(partial(in_fork_server.get_ready, modules)):
                forkserver.ensure_running()
        else:
            with _environment({in_fork_server.VARIABLE: json.dumps(modules)}):
                forkserver.ensure_running()
    return context


def _has_one_thread() -> bool:
    """Of those that the system knows; others than Linux don't say, and macOS forbids much to a fork."""
    try:
        return len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False


@contextmanager
def _forking(get_ready: Callable[[], object]) -> Iterator[None]:
    """``multiprocessing`` forks the server that it starts, which gets ready and then runs the same line of Python.

    Python 3.14 has the command's own arguments behind that line, where it looks for them.
    """
    from multiprocessing import util as multiprocessing_util

    util: Any = multiprocessing_util

    def fork(_: object, words: Sequence[Any], descriptors: Sequence[int]) -> int:
        line = words.index("-c") + 1
        server = os.fork()
        if not server:
            try:
                _keep_open({0, 1, 2, *descriptors})
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                get_ready()
                sys.argv = ["-c", *words[line + 1 :]]
                exec(words[line], {})
            finally:
                os._exit(0)
        return server

    start = util.spawnv_passfds
    util.spawnv_passfds = fork
    try:
        yield
    finally:
        util.spawnv_passfds = start


def _keep_open(descriptors: set[int]) -> None:
    """These alone, as in a program that is started; with the pipe that tells of this process's end it would not end."""
    kept = sorted(descriptors)
    for lower, upper in zip(kept, [*kept[1:], os.sysconf("SC_OPEN_MAX")], strict=True):
        os.closerange(lower + 1, upper)


@contextmanager
def _blocked() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, GROUP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]


def _start(environment: dict[str, str]) -> None:
    try:
        _get_ready(environment)
    except (MemoryError, OSError, ImportError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not is_no_thread(error):
            raise
        os._exit(1)  # the machine lacks something, which the parent says in one line


def _get_ready(environment: dict[str, str]) -> None:
    from ctfast.threads import set_num_threads

    os.environ.clear()  # it was that of the server's start: credentials may have come since
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end_quietly)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    set_num_threads(1)  # the cores are taken by the other workers
    threading.Thread(target=_exit_with_parent, daemon=True).start()


_at_work = False
"""Whether this process has an item: what it writes would have to be taken back."""


def _end_quietly(*_: object) -> None:
    """A worker that is told to end takes back what it was writing, and leaves the rest to the parent."""
    if not _at_work:  # but waits for one, or sends a result that nobody may read any more: the pool would try again
        os._exit(128 + signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # told again, by the pool, it must not stop taking back
    raise SystemExit(128 + signal.SIGTERM)


def in_worker(item: A, work: Callable[[A], B]) -> B:
    """``work(item)`` in a worker."""
    global _at_work
    try:
        try:
            _at_work = True
            return work(item)
        finally:
            _at_work = False
    except SystemExit:  # else the pool would hand it to the parent as this item's error, and go on
        os._exit(128 + signal.SIGTERM)


def _exit_with_parent() -> None:
    """A worker must not outlive a run that was killed; nobody else would tell it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
