"""What happens in the fork server: it loads what its children need, and gives some of them signals back.

What can't be loaded (no memory) is left to the children, who say so where somebody hears it; Python's own way of
importing ahead prints a traceback.

The server's children other than our workers get the signals back that the server has blocked.

A process has one fork server. Were they left blocked, ``terminate()`` of a user's own pool would wait forever. The
server imports this module (``processes``), and only there ``_restored`` is of use: it is called in each child.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import current_process, util
from multiprocessing.context import ForkServerContext, ForkServerProcess
from types import TracebackType
from typing import Final

from ctfast.batch.address_space import has_spare_room
from ctfast.batch.interrupts import GROUP_SIGNALS

VARIABLE: Final = "CTFAST_IN_FORK_SERVER"
"""Of the environment of a server that is a program of its own: the modules that it imports, and the texts that are
given to their ``prepare``, as JSON."""


class Worker(ForkServerProcess):
    """One of ours: it unblocks the signals itself, when it knows how to end."""


class WorkerContext(ForkServerContext):
    """Starts ``Worker``."""

    Process = Worker


class _FromServer:
    """``multiprocessing`` calls back for as long as this lives."""


def _restored(_: _FromServer) -> None:
    child = current_process()
    if isinstance(child, ForkServerProcess) and not isinstance(child, Worker):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, GROUP_SIGNALS)


_from_server = _FromServer()
util.register_after_fork(_from_server, _restored)


def _quiet_without_memory(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, MemoryError):  # the parent says it, in one line
        sys.__excepthook__(kind, error, trace)


def get_ready(modules: Sequence[tuple[str, str]]) -> None:
    """Load what the children need: modules, whose ``prepare`` is called with the text where there is one."""
    sys.excepthook = _quiet_without_memory
    gc.set_threshold(100_000, 50, 50)  # as ``cli.main`` does, for the same reason
    for name, text in modules:
        with suppress(Exception):
            module = importlib.import_module(name)
            if text:
                module.prepare(text)
    if not has_spare_room():
        os._exit(1)  # which the parent says, in one line


if _modules := os.environ.pop(VARIABLE, ""):  # in a server that was not forked
    get_ready(json.loads(_modules))
