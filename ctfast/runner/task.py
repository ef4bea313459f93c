"""One input and its output."""

from __future__ import annotations

from typing import Final, NamedTuple

from ctfast.batch.stamp import Stamp, stamp_of
from ctfast.batch.urls import is_url
from ctfast.files import Series

AT_ONCE: Final = 8
"""Files of URLs that a worker has at work: most of their time they wait for the storage."""


def is_remote(task: Task) -> bool:
    """Whether it reads from a storage or writes to one."""
    return is_url(task.source) or is_url(task.output)


def in_one_process(task: Task) -> bool:
    """Whether only threads of this process can do it: ``memory://`` is each process's own."""
    return any(path.startswith("memory://") for path in (task.source, task.output))


class Task(NamedTuple):
    """One input and its output.

    Attributes:
        source: the file, or the folder of a series.
        output: the file to write.
        series: what is read, where it is a volume of several slices.
        seen: size and time of a URL, when it was found.
    """

    source: str
    output: str
    series: Series | None = None
    seen: Stamp | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """The files that are read."""
        return (self.source,) if self.series is None else tuple(map(str, self.series.files))

    def stamp(self) -> Stamp:
        """Size and time of what is read.

        Raises:
            OSError: it is not there.
        """
        return self.seen or stamp_of(*self.files)

    @property
    def inputs(self) -> list[str]:
        """The files of a series; none for a file, which is ``source``."""
        return [] if self.series is None else list(self.files)
