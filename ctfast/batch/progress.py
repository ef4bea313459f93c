"""How a long command shows itself: a bar on a terminal, plain lines otherwise."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Final, Protocol

from ctfast.batch.compiling import Telling, told

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

_PLAIN_EVERY_SECONDS = 10.0
_SILENT_SECONDS = 3.0
_SHARES: Final = 200
"""Times that the share of what follows the last file is told."""
KERNELS_FIRST = "getting ready: kernels are loaded"
"""What a first run waits for."""
CLOSING: Final = "all files are done: putting manifest and tables together"


class Progress(Protocol):
    """Called after each file.

    Where it has a method ``closing(share)``, that is called while what follows the last file is done: the share, up to
    1, that is. Where it has a method ``compiling``, a ``batch.compiling.Telling``, that is called before the first.
    """

    def __call__(self, *, done: int, failed: int) -> None:
        """``done`` files are finished, ``failed`` of them without a result."""


def steps_of_closing(progress: Progress, steps: int) -> Callable[[], None]:
    """To be called after each of some ``steps`` of what follows the last file."""
    closing: Callable[[float], None] | None = getattr(progress, "closing", None)
    every, done = max(steps // _SHARES, 1), 0

    def step() -> None:
        nonlocal done
        done += 1
        if done % every == 0 and closing is not None:
            closing(min(done / max(steps, 1), 1.0))

    return step


def telling_of(progress: Progress) -> Telling:
    """What is told of kernels that are compiled."""
    telling: Telling = getattr(progress, "compiling", _untold)
    return telling


def _untold(*, begun: int, of: int, titles: Sequence[str]) -> None:
    """Nothing."""


def no_progress(*, done: int, failed: int) -> None:
    """Shows nothing."""


@contextmanager
def progress_bar(total: int, console: Console, getting_ready: str = "", closing: str = "") -> Iterator[Progress]:
    """A progress bar with rate and time left, or a line every ten seconds where there is no terminal.

    ``getting_ready`` and ``closing``: lines for the case that the first file, or what follows the last, takes long.
    """
    bar = _bar(total, console) if console.is_terminal else nullcontext(_Lines(total, console))
    with (
        ExitStack() as end,
        _saying_why_nothing_moves(getting_ready if total else "", console) as begun,
        bar as progress,
    ):
        shown = _Shown(progress, begun, total, lambda: end.enter_context(_saying_why_nothing_moves(closing, console)))
        if not total:
            shown.all_done()
        yield shown


class _Display(Protocol):
    def __call__(self, *, done: int, failed: int) -> None: ...

    def closing(self, share: float) -> None: ...

    def compiling(self, *, begun: int, of: int, titles: Sequence[str]) -> None: ...


class _Shown:
    """What the caller of ``progress_bar`` gets."""

    def __init__(self, display: _Display, begun: threading.Event, total: int, all_done: Callable[[], object]) -> None:
        self._display, self._begun, self._total, self.all_done = display, begun, total, all_done
        self.closing = display.closing

    def compiling(self, *, begun: int, of: int, titles: Sequence[str]) -> None:
        self._begun.set()
        self._display.compiling(begun=begun, of=of, titles=titles)

    def __call__(self, *, done: int, failed: int) -> None:
        self._begun.set()
        self._display(done=done, failed=failed)
        if done == self._total:
            self.all_done()


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
def _bar(total: int, console: Console) -> Iterator[_Display]:
    from rich import progress as rich

    columns = (
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TextColumn("{task.fields[rate]}"),
        rich.TimeRemainingColumn(),
        rich.TextColumn("{task.fields[failures]}"),
    )
    with rich.Progress(*columns, console=console) as bar:
        yield _Bar(bar, bar.add_task("", total=total, rate="", failures=""))


class _Bar:
    def __init__(self, bar: RichProgress, task: TaskID) -> None:
        self._bar, self._task, self._rates = bar, task, _Rate()

    def __call__(self, *, done: int, failed: int) -> None:
        rate = self._rates.of(done)
        shown = "" if rate is None else f"{rate:.1f} files/s"
        failures = f"{failed} failed" if failed else ""
        self._bar.update(self._task, completed=done, rate=shown, failures=failures)

    def closing(self, share: float) -> None:
        self._bar.update(self._task, rate=_closing_at(share))

    def compiling(self, *, begun: int, of: int, titles: Sequence[str]) -> None:
        self._bar.update(self._task, rate=told(begun, of, titles), refresh=True)


class _Lines:
    """One every ten seconds."""

    def __init__(self, total: int, console: Console) -> None:
        self._total, self._console, self._rates, self._last = total, console, _Rate(), time.perf_counter()
        self._begun = 0

    def __call__(self, *, done: int, failed: int) -> None:
        rate = self._rates.of(done)
        speed, left = ("", "")
        if rate is not None:
            speed, left = f", {rate:.1f} files/s", f", {(self._total - done) / rate:.0f} s left"
        self._show(f"{done}/{self._total} files{speed}, {failed} failed{left}")

    def closing(self, share: float) -> None:
        self._show(_closing_at(share))

    def compiling(self, *, begun: int, of: int, titles: Sequence[str]) -> None:
        if begun > self._begun:  # each part has its line
            self._begun = begun
            self._print(told(begun, of, titles))

    def _show(self, line: str) -> None:
        now = time.perf_counter()
        if now - self._last >= _PLAIN_EVERY_SECONDS:
            self._last = now
            self._print(line)

    def _print(self, line: str) -> None:
        with suppress(OSError):  # a full disk behind stdout must not end the work
            self._console.print(line, highlight=False)


def _closing_at(share: float) -> str:
    return f"manifest and tables: {share:.0%}"
