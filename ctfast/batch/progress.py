"""How a long command shows itself: a bar on a terminal, plain lines otherwise."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console

_PLAIN_EVERY_SECONDS = 10.0


class Progress(Protocol):
    """Called after each file."""

    def __call__(self, *, done: int, failed: int) -> None:
        """``done`` files are finished, ``failed`` of them without a result."""


def no_progress(*, done: int, failed: int) -> None:
    """Shows nothing."""


@contextmanager
def progress_bar(total: int, console: Console) -> Iterator[Progress]:
    """A progress bar with rate and time left, or a line every ten seconds where there is no terminal."""
    if not console.is_terminal:
        yield _plain(total, console)
        return
    from rich import progress as rich

    columns = (
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TextColumn("{task.fields[rate]:.1f} files/s"),
        rich.TimeRemainingColumn(),
        rich.TextColumn("{task.fields[failures]}"),
    )
    start = time.perf_counter()
    with rich.Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=total, rate=0.0, failures="")

        def progress(*, done: int, failed: int) -> None:
            rate = done / max(time.perf_counter() - start, 1e-9)
            bar.update(task, completed=done, rate=rate, failures=f"{failed} failed" if failed else "")

        yield progress


def _plain(total: int, console: Console) -> Progress:
    start = last = time.perf_counter()

    def progress(*, done: int, failed: int) -> None:
        nonlocal last
        now = time.perf_counter()
        if now - last < _PLAIN_EVERY_SECONDS:
            return
        last = now
        rate = done / (now - start)
        left = (total - done) / rate if rate else 0.0
        with suppress(OSError):  # a full disk behind stdout must not end the work
            console.print(
                f"{done}/{total} files, {rate:.1f} files/s, {failed} failed, {left:.0f} s left", highlight=False
            )

    return progress
