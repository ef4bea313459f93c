"""How a long command shows itself: a bar on a terminal, plain lines otherwise."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from rich.console import Console

_PLAIN_EVERY_SECONDS = 10.0
_SILENT_SECONDS = 3.0
KERNELS_FIRST = "getting ready: kernels are loaded; a first run compiles them, once (`ctfast warm` does it ahead)"
"""What a first run waits for."""
CLOSING: Final = "all files are done: putting manifest and tables together"


class Progress(Protocol):
    """Called after each file."""

    def __call__(self, *, done: int, failed: int) -> None:
        """``done`` files are finished, ``failed`` of them without a result."""


def no_progress(*, done: int, failed: int) -> None:
    """Shows nothing."""


@contextmanager
def progress_bar(total: int, console: Console, getting_ready: str = "", closing: str = "") -> Iterator[Progress]:
    """A progress bar with rate and time left, or a line every ten seconds where there is no terminal.

    ``getting_ready`` and ``closing``: lines for the case that the first file, or what follows the last, takes long.
    """
    bar = _bar(total, console) if console.is_terminal else nullcontext(_plain(total, console))
    with (
        ExitStack() as end,
        _saying_why_nothing_moves(getting_ready if total else "", console) as begun,
        bar as progress,
    ):

        def shown(*, done: int, failed: int) -> None:
            begun.set()
            progress(done=done, failed=failed)
            if done == total:
                end.enter_context(_saying_why_nothing_moves(closing, console))

        if not total:
            end.enter_context(_saying_why_nothing_moves(closing, console))
        yield shown


@contextmanager
def _saying_why_nothing_moves(why: str, console: Console) -> Iterator[threading.Event]:
    """A line if nothing is done in the first seconds; the event, and the end, say that something is."""
    begun = threading.Event()
    if not why:
        yield begun
        return

    def say() -> None:
        if not begun.wait(_SILENT_SECONDS):
            with suppress(OSError):  # a full disk behind stdout must not end the work
                console.print(why, highlight=False)

    thread = threading.Thread(target=say, daemon=True)
    with suppress(RuntimeError):  # no thread to be had: then nobody says it
        thread.start()
    try:
        yield begun
    finally:
        begun.set()


class _Rate:
    """Files a second since the first were done: what was made ready before is not work that comes again."""

    def __init__(self) -> None:
        self._first = 0
        self._since: float | None = None

    def of(self, done: int) -> float | None:
        """None as long as nothing speaks for one."""
        now = time.perf_counter()
        if self._since is None:
            self._first, self._since = done, now
        return (done - self._first) / (now - self._since) if done > self._first and now > self._since else None


@contextmanager
def _bar(total: int, console: Console) -> Iterator[Progress]:
    from rich import progress as rich

    columns = (
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TextColumn("{task.fields[rate]}"),
        rich.TimeRemainingColumn(),
        rich.TextColumn("{task.fields[failures]}"),
    )
    rates = _Rate()
    with rich.Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=total, rate="", failures="")

        def progress(*, done: int, failed: int) -> None:
            rate = rates.of(done)
            shown = "" if rate is None else f"{rate:.1f} files/s"
            bar.update(task, completed=done, rate=shown, failures=f"{failed} failed" if failed else "")

        yield progress


def _plain(total: int, console: Console) -> Progress:
    last, rates = time.perf_counter(), _Rate()

    def progress(*, done: int, failed: int) -> None:
        nonlocal last
        now, rate = time.perf_counter(), rates.of(done)
        if now - last < _PLAIN_EVERY_SECONDS:
            return
        last = now
        speed, left = ("", "") if rate is None else (f", {rate:.1f} files/s", f", {(total - done) / rate:.0f} s left")
        with suppress(OSError):  # a full disk behind stdout must not end the work
            console.print(f"{done}/{total} files{speed}, {failed} failed{left}", highlight=False)

    return progress
