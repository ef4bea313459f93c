"""Distributions of pixel values as counts: exact for whole numbers, additive over slices, small however many pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ctfast import ops

# Twice the span of 16 bits: every file format's whole numbers are counted one by one, in a megabyte at most.
_MOST_BINS: Final = 1 << 17
_COARSE_BINS: Final = 4096


@dataclass(frozen=True, eq=False)
class Distribution:
    """``counts[k]`` pixels have the value ``low + k * step``.

    Whole-number pixels give ``step=1`` and exact statistics. ``exact`` is False where pixels were put into bins
    (numbers that are not whole, or that span more than 131,072): then each pixel counts as the low end of its bin, so
    that whole-number limits still part the pixels exactly.
    """

    low: float
    step: float
    counts: NDArray[np.int64]
    exact: bool = True

    @property
    def total(self) -> int:
        """Number of pixels."""
        return int(self.counts.sum())

    @property
    def values(self) -> NDArray[np.float64]:
        """The value of each count."""
        values: NDArray[np.float64] = np.arange(len(self.counts), dtype=np.float64)
        values *= self.step
        values += self.low
        return values

    def _index(self, value: float) -> int:
        """The first count whose value is at least ``value``."""
        return int(min(max(np.ceil((value - self.low) / self.step), 0), len(self.counts)))

    def between(self, low: float, high: float) -> Distribution:
        """Only the values ``low <= v < high``."""
        first, end = self._index(low), self._index(high)
        counts = self.counts[first:end] if end > first else np.zeros(1, np.int64)
        return Distribution(self.low + self.step * first, self.step, counts, self.exact)

    def count(self, low: float, high: float) -> int:
        """Pixels with ``low <= v < high``."""
        return int(self.counts[self._index(low) : self._index(high)].sum())

    def mean_and_sd(self) -> tuple[float, float]:
        """Mean and population standard deviation; NaN without pixels."""
        total = self.total
        if not total:
            return (np.nan, np.nan)
        v = self.values
        mean = float(v @ self.counts / total)
        return mean, float(np.sqrt(((v - mean) ** 2) @ self.counts / total))

    def percentiles(self, levels: tuple[float, ...]) -> list[float]:
        """``numpy.percentile``'s linear rule; NaN without pixels."""
        total = self.total
        if not total:
            return [np.nan] * len(levels)
        cumulated = np.cumsum(self.counts)
        result = []
        for level in levels:
            # Between the two pixels around this rank, found by how many pixels lie at or below each value.
            rank = level / 100 * (total - 1)
            below = int(np.floor(rank))
            first, second = np.searchsorted(cumulated, [below, min(below + 1, total - 1)], side="right")
            result.append(self.low + self.step * float(first + (second - first) * (rank - below)))
        return result

    def range(self) -> tuple[float, float]:
        """Smallest and largest value; NaN without pixels."""
        filled = np.flatnonzero(self.counts)
        if not filled.size:
            return (np.nan, np.nan)
        return self.low + self.step * filled[0], self.low + self.step * filled[-1]

    def most_frequent(self) -> tuple[float, int]:
        """The value that most pixels have, and how many they are."""
        k = int(np.argmax(self.counts))
        return self.low + self.step * k, int(self.counts[k])

    def __add__(self, other: Distribution) -> Distribution:
        if self.step != other.step:
            raise ValueError(f"counts in steps of {self.step} and {other.step} can't be added")
        low = min(self.low, other.low)
        first, second = round((self.low - low) / self.step), round((other.low - low) / self.step)
        counts = np.zeros(max(first + len(self.counts), second + len(other.counts)), np.int64)
        counts[first : first + len(self.counts)] += self.counts
        counts[second : second + len(other.counts)] += other.counts
        return Distribution(low, self.step, counts, self.exact and other.exact)


def whole_numbers(pixels: NDArray[Any]) -> NDArray[Any] | None:
    """The same image as integers (int16 where they fit, else int32), or None where a pixel is no whole number."""
    if pixels.dtype.kind == "f":
        if not np.isfinite(pixels).all():
            return None
        low, high = pixels.min(), pixels.max()
        if low < -(2**31) or high >= 2**31:
            return None
        whole = pixels.astype(np.int16 if low >= -32768 and high <= 32767 else np.int32)
        return whole if np.array_equal(whole, pixels) else None
    if pixels.dtype == np.uint16 and pixels.max() > 32767:
        return pixels.astype(np.int32)
    return pixels.astype(np.int16, copy=False) if pixels.dtype != np.int32 else pixels


def distribution(pixels: NDArray[Any], *, step: float | None = None) -> Distribution:
    """Count the finite pixels of an image.

    Args:
        pixels: ``(H, W)``.
        step: bin width for pixels that are no whole numbers; default: a 4096th of their range. HU use 1.
    """
    whole = whole_numbers(pixels)
    if whole is not None and int(whole.max()) - int(whole.min()) < _MOST_BINS:
        low, high = int(whole.min()), int(whole.max())
        if whole.dtype == np.int32:
            counts = np.bincount((whole - low).ravel(), minlength=high - low + 1).astype(np.int64)
        else:
            # Few different ranges: the histogram kernel keeps its plan of a range, which takes longer than counting.
            reach = 4096 if low >= -4096 and high < 4096 else 32768
            counts = ops.histogram(whole, 2 * reach, value_range=(-reach, reach)).counts[low + reach : high + reach + 1]
            counts = counts.copy()
        return Distribution(low, 1.0, counts)
    finite = pixels[np.isfinite(pixels)].astype(np.float64)
    if not finite.size:
        return Distribution(0.0, step or 1.0, np.zeros(1, np.int64), False)
    low_value, high_value = float(finite.min()), float(finite.max())
    if step is None or (high_value - low_value) / step > _MOST_BINS:
        step = (high_value - low_value) / _COARSE_BINS or 1.0
    # Bins start at multiples of the step, so that the counts of different slices can be added.
    first = np.floor(low_value / step)
    index = np.floor(finite / step) - first
    return Distribution(first * step, step, np.bincount(index.astype(np.int64)).astype(np.int64), False)
