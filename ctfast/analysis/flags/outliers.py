"""Values that lie far from the others of their set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

LARGEST_Z: Final = 3.5
"""Iglewicz and Hoaglin's limit: a modified z-score beyond it is an outlier."""
FEWEST: Final = 8
"""Slices below which a set has no outliers: its median and spread say too little."""


def modified_z(values: Sequence[float | int | None]) -> NDArray[np.float64]:
    """Iglewicz and Hoaglin's ``0.6745 (x - median) / MAD``; NaN where a value is missing or fewer than 8 are there.

    Where the MAD is 0 (most values equal), their replacement ``(x - median) / (1.2533 mean absolute deviation)``.

    Source: B. Iglewicz and D. Hoaglin, "How to Detect and Handle Outliers", ASQC Quality Press, 1993.
    """
    x = np.array([np.nan if v is None else float(v) for v in values])
    known = x[~np.isnan(x)]
    if len(known) < FEWEST:
        return np.full(len(x), np.nan)
    away = np.abs(known - np.median(known))
    scale = float(np.median(away)) / 0.6745 or float(away.mean()) * 1.2533
    return (x - np.median(known)) / scale if scale else np.where(np.isnan(x), np.nan, 0.0)
