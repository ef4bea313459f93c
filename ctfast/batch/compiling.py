"""What is compiled ahead, part by part, and how that is told: by ``ctfast warm``, and before a run's first file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from typing import NamedTuple, Protocol


class Part(NamedTuple):
    """Something to compile: what the screen calls it, and the calls that do it."""

    title: str
    calls: tuple[Callable[[], object], ...]


class Telling(Protocol):
    """Called as parts begin and end."""

    def __call__(self, *, begun: int, of: int, titles: Sequence[str]) -> None:
        """``begun`` of ``of`` parts are begun, those with these titles are at work; none are when all are done."""


def told(begun: int, of: int, titles: Sequence[str]) -> str:
    """The same as text."""
    return f"compiling kernels, once: {begun} of {of} ({', '.join(titles)})" if titles else "kernels are compiled"


def in_turn(
    pool: Executor,
    at_once: int,
    titles: Sequence[str],
    do: Callable[[int], object],
    tell: Telling,
    stopped: Callable[[], bool],
) -> None:
    """``do(number)`` in ``pool`` for each title but the last, some at once, and then for the last: it takes the others.

    Raises:
        BrokenProcessPool: a process died.
    """
    flight: dict[Future[object], str] = {}
    of = len(titles)
    for number, title in enumerate(titles):
        last = number == of - 1
        while len(flight) >= at_once or (last and flight):
            for future in wait(flight, return_when=FIRST_COMPLETED).done:
                del flight[future]
                future.result()
            if flight and not stopped():
                tell(begun=number, of=of, titles=list(flight.values()))
        if stopped():
            break
        flight[pool.submit(do, number)] = title
        tell(begun=number + 1, of=of, titles=list(flight.values()))
    for future in flight:
        future.result()
    tell(begun=of, of=of, titles=())
