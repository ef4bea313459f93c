"""The HU window in which the classes of a training set differ, from the slices' histograms alone.

A narrow window shows small differences, a wide one hides them; which one is right depends on the question. The choice
sees the slices that are trained on and nothing else, so that it can't flatter the number that is reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ctfast.errors import missing_extra
from ctfast.model.data.decoding import HU_BINS, HU_RANGE
from ctfast.model.data.preprocessing import DEFAULT_WINDOW

_COARSE_HU: Final = 50
"""Bins that are compared: fine enough for tissues, coarse enough for some tens of slices."""
_LEAST_SHARE: Final = 0.25
"""Of the greatest F; a quarter of F is half of the distance between means in units of the spread."""
_MARGIN_HU: Final = 100
"""On both sides, so that what differs does not lie at the window's ends."""
_SIGNIFICANT: Final = 0.01
"""Of the best bin, times the number of bins (Bonferroni); above it, nothing says where to look."""


@dataclass(frozen=True)
class ChosenWindow:
    """``low`` to ``high`` in HU, and how it came about in a sentence."""

    low: float
    high: float
    reason: str


def choose_window(shares: NDArray[np.floating] | None, labels: NDArray[np.integer]) -> ChosenWindow:
    """The window for training slices.

    Shares of pixels in bins of 50 HU (their square roots, which evens out bins that differ a hundredfold) are compared
    between the classes by one-way analysis of variance. The window spans the neighbouring bins around the greatest F
    that reach a quarter of it, and 100 HU more on each side. Where no bin differs significantly, or values are not HU,
    it is HU -200 to 1000.

    Args:
        shares: ``(N, 200)``: ``Dataset.hu_shares`` of the slices that are trained on; None where values are not HU.
        labels: ``(N,)`` class numbers, all known.

    Raises:
        MissingDependencyError: If scikit-learn is not installed.
    """
    default = f"the default window {_text(*DEFAULT_WINDOW)}"
    if shares is None:
        return ChosenWindow(*DEFAULT_WINDOW, f"{default}: values are not known to be HU")
    try:
        from sklearn.feature_selection import f_classif
    except ImportError as error:
        raise missing_extra("the choice of a window needs scikit-learn", "nn") from error
    fine = _COARSE_HU * HU_BINS // (HU_RANGE[1] - HU_RANGE[0])
    counts = np.sqrt(np.asarray(shares, np.float64).reshape(len(shares), -1, fine).sum(axis=2))
    varied = np.flatnonzero(np.ptp(counts, axis=0) > 0)
    differs = np.zeros(counts.shape[1])
    chance = np.ones(counts.shape[1])
    if len(varied) and len(np.unique(labels)) > 1 and len(labels) > len(np.unique(labels)):
        with np.errstate(divide="ignore", invalid="ignore"):  # classes that are each constant: F is infinite
            differs[varied], chance[varied] = f_classif(counts[:, varied], labels)
        differs = np.nan_to_num(differs, nan=0.0, posinf=np.finfo(np.float64).max)
    best = int(differs.argmax())
    if not chance[best] * len(chance) < _SIGNIFICANT:
        return ChosenWindow(*DEFAULT_WINDOW, f"{default}: the classes' histograms do not differ enough to choose by")
    first = last = best
    while first > 0 and differs[first - 1] >= _LEAST_SHARE * differs[best]:
        first -= 1
    while last + 1 < len(differs) and differs[last + 1] >= _LEAST_SHARE * differs[best]:
        last += 1
    low = float(HU_RANGE[0] + _COARSE_HU * first - _MARGIN_HU)
    high = float(HU_RANGE[0] + _COARSE_HU * (last + 1) + _MARGIN_HU)
    peak = HU_RANGE[0] + _COARSE_HU * best
    return ChosenWindow(
        low,
        high,
        f"window {_text(low, high)}, chosen from {len(labels)} training slices: their classes differ most at "
        f"{_text(peak, peak + _COARSE_HU)}",
    )


def _text(low: float, high: float) -> str:
    return f"HU {low:g} to {high:g}"
