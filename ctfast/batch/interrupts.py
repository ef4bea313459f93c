"""Ctrl-C and SIGTERM (Slurm, docker stop, kill): what is in flight is finished, then the command ends."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NoReturn

GROUP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
"""What a terminal or a service manager sends to the whole process group."""


_SOON: Final = 0.02
"""Seconds, after which a finalizer is mostly over."""


class Terminated(KeyboardInterrupt):
    """SIGTERM came: the command ends as by Ctrl-C."""


def raise_terminated(*_: object) -> NoReturn:
    """What SIGTERM does in commands."""
    raise Terminated


def send_lost_again() -> None:
    """Signals that come within finalizers and callbacks of the garbage collector, whose errors are shown and lost."""
    show = sys.unraisablehook

    def hook(lost: sys.UnraisableHookArgs) -> None:
        if not isinstance(lost.exc_value, KeyboardInterrupt):
            show(lost)
            return
        number = signal.SIGTERM if isinstance(lost.exc_value, Terminated) else signal.SIGINT
        again = threading.Timer(_SOON, os.kill, (os.getpid(), number))  # not here, where it would be lost as well
        again.daemon = True
        again.start()

    sys.unraisablehook = hook


def end_at_once() -> None:
    """From now on signals do as the system has it: a command that is over has nothing to take back or to say."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, raise_terminated)):
        if signal.getsignal(number) is handler:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def finishing(stop: Callable[[], None], message: Callable[[], str]) -> Iterator[None]:
    """Call ``stop`` at the first Ctrl-C or SIGTERM, let the block end by itself, and then raise; a second one ends it.

    ``message`` is asked at the end: what is done, for whoever reads the error.

    Outside the main thread, and where the caller handles the signals, they stay as they are.

    Raises:
        KeyboardInterrupt: at the end of the block, or ``Terminated``, after a signal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def handle(number: int, frame: Any) -> None:
        if came:
            _raise(number)
        came.append(number)
        stop()

    ours = {signal.SIGINT: (signal.default_int_handler,), signal.SIGTERM: (signal.SIG_DFL, raise_terminated)}
    before = {number: signal.getsignal(number) for number in ours}
    for number, handlers in ours.items():
        if before[number] in handlers:
            signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)
    if came:
        _raise(came[0], message())


def _raise(number: int, *message: str) -> NoReturn:
    raise Terminated(*message) if number == signal.SIGTERM else KeyboardInterrupt(*message)
