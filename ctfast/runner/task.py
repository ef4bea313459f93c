"""One input and its output."""

from __future__ import annotations

from dataclasses import dataclass

from ctfast.files import Series


@dataclass(frozen=True, slots=True)
class Task:
    """One input and its output.

    Attributes:
        source: the file, or the folder of a series.
        output: the file to write.
        series: what is read, where it is a volume of several slices.
    """

    source: str
    output: str
    series: Series | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """The files that are read."""
        return (self.source,) if self.series is None else tuple(map(str, self.series.files))

    @property
    def inputs(self) -> list[str]:
        """The files of a series; none for a file, which is ``source``."""
        return [] if self.series is None else list(self.files)
