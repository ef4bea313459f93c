"""What some files gave, as it is written down: encoded where they are done, so that nobody does it for all workers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from ctfast.batch.journal import JsonLines
from ctfast.batch.places import noted
from ctfast.runner.manifest import Row, as_noted
from ctfast.runner.outcome import Outcome
from ctfast.runner.report import Tally
from ctfast.runner.settings import Settings
from ctfast.runner.several import process_some
from ctfast.runner.task import Task

_COMPACT: Final = (",", ":")


class Done(NamedTuple):
    """Some files.

    Attributes:
        files: how many.
        rows: their lines of the manifest.
        statistics: their lines of statistics.
        tally: the same, counted.
        machine: why the machine failed, and no file.
    """

    files: int
    rows: bytes
    statistics: bytes
    tally: Tally
    machine: str

    @classmethod
    def by_machine(cls, why: str) -> Done:
        """No files, because the machine failed."""
        return cls(0, b"", b"", Tally(), why)

    @classmethod
    def of(cls, outcomes: Sequence[Outcome], settings: Settings) -> Done:
        """Encoded and counted; those that the machine failed are not done."""
        tally, expects_hu = Tally(), settings.pipeline.expects_hu
        done = [outcome for outcome in outcomes if not outcome.machine]
        for outcome in done:
            tally.count(outcome.row, expects_hu)
        taken = [outcome.statistics for outcome in done if outcome.statistics is not None]
        statistics = [line_of_statistics(line, settings.out) for line in taken]
        machine = next((outcome.machine for outcome in outcomes if outcome.machine), "")
        return cls(
            len(done),
            b"".join(line_of_row(one.row, settings.out) for one in done),
            b"".join(statistics),
            tally,
            machine,
        )


def process_and_encode(tasks: Sequence[Task], settings: Settings, *, quickly: bool = True) -> Done:
    """Do some files; never raises for a bad file."""
    return Done.of(process_some(tasks, settings, quickly=quickly), settings)


def line_of_row(row: Row, folder: str) -> bytes:
    """A line of the manifest in ``folder``."""
    return JsonLines().encode(dict(as_noted(row, folder)))


def line_of_statistics(line: dict[str, Any], folder: str) -> bytes:
    """A line of statistics; edges of a histogram, which are most of it, are mostly those of the line before."""
    line = {**line, "output": noted(line["output"], folder)}
    histogram = line.get("histogram")
    if histogram is None:
        return JsonLines().encode(line)
    edges, rest = _edges(tuple(histogram["edges"])), {name: line[name] for name in line if name != "histogram"}
    head = JsonLines().encode({name: rest.pop(name) for name in ("output", "started")})[:-2]
    counts = json.dumps(histogram["counts"], separators=_COMPACT)
    tail = JsonLines().encode(rest)[1:] if rest else b"}\n"
    return b"".join(
        [head, b',"histogram":{"edges":', edges, b',"counts":', counts.encode(), b"}", b"," if rest else b"", tail]
    )


@lru_cache(maxsize=8)
def _edges(edges: tuple[float, ...]) -> bytes:
    return json.dumps(edges, separators=_COMPACT).encode()
