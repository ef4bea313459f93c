"""What the statistics and pipelines return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple


class Histogram(NamedTuple):
    """Counts and bin edges; unpacks as ``counts, edges`` like ``numpy.histogram``'s result."""

    counts: Any
    """Pixels in each bin, int64, shape ``(..., bins)``: one histogram an image."""
    edges: Any
    """Bin edges, shape ``(bins + 1,)``, shared by the whole batch."""


@dataclass(frozen=True)
class Summary:
    """Box-plot statistics of each image, arrays of shape ``(...)`` for a batch ``(..., H, W)``, in the image's units.

    Taken from finite pixels; ``count`` says how many those are, and where it is 0 the rest is NaN.
    """

    count: Any
    mean: Any
    std: Any
    """Population standard deviation."""
    min: Any
    max: Any
    percentiles: Any
    """Shape ``(..., len(levels))``."""
    levels: tuple[float, ...]
    """The percentiles asked for, 0 to 100."""

    def percentile(self, level: float) -> Any:
        """One of the percentiles asked for; ``percentile(50)`` is the median."""
        return self.percentiles[..., self.levels.index(float(level))]

    @property
    def q1(self) -> Any:
        """First quartile."""
        return self.percentile(25)

    @property
    def median(self) -> Any:
        """Second quartile."""
        return self.percentile(50)

    @property
    def q3(self) -> Any:
        """Third quartile."""
        return self.percentile(75)


@dataclass(frozen=True)
class PipelineResult:
    """The image after the last step, and what the statistics steps saw where they stand in the chain."""

    image: Any
    histogram: Histogram | None = None
    summary: Summary | None = None
